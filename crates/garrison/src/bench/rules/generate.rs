//! Made-up events: what a busy machine does, and now and then something that rules look for.

use engine::content::Catalogue;
use engine::detect::UserRule;
use engine::event::{Category, Event, Field, Form, Value};
use engine::sigma::{Node, yaml};
use model::time::Timestamp;

/// One in this many events carries texts of a rule.
const SUSPICIOUS: u64 = 20;

/// xorshift64*: the same events on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn of<'t, T: ?Sized>(&mut self, items: &[&'t T]) -> Option<&'t T> {
        let place = self.below(items.len() as u64) as usize;
        items.get(place).copied()
    }

    fn word(&mut self, items: &[&'static str]) -> &'static str {
        self.of(items).unwrap_or_default()
    }
}

pub(super) fn events(
    count: usize,
    seed: u64,
    catalogue: &Catalogue,
    files: &[UserRule],
) -> Vec<Event> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let hints = hints(catalogue, files);
    (0..count)
        .map(|number| {
            let at = Timestamp(1_767_225_600_000_000 + number as i64 * 1_000);
            let mut event = ordinary(&mut random, at);
            if !hints.is_empty() && random.chance(SUSPICIOUS) {
                disturb(&mut event, &hints, &mut random);
            }
            event
        })
        .collect()
}

/// The selections of one rule: what it looks for, where.
struct Hint {
    category: Option<Category>,
    selections: Vec<Vec<(Field, String, Vec<String>)>>,
}

fn hints(catalogue: &Catalogue, files: &[UserRule]) -> Vec<Hint> {
    let own =
        catalogue.iter().filter_map(|it| Some((it.logsource.clone()?, it.detection.clone()?)));
    let brought = files.iter().flat_map(|it| yaml::documents(&it.text)).filter_map(|it| {
        let node = it.read().ok()?;
        Some((node.get("logsource")?.clone(), node.get("detection")?.clone()))
    });
    own.chain(brought).map(|(logsource, detection)| hint(&logsource, &detection)).collect()
}

fn hint(logsource: &Node, detection: &Node) -> Hint {
    let category = logsource.get("category").and_then(|it| match &it.value {
        yaml::Value::Text(it) => it.parse().ok(),
        _ => None,
    });
    let mut selections = Vec::new();
    if let yaml::Value::Map(entries) = &detection.value {
        for (name, node) in entries.iter().filter(|(name, _)| name != "condition") {
            let items = match &node.value {
                yaml::Value::List(items) => items.as_slice(),
                _ => std::slice::from_ref(node),
            };
            // What a rule makes an exception of stays out most of the time by itself.
            if !name.starts_with("filter") {
                selections.extend(items.iter().map(wanted));
            }
        }
    }
    selections.retain(|it| !it.is_empty());
    Hint { category, selections }
}

fn wanted(node: &Node) -> Vec<(Field, String, Vec<String>)> {
    let text = |it: &Node| match &it.value {
        yaml::Value::Text(it) => Some(it.clone()),
        yaml::Value::Integer(it) => Some(it.to_string()),
        yaml::Value::Bool(it) => Some(it.to_string()),
        _ => None,
    };
    match &node.value {
        yaml::Value::Map(entries) => entries
            .iter()
            .filter_map(|(key, value)| {
                let (name, modifiers) = key.split_once('|').unwrap_or((key, ""));
                let field = match name {
                    "exe" => Field::Image,
                    "name" => Field::TargetFilename,
                    "comm" => Field::ProcessName,
                    _ if is_argument(name) => Field::CommandLine,
                    _ => name.parse().ok()?,
                };
                let texts: Vec<_> = match &value.value {
                    yaml::Value::List(items) => items.iter().filter_map(text).collect(),
                    _ => text(value).into_iter().collect(),
                };
                (!texts.is_empty()).then(|| (field, modifiers.to_owned(), texts))
            })
            .collect(),
        // A keyword.
        _ => text(node)
            .map(|it| (Field::CommandLine, "contains".to_owned(), vec![it]))
            .into_iter()
            .collect(),
    }
}

fn is_argument(name: &str) -> bool {
    name.strip_prefix('a').is_some_and(|it| it.parse::<u8>().is_ok())
}

