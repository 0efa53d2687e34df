//! The pieces of work: a script each, how it is started, and that it ends.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// What every script may use.
pub(super) const LIBRARY: &str = include_str!("pieces/lib.sh");
/// What the host has had since it was set up: played before anything watches.
pub(super) const PREPARATION: &str = include_str!("pieces/prepare.sh");

/// What a piece may take: a package index from a slow mirror and a build, or what tests wait for.
const PIECE_MAX: Duration = Duration::from_mins(10);
const SHORT_PIECE_MAX: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(50);
/// How timeout(1) says that it ended a command.
const TIMED_OUT: i32 = 124;
/// Of what a failed piece printed, in lines.
const TAIL_LINES: usize = 25;
/// Rounds of waiting for what a piece left behind, and after how many it is ended.
const ENDING_ROUNDS: usize = 160;
const PATIENT_ROUNDS: usize = 60;
const PATHS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/root/.cargo/bin";

/// One piece of ordinary work.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) script: &'static str,
    /// Programs without which it is skipped.
    pub(super) needs: &'static [&'static str],
    /// Part of the tests: within some seconds and without the internet.
    pub(super) short: bool,
    pub(super) internet: bool,
}

macro_rules! piece {
    ($name:literal, $about:literal, $needs:expr) => {
        Piece {
            name: $name,
            about: $about,
            script: include_str!(concat!("pieces/", $name, ".sh")),
            needs: &$needs,
            short: true,
            internet: false,
        }
    };
}

pub(super) const PIECES: &[Piece] = &[
    piece!("build", "a C project: configure, make, tests, install, clean", ["cc", "make"]),
    piece!("git", "repositories: commits, branches, hooks, clone, gc, bundle", ["git"]),
    piece!("backup", "tar, rsync and cpio of /etc and homes, and back", ["rsync", "tar"]),
    piece!("logrotate", "logs rotated, compressed, copied and cut", ["logrotate"]),
    piece!("anacron", "jobs that are due: reports, backups, Debian's own", ["anacron"]),
    piece!(
        "ssh",
        "log-ins, commands, scp, sftp, rsync, a mistyped password",
        ["sshd", "syslog-ng"]
    ),
    piece!("web", "a PHP site under nginx and php-fpm", ["nginx", "php", "curl"]),
    piece!("python", "a virtual environment, a package built and installed", ["python3"]),
    piece!("unshare", "containers without a daemon, networks, images", ["unshare", "ip"]),
    piece!(
        "admin",
        "modules brought over ssh, accounts, sudo, cron, units",
        ["sshd", "sudo", "syslog-ng"]
    ),
    piece!("scripts", "shell scripts: pipes, encoding, archives, loops", ["openssl", "perl"]),
    piece!("editor", "vim, an interactive shell and tmux on a terminal", ["vim", "tmux", "script"]),
    piece!("monitor", "checks, strace, gdb and perf", ["lsof", "strace", "gdb", "ss"]),
    long(piece!("cron", "jobs of the system and of a user", ["cron"])),
    long(piece!("apache", "a PHP site under Apache", ["apache2", "php", "curl"])),
    long(piece!("redis", "a cache filled, dumped, restarted", ["redis-server", "redis-cli"])),
    long(piece!("mariadb", "a database made, filled, dumped, restarted", ["mariadbd"])),
    long(piece!("postgres", "a cluster made, filled, dumped, copied, restarted", ["psql"])),
    long(piece!(
        "deb",
        "a vendor's package built, installed, upgraded, purged",
        ["dpkg-deb", "cc"]
    )),
    long(piece!("rpm", "a package of the other family, the same", ["rpm", "rpmbuild", "cc"])),
    long(piece!("dumps", "dumps piped over ssh, rsync, borg", ["sshd", "sqlite3", "syslog-ng"])),
    long(piece!("mail", "mail queued, delivered, piped into a program", ["exim4", "syslog-ng"])),
    long(piece!("names", "a name server that is asked a lot", ["dnsmasq"])),
    long(piece!("ban", "fail2ban and rules of the packet filter", ["fail2ban-server", "nft"])),
    long(piece!("certs", "certificates renewed with hooks, an authority trusted", ["nginx"])),
    long(piece!("gallery", "a PHP site that runs other programs", ["nginx", "php", "convert"])),
    long(piece!("java", "a build server that runs shells", ["javac", "git", "cc"])),
    long(piece!("runner", "jobs of a continuous integration", ["git", "make", "curl"])),
    long(piece!(
        "workers",
        "application servers whose workers restart",
        ["gunicorn", "supervisord"]
    )),
    long(piece!("proxy", "a load balancer, checks, reloads", ["haproxy", "curl"])),
    long(piece!(
        "watch",
        "an administrator looks into a slow host",
        ["sshd", "tcpdump", "bpftrace", "syslog-ng"]
    )),
    long(piece!("probes", "a monitoring agent that runs commands", ["zabbix_agentd"])),
    long(piece!("notebook", "a server of one's own that starts shells", ["sshd", "python3"])),
    long(piece!("hands", "people at terminals: su, at, screen, passwords", ["script", "at"])),
    long(piece!("modules", "a kernel module built and installed by dkms", ["dkms", "cc"])),
    long(piece!("containers", "podman, buildah, crun, runc", ["podman", "busybox"])),
    long(piece!(
        "machine",
        "a whole system in a container: boot, services, a person, shutdown",
        ["systemd-nspawn", "sshd"]
    )),
    long(piece!(
        "crowd",
        "thousands who ask a web server and what is behind it",
        ["nginx", "ab", "redis-benchmark", "dnsmasq"]
    )),
    long(piece!(
        "ansible",
        "a playbook over ssh, twice",
        ["ansible-playbook", "sshd", "syslog-ng"]
    )),
    internet(piece!("upgrades", "what apt does at night", ["unattended-upgrade"])),
    internet(piece!("image", "a system bootstrapped in a folder and packed", ["debootstrap"])),
    internet(piece!("apt", "fifty packages and three services installed and removed", ["apt-get"])),
    internet(piece!("npm", "a project: install, build, test", ["npm", "node"])),
    internet(piece!("cargo", "a crate with dependencies: build, test, run", ["cargo", "cc"])),
    internet(piece!("pip", "packages and one from its source", ["python3"])),
];

