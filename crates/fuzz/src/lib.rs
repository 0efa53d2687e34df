//! Every parser of bytes that somebody else may have written, behind one door for fuzzing.
//!
//! A target takes any bytes and must return: no panic, no overflow, no endless loop, no memory without bound.
//! `cargo xtask fuzz` drives the targets by coverage; the tests here run each one over its seed and damaged
//! copies of it, so that an ordinary test run knows the targets too.

mod host;

use std::collections::BTreeSet;

use agent::{
    collect::{
        account::{logins, passwd, sshd, sudoers},
        autostart, container, kernel_module, mask,
        port::socket,
        process::parse,
        service, software, web, web_framework,
    },
    detect::{code, enrich::given, known, names::ImageKind, sweep::refused, texts},
    packages::{digests, rpm},
    respond::{
        block::{message, protected},
        guard,
    },
    spool::{block, records},
    verdict::Verdicts,
    watch::{
        journal::file::{self, Bytes},
        utmp::{self, Book},
    },
};
use engine::{
    login::{
        header::Clock,
        lines::{Format, Reader},
    },
    place::Cidr,
    ports::Protocol,
};
use model::time::Timestamp;
use sensor::{
    audit::{assemble::Assembler, netlink, record as audit},
    ebpf::{dns, record},
    fanotify::mounts,
    lsm::record as refusal,
    processes, procfs,
};

/// Something to feed with bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// `<what>.<input>`; for a collector, what is its kind.
    pub name: &'static str,
    pub input: Input,
    /// Something good to start from.
    pub seed: &'static [u8],
}

/// Where the bytes go.
#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// They are this file of an otherwise empty host, and this collector reads it.
    HostFile { kind: &'static str, path: &'static str },
    /// They are this file of an otherwise empty host, and the index of packages reads it.
    PackageFile { path: &'static str },
    /// They go to a function.
    Bytes(fn(&[u8])),
}