/// Puts texts of a random rule into the event, mostly all that one of its selections asks for.
fn disturb(event: &mut Event, hints: &[Hint], random: &mut Random) {
    let Some(hint) = hints.get(random.below(hints.len() as u64) as usize) else { return };
    if let Some(category) = hint.category {
        event.category = category;
    }
    for selection in &hint.selections {
        for (field, modifiers, texts) in selection {
            if random.chance(12) {
                continue;
            }
            let all = modifiers.contains("all");
            let one = random.below(texts.len() as u64) as usize;
            let chosen: Vec<_> = texts
                .iter()
                .enumerate()
                .filter(|(place, _)| all || *place == one)
                .map(|(_, it)| it.replace('*', "x").replace('?', "y").replace("\\\\", "\\"))
                .collect();
            put(event, *field, modifiers, &chosen.join(" "), random);
        }
    }
    // The arguments stay what the command line is made of.
    let command = event.text(Field::CommandLine).unwrap_or_default().to_owned();
    event.set(
        Field::Arguments,
        Value::from(command.split(' ').map(str::to_owned).collect::<Vec<_>>()),
    );
}

fn put(event: &mut Event, field: Field, modifiers: &str, text: &str, random: &mut Random) {
    let before = event.text(field).unwrap_or_default().to_owned();
    let value = match field.form() {
        Form::Bool => (text == "true").into(),
        Form::Integer => text.parse::<i64>().unwrap_or_default().into(),
        Form::List => Value::from(text.split(' ').map(str::to_owned).collect::<Vec<_>>()),
        Form::Text if modifiers.contains("contains") => match random.below(3) {
            0 => format!("{before}{text}").into(),
            1 => format!("{before}{text} -v").into(),
            _ => format!("{} -x", text.to_uppercase()).into(),
        },
        Form::Text if modifiers.contains("endswith") => format!("/usr/bin{text}").into(),
        Form::Text if modifiers.contains("startswith") => format!("{text}/etc/x").into(),
        Form::Text => text.into(),
    };
    event.set(field, value);
}

const COMMANDS: &[&str] = &[
    "/usr/bin/ls -la --color=auto /var/log/nginx",
    "/usr/bin/grep -rn unwrap src/main.rs src/lib.rs",
    "/usr/bin/cat /proc/loadavg",
    "/usr/bin/sed -e s/foo/bar/g -i config.yaml",
    "/usr/bin/awk {print $1} access.log",
    "/usr/bin/find . -name *.o -newer Makefile",
    "/usr/bin/gcc -O2 -Wall -c -o build/obj/main.o src/main.c",
    "/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -imultiarch x86_64-linux-gnu main.c -o /tmp/ccTuK2.s",
    "/usr/bin/as --64 -o main.o /tmp/ccTuK2.s",
    "/usr/bin/ld -plugin /usr/lib/gcc/liblto_plugin.so --eh-frame-hdr -m elf_x86_64 -o main",
    "/usr/bin/make -j8 all",
    "/usr/bin/git status --porcelain=v2 --branch",
    "/usr/bin/git fetch origin --prune --tags",
    "/usr/bin/python3.11 manage.py runserver 0.0.0.0:8000",
    "/usr/bin/python3.11 -m pytest -x -q tests/unit",
    "/usr/bin/node /srv/app/server.js --port 3000",
    "/usr/bin/npm run build --production",
    "/usr/sbin/nginx -g daemon off;",
    "/usr/sbin/php-fpm8.2 --nodaemonize --fpm-config /etc/php/8.2/fpm/php-fpm.conf",
    "/usr/bin/curl -fsS https://api.example.com/v1/health?host=web-3",
    "/usr/bin/rsync -a --delete /srv/data/ backup@10.0.3.9:/backups/data/",
    "/usr/bin/tar czf /backups/etc-2026-01-01.tar.gz /etc",
    "/usr/bin/ssh -o BatchMode=yes deploy@10.0.3.4 uptime",
    "/usr/sbin/sshd -D -R",
    "/usr/bin/bash -c cd /srv/app && ./bin/migrate --check",
    "/usr/bin/dash -c test -x /usr/sbin/anacron || run-parts /etc/cron.hourly",
    "/usr/sbin/cron -f",
    "/usr/bin/systemctl is-active postgresql.service",
    "/usr/lib/systemd/systemd-executor --deserialize 42 --log-level info",
    "/usr/bin/journalctl -u nginx --since -5min --no-pager",
    "/usr/bin/dpkg --print-architecture",
    "/usr/bin/apt-get -qq update",
    "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main",
    "/usr/bin/redis-server 127.0.0.1:6379",
    "/usr/bin/date +%s",
    "/usr/bin/sleep 30",
    "/usr/bin/rm -f /tmp/build.lock",
    "/usr/bin/mv report.tmp report.json",
    "/usr/bin/chmod 0644 /srv/app/public/index.html",
    "/usr/bin/id -u",
    "/usr/bin/docker ps --format {{.Names}}",
    "/usr/bin/vim /etc/nginx/sites-available/default",
    "/usr/bin/ps aux",
    "/usr/bin/ss -ltnp",
    "/usr/bin/logger -t backup finished",
    "/usr/bin/java -Xmx2g -jar /opt/app/service.jar --spring.profiles.active=prod",
    "/usr/local/bin/cargo build --release --locked",
    "/usr/bin/rustc --crate-name model --edition=2024 src/lib.rs --emit=dep-info,metadata,link",
    "/usr/bin/mysqldump --single-transaction shop",
    "/usr/bin/psql -At -c select count(*) from jobs",
];
const USERS: &[&str] = &["root", "www-data", "deploy", "postgres", "ann", "build"];
const FILES: &[&str] = &[
    "/var/log/nginx/access.log",
    "/srv/app/cache/page-4711.html",
    "/tmp/ccTuK2.s",
    "/var/lib/postgresql/15/main/base/16384/2619",
    "/home/ann/project/src/lib.rs",
    "/etc/nginx/sites-available/default",
    "/var/lib/dpkg/status-new",
    "/run/user/1000/bus",
];
const NAMES: &[&str] = &[
    "api.example.com",
    "files.example.org",
    "db.internal",
    "packages.example.net",
    "mirror.example.net",
];