/// Not part of the tests.
const fn long(piece: Piece) -> Piece {
    Piece { short: false, ..piece }
}

const fn internet(piece: Piece) -> Piece {
    Piece { internet: true, ..long(piece) }
}

/// What came of one.
#[derive(Debug)]
pub(super) enum Outcome {
    Done { pid: u32, took: Duration },
    Skipped { lacks: &'static str },
    Failed { pid: u32, reason: String, tail: String },
}

impl Outcome {
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Done { pid, .. } | Self::Failed { pid, .. } => Some(*pid),
            Self::Skipped { .. } => None,
        }
    }
}

/// `spared` runs beside the piece and is none of its processes.
pub(super) fn play(piece: &'static Piece, script: &Path, spared: u32) -> anyhow::Result<Outcome> {
    let lacks = |it: &&&str| !PATHS.split(':').any(|path| Path::new(path).join(**it).exists());
    if let Some(lacks) = piece.needs.iter().find(lacks) {
        return Ok(Outcome::Skipped { lacks });
    }
    let log = script.with_extension("log");
    let output = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
    let began = Instant::now();
    let longest = if piece.short { SHORT_PIECE_MAX } else { PIECE_MAX };
    // Ends it even when nobody is left to look at the clock.
    let mut child = Command::new("/usr/bin/timeout")
        .arg("--kill-after=5")
        .arg(longest.as_secs().to_string())
        .arg("/bin/bash")
        .arg(script)
        .env_clear()
        .envs([("PATH", PATHS), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("USER", "root")])
        .current_dir("/root")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("cannot start bash")?;
    let pid = child.id();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        collect_orphans(&[pid, spared]);
        std::thread::sleep(LOOK);
    };
    let left = end_descendants(spared);
    let reason = match status.code() {
        Some(0) if left == 0 => return Ok(Outcome::Done { pid, took: began.elapsed() }),
        Some(0) => format!("left {left} processes behind"),
        Some(TIMED_OUT) => format!("not done after {} s", longest.as_secs()),
        _ => status.to_string(),
    };
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n");
    Ok(Outcome::Failed { pid, reason, tail })
}

/// Ends what a piece left: orphans are this process's children. Returns how many there were.
fn end_descendants(spared: u32) -> usize {
    let mut ended = 0;
    for round in 0..ENDING_ROUNDS {
        collect_orphans(&[spared]);
        let left: Vec<Pid> = children().into_iter().filter(|it| number(*it) != spared).collect();
        if left.is_empty() {
            break;
        }
        for pid in left.into_iter().filter(|_| round >= PATIENT_ROUNDS) {
            if kill_process(pid, Signal::KILL).is_ok() {
                ended += 1;
            }
        }
        std::thread::sleep(LOOK);
    }
    ended
}

/// Takes note of the end of those that became this process's children, so that whoever waits for
/// them to be gone sees it. Those of `except` are waited for elsewhere.
fn collect_orphans(except: &[u32]) {
    for pid in children().into_iter().filter(|it| !except.contains(&number(*it))) {
        // It may still run.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_pid().cast_unsigned()
}

/// Children of every thread of this process.
fn children() -> Vec<Pid> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("children")).ok());
    let mut pids = Vec::new();
    for list in lists {
        let found = list.split_whitespace().filter_map(|it| Pid::from_raw(it.parse().ok()?));
        pids.extend(found);
    }
    pids
}