/// All targets.
pub static TARGETS: &[Target] = &[
    package(
        "package.apk",
        "lib/apk/db/installed",
        b"P:musl\nV:1.2.4-r2\nF:lib\nR:libc.musl-x86_64.so.1\n\n",
    ),
    package("package.dpkg_list", "var/lib/dpkg/info/bash.list", b"/.\n/bin\n/bin/bash\n"),
    package(
        "package.dpkg_diversions",
        "var/lib/dpkg/diversions",
        b"/bin/sh\n/bin/sh.distrib\ndash\n",
    ),
    bytes(
        "package.md5sums",
        b"900150983cd24fb0d6963f7d28e17f72  usr/bin/abc\n0  usr/bin/abc\n",
        |bytes| {
            digests::in_md5sums(bytes, "/usr/bin/abc");
            digests::in_md5sums(bytes, "");
        },
    ),
    bytes(
        "package.apk_sums",
        b"P:busybox\nF:bin\nR:busybox\na:0:0:755\nZ:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        |bytes| {
            digests::in_apk(bytes, "/bin/busybox");
            digests::in_apk(bytes, "/busybox");
        },
    ),
    package("package.rpm_sqlite", "var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0"),
    package("package.rpm_ndb", "var/lib/rpm/Packages.db", b"RpmP\0\0\0\0"),
    package(
        "package.rpm_bdb",
        "var/lib/rpm/Packages",
        include_bytes!("../../agent/src/packages/rpm/fixtures/Packages"),
    ),
    host(
        "account.passwd",
        "account",
        "etc/passwd",
        b"root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n",
    ),
    bytes(
        "account.shadow",
        b"root:$y$j9T$a$b:20000:0:99999:7:::\nann:!:20000:0:99999:7::20454:\n",
        |bytes| {
            passwd::shadow(bytes);
            passwd::group(bytes);
            passwd::gshadow(bytes);
        },
    ),
    bytes("account.sudoers", b"%sudo ALL=(ALL:ALL) NOPASSWD: ALL, /bin/a : h = C\n", sudo_rules),
    bytes("account.sshd", b"Match User a,!b Address 10.*\n AuthorizedKeysFile %h/k\n", sshd_config),
    bytes(
        "account.keys",
        b"from=\"10.0.0.0/8\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAA a@b\n",
        |bytes| {
            sshd::parse_keys(bytes);
        },
    ),
    bytes("respond.packet_filter", &[16, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], |bytes| {
        message::parse(bytes, &mut Vec::new());
    }),
    bytes("respond.connections", b"head\n 0: 0100007F:16 097100CB:1 01 0:0 0:0 0 0 0 41 1\n", |bytes| {
        protected::peers_of(&String::from_utf8_lossy(bytes), 4, &BTreeSet::from([41]));
    }),
    bytes("sensor.refusal", include_bytes!("../../sensor/src/lsm/fixtures/signal.bin"), |bytes| {
        refusal::parse(bytes);
    }),
    bytes("respond.guard", b"R 7 /tmp/x", |bytes| {
        guard::parse_line(&String::from_utf8_lossy(bytes));
    }),
    bytes(
        "rules.sigma",
        b"title: t\nlogsource: {product: linux}\ndetection: {s: {Image|re: 'a+', User: ['b*', c]}, condition: 1 of s}\n",
        sigma_rule,
    ),
    bytes("detect.mounts", b"1 0 254:0 /a\\040b /data rw - ext4 /dev/vda rw\n", |bytes| {
        let all = given::mounts(bytes);
        given::shared(&all, &all);
    }),
    bytes("detect.counters", b"Tcp: AttemptFails OutRsts\nTcp: 1 2\nUdp6NoPorts 3\n", |bytes| {
        refused::parse(&[bytes]);
    }),
    bytes("detect.build_id", ELF_WITH_BUILD_ID, |bytes| {
        known::build_id(bytes);
    }),
    bytes(
        "detect.verdicts",
        b"# name\nclean ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad Test one\nba78\n",
        |bytes| {
            Verdicts::default().replace(&String::from_utf8_lossy(bytes));
        },
    ),
    bytes("detect.code", b"python3\0-W\0ignore\0-c\0import os\0a.py", given_code),
    bytes("detect.difference", b"root:x:0:0\nann:x:1:1\n\0root:x:0:0\neve:x:0:0\n", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (old, new) = text.split_once('\0').unwrap_or((&text, ""));
        let change = texts::diff(old, new);
        texts::Change::parse(&change.text());
        texts::Change::parse(&text);
    }),
    bytes("login.networks", b"192.0.2.0/24", |bytes| {
        Cidr::parse(&String::from_utf8_lossy(bytes));
    }),
    bytes("account.utmp", b"", |bytes| {
        logins::parse_wtmp(bytes);
        logins::lastlog_record(bytes);
    }),
    host(
        "software.dpkg",
        "software",
        "var/lib/dpkg/status",
        b"Package: bash\nStatus: install ok installed\nVersion: 5.2.15-2\nArchitecture: amd64\n\n",
    ),
    host(
        "software.rpm",
        "software",
        "var/lib/rpm/Packages",
        include_bytes!("../../agent/src/packages/rpm/fixtures/Packages"),
    ),
    host(
        "software.python",
        "software",
        "usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA",
        b"Metadata-Version: 2.1\nName: six\nVersion: 1.16.0\n\ntext",
    ),
    host(
        "software.node",
        "software",
        "usr/lib/node_modules/npm/package.json",
        br#"{"name":"npm","version":"9.2.0"}"#,
    ),
    host(
        "software.gem",
        "software",
        "var/lib/gems/3.1.0/specifications/rake-13.0.6.gemspec",
        b"s.name = \"rake\"\n",
    ),
    host(
        "software.jar",
        "software",
        "usr/share/java/a.jar",
        b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    host("software.go", "software", "usr/local/bin/tool", b"\x7fELF\x02\x01\x01\0"),
    host(
        "autostart.unit",
        "autostart",
        "etc/systemd/system/a.service",
        b"[Service]\nExecStart=/bin/a -b\n[Install]\nWantedBy=multi-user.target\n",
    ),
    host(
        "autostart.timer",
        "autostart",
        "etc/systemd/system/a.timer",
        b"[Timer]\nOnCalendar=daily\n",
    ),
    host(
        "autostart.crontab",
        "autostart",
        "etc/crontab",
        b"SHELL=/bin/sh\n17 * * * * root cd / && run-parts /etc/cron.hourly\n",
    ),
    host(
        "autostart.anacrontab",
        "autostart",
        "etc/anacrontab",
        b"1 5 cron.daily run-parts /etc/cron.daily\n",
    ),
    host(
        "autostart.at",
        "autostart",
        "var/spool/at/a00001",
        b"#!/bin/sh\n# atrun uid=0 gid=0\ncd /\n/bin/a\n",
    ),
    host("autostart.preload", "autostart", "etc/ld.so.preload", b"/lib/a.so\n"),
    host(
        "autostart.udev",
        "autostart",
        "etc/udev/rules.d/90-a.rules",
        b"ACTION==\"add\", RUN+=\"/bin/a\"\n",
    ),
    bytes("autostart.any", b"@reboot root sh -c 'a | b' >> /c\n", autostart::parse_any),
    bytes("software.any", b"s.name = \"a\"\n", software::parse_any),
    bytes("package.rpm_any", b"RpmP\0\0\0\0", rpm::parse_any),
    host(
        "web_site.nginx",
        "web_site",
        "etc/nginx/nginx.conf",
        b"http {\n include /etc/nginx/*.conf;\n server { listen 80; root /srv; }\n}\n",
    ),
    host(
        "web_site.apache",
        "web_site",
        "etc/apache2/apache2.conf",
        b"Define A b\nListen 80\n<VirtualHost *:80>\nDocumentRoot /${A}\n</VirtualHost>\n",
    ),
    host(
        "web_site.tomcat",
        "web_site",
        "opt/tomcat9/conf/server.xml",
        b"<Server><Connector port=\"80\"/><Host name=\"h\"/></Server>",
    ),
    host(
        "web_directory.nginx",
        "web_directory",
        "etc/nginx/nginx.conf",
        b"http { server { root /srv; location /a { alias /b; } } }\n",
    ),
    host(
        "database.postgres",
        "database",
        "var/lib/pgsql/data/postgresql.conf",
        b"listen_addresses = '*' # all\nport = 5433\n",
    ),
    host("middleware.memcached", "middleware", "etc/memcached.conf", b"-l 127.0.0.1\n-p 11211\n"),
    bytes("web_framework.composer", br#"{"packages": [{"name": "laravel/framework", "version": "v11.9.2"}]}"#, web_framework::parse_any),
    host(
        "web_framework.library",
        "web_framework",
        "usr/local/lib/node_modules/express/package.json",
        br#"{"name": "express", "version": "4.19.2"}"#,
    ),
    bytes("web_framework.version", b"<?php $wp_version = '6.4.3';", web_framework::parse_any),
    bytes("web_site.any", b"[::]:443", web::parse_any),
    bytes("service.any", b"[mysqld]\nbind-address = ::\nnet:\n  port: 1\n", service::parse_any),
    host("web_directory.tomcat", "web_directory", "var/lib/tomcat9/conf/server.xml", br#"<Server><Service><Connector port="8080"/><Engine><Host name="a" appBase="webapps"/></Engine></Service></Server>"#),
    host("database.redis", "database", "etc/redis/redis.conf", b"bind 127.0.0.1\nrequirepass a\n"),
    host("database.mysql", "database", "etc/mysql/my.cnf", b"[mysqld]\nbind-address = 127.0.0.1\n"),
    host("middleware.rabbitmq", "middleware", "etc/rabbitmq/rabbitmq.conf", b"listeners.tcp.default = 5672\n"),
    bytes("watch.journal", b"LPKSHHRH", journal),
    bytes("watch.utmp", &[7; 384], |bytes| {
        for book in [Book::Logins, Book::Failures] {
            utmp::parse(bytes, book);
        }
    }),
    bytes(
        "process.text",
        b"7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 99 0 0",
        process_text,
    ),
    bytes("container.cgroup", b"0::/system.slice/docker-0123456789abcdef.scope\n", |bytes| {
        container::parse(bytes);
    }),
    bytes("port.table", include_bytes!("../../agent/src/collect/port/fixtures/tcp"), |bytes| {
        let mut found = Vec::new();
        socket::parse_table(Protocol::Tcp, bytes, &mut found);
        socket::parse_answer(Protocol::Udp, bytes, &mut found);
    }),
    bytes(
        "kernel_module.list",
        include_bytes!("../../agent/src/collect/kernel_module/fixtures/modules"),
        |bytes| {
            kernel_module::parse::modules(bytes);
            kernel_module::parse::files(bytes);
        },
    ),
    bytes(
        "sensor.record",
        include_bytes!("../../sensor/src/ebpf/record/fixtures/exec.bin"),
        |bytes| {
            record::parse(bytes);
        },
    ),
    bytes(
        "sensor.dns",
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x10\0\x01",
        |bytes| {
            dns::parse_question(bytes);
            dns::parse_tcp(bytes);
        },
    ),
    bytes(
        "sensor.mounts",
        b"36 35 98:0 /a\\040b /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n",
        |bytes| {
            mounts::parse(bytes);
        },
    ),
    bytes(
        "sensor.audit",
        b"audit(1.002:3): arch=c000003e syscall=59 exit=0 ppid=1 pid=2 uid=0 gid=0 euid=0 egid=0 a0=\"ls\" \
          a1[0]=2D6C cwd=\"/\" name=\"/bin/ls\" dev=fe:01 mode=0100755 saddr=020001BB01020304 nametype=NORMAL",
        |bytes| {
            audit_records(bytes);
            netlink::execs(bytes);
        },
    ),
    bytes("sensor.connector", b"", |bytes| {
        processes::parse(bytes);
    }),
    bytes("sensor.procfs", b"7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 0 20 0 1 99", procfs_text),
    bytes("spool.block", b"", spool_segment),
    bytes(
        "login.lines",
        b"Nov 23 12:00:00 h sshd[7]: Failed password for root from 192.0.2.1 port 4 ssh2\n",
        log_lines,
    ),
];

/// The head of a small program: one note segment with a build id of eight bytes.
const ELF_WITH_BUILD_ID: &[u8] = b"\
    \x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0@\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\08\0\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\
    x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \x04\0\0\0\x08\0\0\0\x03\0\0\0GNU\0abcdefgh";

/// The arguments of shells and interpreters of every kind.
fn given_code(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let arguments: Vec<String> = text.split('\0').map(str::to_owned).collect();
    for kind in ImageKind::ALL {
        for name in ["bash", "python3", "perl", "ruby", "php", "node", "lua", "awk", ""] {
            code::given(*kind, name, &arguments);
        }
    }
}

/// A whole journal file, read entry by entry until its end or its first broken chain.
fn journal(bytes: &[u8]) {
    if let Ok(mut reader) = file::Reader::new(Bytes::Memory(bytes.to_vec())) {
        while let Ok(Some(_)) = reader.next_entry(&|_| true) {}
    }
}

/// What the kernel tells of a process holds its name and arguments, which the process chooses.
fn process_text(bytes: &[u8]) {
    parse::stat(bytes);
    parse::effective_uid(bytes);
    parse::boot_time(bytes);
    parse::executable(bytes);
    mask::command(&parse::arguments(bytes));
}

/// What the tiers below eBPF read of a process.
/// The same text as every record of one event.
fn audit_records(bytes: &[u8]) {
    let mut assembler = Assembler::default();
    for kind in [
        audit::SYSCALL,
        audit::EXECVE,
        audit::CWD,
        audit::PATH,
        audit::SOCKADDR,
        audit::MODULE,
        audit::END,
    ] {
        assembler.take(kind, bytes);
    }
}

fn procfs_text(bytes: &[u8]) {
    procfs::parse_stat(bytes);
    procfs::parse_status(bytes);
    procfs::parse_arguments(bytes);
    procfs::parse_loader(bytes);
    procfs::parse_net(bytes, 7);
}

/// The rules of one file, asked about an account.
fn sudo_rules(bytes: &[u8]) {
    let mut all = sudoers::Sudoers::default();
    for statement in sudoers::parse(bytes).0 {
        all.add(statement);
    }
    let asker =
        sudoers::Asker { name: "ann", uid: 1000, groups: &["sudo"], gid: 100, host: "h.example" };
    all.extent(&asker);
}

/// One file, its settings asked about an account.
fn sshd_config(bytes: &[u8]) {
    let mut files = sshd::KeyFiles::default();
    for directive in sshd::parse_config(bytes) {
        let condition = sshd::Condition::parse(&directive.arguments);
        files.settings.push((vec![condition], directive.arguments));
    }
    files.of("a", 1000, "/home/a", &["staff"]);
}

/// A segment of the spool and the records in its blocks: every byte of it is accounted for.
fn spool_segment(bytes: &[u8]) {
    let mut covered = 0;
    for piece in block::scan(bytes, 1) {
        covered += match piece {
            block::Piece::Block { offset, header } => {
                let whole = offset + block::HEADER_BYTES..offset + header.block_bytes();
                let read = bytes.get(whole).and_then(|it| records::decode(it, header.count));
                assert!(read.is_none_or(|it| it.len() == header.count as usize));
                header.block_bytes()
            }
            block::Piece::Damage { bytes, .. } | block::Piece::Tail { bytes, .. } => bytes,
        };
    }
    assert_eq!(covered, bytes.len(), "bytes of the segment are unaccounted for");
    // A CRC keeps almost everything from the decoder: give it the bytes as they are, too.
    records::decode(bytes, 3);
}

/// The lines of one log, read as each of the layouts.
fn log_lines(bytes: &[u8]) {
    let clock = Clock { now: Timestamp::from_secs(1_767_225_600), utc_offset_s: 0 };
    for format in Format::ALL {
        let mut reader = Reader::new(*format);
        for line in bytes.split(|byte| *byte == b'\n') {
            reader.line(line, clock);
        }
    }
}

const fn host(
    name: &'static str,
    kind: &'static str,
    path: &'static str,
    seed: &'static [u8],
) -> Target {
    Target { name, input: Input::HostFile { kind, path }, seed }
}

const fn package(name: &'static str, path: &'static str, seed: &'static [u8]) -> Target {
    Target { name, input: Input::PackageFile { path }, seed }
}

const fn bytes(name: &'static str, seed: &'static [u8], run: fn(&[u8])) -> Target {
    Target { name, input: Input::Bytes(run), seed }
}

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Feeds the target once.
    ///
    /// # Errors
    /// When the host's folder cannot be written; what the target makes of the bytes is no error.
    pub fn feed(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match self.input {
            Input::HostFile { kind, path } => host::collect(kind, path, bytes),
            Input::PackageFile { path } => host::packages(path, bytes),
            Input::Bytes(run) => {
                run(bytes);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;

/// The bytes as a user's rule, asked about an event that carries them too.
fn sigma_rule(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let file = engine::detect::UserRule { file: "a.yml".to_owned(), text: text.clone() };
    let catalogue = engine::content::Catalogue::default();
    if let Ok(mut engine) = engine::detect::Engine::new(&catalogue, &[file]) {
        use engine::event::{Category, Event, Field, Value};
        let mut event = Event::new(Category::ProcessCreation, Timestamp(0));
        event.set(Field::Image, Value::from(text.as_str()));
        event.set(Field::CommandLine, Value::from(text));
        engine.evaluate(&event);
    }
}