/// Something that happens all day long.
fn ordinary(random: &mut Random, at: Timestamp) -> Event {
    let category = match random.below(100) {
        0..60 => Category::ProcessCreation,
        60..78 => Category::FileEvent,
        78..88 => Category::NetworkConnection,
        88..92 => Category::DnsQuery,
        92..95 => Category::Redirection,
        95..97 => Category::Privilege,
        97..98 => Category::ProcessAccess,
        98..99 => Category::Kernel,
        _ => Category::ProcessRename,
    };
    let mut event = Event::new(category, at);
    process(&mut event, random);
    match category {
        Category::ProcessCreation => started(&mut event, random),
        Category::FileEvent => {
            let words = ["create", "write", "delete", "rename", "truncate"];
            event.set(Field::FileOperation, Value::from(random.word(&words)));
            let file = format!("{}.{}", random.word(FILES), random.below(50));
            event.set(Field::TargetFilename, Value::from(file));
            event.set(Field::TargetKind, Value::from(random.word(&["other", "log", "web"])));
            event.set(Field::TargetInTemporary, Value::from(random.chance(4)));
        }
        Category::NetworkConnection => {
            let address =
                format!("10.{}.{}.{}", random.below(4), random.below(256), random.below(256));
            event.set(Field::DestinationIp, Value::from(address));
            let port = [443_i64, 5432, 6379, 80, 53].get(random.below(5) as usize).copied();
            event.set(Field::DestinationPort, port.map(Value::from));
            event.set(Field::DestinationIsPrivate, Value::from(true));
            event.set(Field::DestinationIsLoopback, Value::from(false));
            event.set(Field::Protocol, Value::from("tcp"));
            event.set(Field::Initiated, Value::from(!random.chance(3)));
            event.set(Field::SourceIp, Value::from("10.0.0.5"));
            event.set(Field::SourcePort, Value::from(32_768 + random.below(28_000) as i64));
        }
        Category::DnsQuery => {
            let name = random.word(NAMES);
            event.set(Field::QueryName, Value::from(name));
            event.set(Field::QueryType, Value::from(1_i64));
            event.set(Field::QueryLength, Value::from(name.len() as i64));
            event.set(Field::QueryEntropy, Value::from(240_i64));
        }
        Category::Redirection => {
            event.set(Field::RedirectedDescriptor, Value::from(random.below(3) as i64));
            event.set(Field::StdioSameSocket, Value::from(false));
        }
        Category::Privilege => {
            event.set(Field::PreviousUserId, Value::from(1_000_i64));
            event.set(Field::PrivilegeGained, Value::from(true));
            event.set(Field::PrivilegeReason, Value::from("setuid_file"));
            event.set(Field::PrivilegeCall, Value::from("execve"));
        }
        Category::ProcessAccess => {
            event.set(Field::AccessKind, Value::from("signal"));
            event.set(Field::Signal, Value::from(15_i64));
            event.set(Field::TargetIsChild, Value::from(true));
        }
        Category::Kernel => {
            event
                .set(Field::KernelAction, Value::from(random.word(&["mount", "unshare", "memfd"])));
        }
        Category::ProcessRename | Category::State => {
            event.set(Field::NewName, Value::from("worker"));
        }
    }
    event
}

/// Who does it.
fn process(event: &mut Event, random: &mut Random) {
    let command = random.word(COMMANDS);
    let parent = random.word(COMMANDS);
    let image = command.split(' ').next().unwrap_or_default();
    let parent_image = parent.split(' ').next().unwrap_or_default();
    let name = |it: &'static str| it.rsplit('/').next().unwrap_or_default();
    let number = random.below(10_000);
    let user = random.word(USERS);
    let mut set = |field, value: Value| event.set(field, value);
    set(Field::Image, image.into());
    set(Field::CommandLine, format!("{command} {number}").into());
    set(Field::Arguments, Value::from(command.split(' ').map(str::to_owned).collect::<Vec<_>>()));
    set(Field::CurrentDirectory, "/srv/app/releases/20260101".into());
    set(Field::ProcessName, name(image).into());
    set(Field::ProcessId, (1_000 + number as i64).into());
    set(Field::User, user.into());
    set(Field::UserId, i64::from(user != "root").into());
    set(Field::EffectiveUserId, i64::from(user != "root").into());
    set(Field::IsInteractive, random.chance(5).into());
    set(Field::ParentImage, parent_image.into());
    set(Field::ParentCommandLine, parent.into());
    set(Field::ParentProcessId, (900 + number as i64).into());
    set(Field::ParentName, name(parent_image).into());
    set(Field::ParentUser, user.into());
    let above = ["/usr/bin/bash", "/usr/sbin/sshd", "/usr/lib/systemd/systemd"];
    set(
        Field::AncestorImages,
        Value::from(above.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()),
    );
    let above = ["bash", "sshd", "systemd"];
    set(
        Field::AncestorNames,
        Value::from(above.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()),
    );
    set(Field::SessionRole, random.word(&["ssh", "systemd", "cron"]).into());
    set(Field::ImagePackage, name(image).into());
    set(Field::ImagePackageVerified, true.into());
    set(Field::ImageKind, random.word(&["other", "other", "shell", "interpreter"]).into());
    set(Field::IsInContainer, false.into());
}

/// What is known when a program starts.
fn started(event: &mut Event, random: &mut Random) {
    let mut set = |field, value: Value| event.set(field, value);
    set(
        Field::ImageHash,
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
    );
    set(Field::ImageLinkCount, 1_i64.into());
    set(Field::ImageMode, 0o755_i64.into());
    set(Field::ImageOwnerId, 0_i64.into());
    set(Field::ImageSize, (random.below(4_000_000) as i64).into());
    set(Field::ImageAgeSeconds, 8_640_000_i64.into());
    for field in [
        Field::ImageIsSetuid,
        Field::ImageIsMemfd,
        Field::ImageIsDeleted,
        Field::ImageInTemporary,
        Field::StdinIsSocket,
        Field::StdoutIsSocket,
        Field::StdioSameSocket,
        Field::StdinRelaySocket,
        Field::StdoutRelaySocket,
        Field::SocketWasAccepted,
    ] {
        set(field, random.chance(200).into());
    }
    set(Field::StdinKind, random.word(&["terminal", "device", "pipe", "file"]).into());
    set(Field::StdoutKind, random.word(&["terminal", "pipe", "file"]).into());
    set(Field::StderrKind, random.word(&["terminal", "pipe", "file"]).into());
}
