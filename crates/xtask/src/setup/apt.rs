//! Debian packages, each found by what it brings rather than by its name, so that other systems can be used
//! when they have the same programs.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Result, bail};
use rustix::process::geteuid;

use super::Need;
use crate::shell::{self, Shell, find_program};

/// Refuses to start a service on installation; dpkg's maintainer scripts ask it.
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

struct Package {
    name: &'static str,
    brings: Brings,
    needs: &'static [Need],
}

enum Brings {
    Program(&'static str),
    File(&'static str),
}

use Brings::{File, Program};

/// The one list of Debian packages.
const PACKAGES: &[Package] = &[
    Package { name: "gcc", brings: Program("cc"), needs: &[Need::Build] },
    Package { name: "libc6-dev", brings: File("/usr/include/stdio.h"), needs: &[Need::Build] },
    // libbpf is compiled from its source and linked with these.
    Package { name: "make", brings: Program("make"), needs: &[Need::Build] },
    Package { name: "pkg-config", brings: Program("pkg-config"), needs: &[Need::Build] },
    Package { name: "libelf-dev", brings: File("/usr/include/libelf.h"), needs: &[Need::Build] },
    Package { name: "zlib1g-dev", brings: File("/usr/include/zlib.h"), needs: &[Need::Build] },
    // Proves that the committed kernel programs are what their sources give.
    Package { name: "clang-14", brings: Program("clang-14"), needs: &[Need::Lint] },
    Package { name: "llvm-14", brings: Program("llvm-strip-14"), needs: &[Need::Lint] },
    Package {
        name: "libbpf-dev",
        brings: File("/usr/include/bpf/bpf_helpers.h"),
        needs: &[Need::Lint],
    },
    Package { name: "shellcheck", brings: Program("shellcheck"), needs: &[Need::Lint] },
    // The end-to-end tests: a real log-in service and its clients, hosts of their own network, a browser.
    Package { name: "openssh-server", brings: Program("sshd"), needs: &[Need::Test, Need::Bench] },
    Package { name: "openssh-client", brings: Program("ssh"), needs: &[Need::Test, Need::Bench] },
    Package { name: "sshpass", brings: Program("sshpass"), needs: &[Need::Test, Need::Bench] },
    Package { name: "iproute2", brings: Program("ip"), needs: &[Need::Test, Need::Bench] },
    // Looks at the packet filter from outside.
    Package { name: "nftables", brings: Program("nft"), needs: &[Need::Test] },
    Package { name: "curl", brings: Program("curl"), needs: &[Need::Test] },
    // Attacks are acted out by what attackers find on hosts; see content/live-tests.
    Package { name: "php-cli", brings: Program("php"), needs: &[Need::Test] },
    Package { name: "ruby", brings: Program("ruby"), needs: &[Need::Test] },
    Package { name: "python3", brings: Program("python3"), needs: &[Need::Test] },
    Package { name: "perl", brings: Program("perl"), needs: &[Need::Test] },
    Package { name: "socat", brings: Program("socat"), needs: &[Need::Test] },
    Package { name: "netcat-openbsd", brings: Program("nc"), needs: &[Need::Test] },
    Package { name: "gawk", brings: Program("gawk"), needs: &[Need::Test] },
    Package { name: "whois", brings: Program("whois"), needs: &[Need::Test] },
    Package { name: "libcap2-bin", brings: Program("setcap"), needs: &[Need::Test] },
    Package { name: "cron", brings: Program("crontab"), needs: &[Need::Test] },
    Package { name: "strace", brings: Program("strace"), needs: &[Need::Test] },
    Package { name: "zip", brings: Program("zip"), needs: &[Need::Test] },
    Package { name: "p7zip-full", brings: Program("7z"), needs: &[Need::Test] },
    Package { name: "ccrypt", brings: Program("ccencrypt"), needs: &[Need::Test] },
    Package { name: "kmod", brings: Program("insmod"), needs: &[Need::Test] },
    Package { name: "inetutils-telnet", brings: Program("telnet"), needs: &[Need::Test] },
    Package { name: "ufw", brings: Program("ufw"), needs: &[Need::Test] },
    Package { name: "iputils-ping", brings: Program("ping"), needs: &[Need::Test] },
    Package { name: "wget", brings: Program("wget"), needs: &[Need::Test] },
    Package { name: "xxd", brings: Program("xxd"), needs: &[Need::Test] },
    Package { name: "unzip", brings: Program("unzip"), needs: &[Need::Test] },
    Package { name: "ed", brings: Program("ed"), needs: &[Need::Test] },
    Package { name: "auditd", brings: Program("auditctl"), needs: &[Need::Test] },
    Package { name: "openssl", brings: Program("openssl"), needs: &[Need::Test] },
    // Receivers of notifications.
    Package {
        name: "python3-aiosmtpd",
        brings: File("/usr/lib/python3/dist-packages/aiosmtpd/smtp.py"),
        needs: &[Need::Test],
    },
    Package {
        name: "syslog-ng-core",
        brings: Program("syslog-ng"),
        needs: &[Need::Test, Need::Bench],
    },
    Package { name: "chromium", brings: Program("chromium"), needs: &[Need::Test] },
    Package {
        name: "fonts-noto-cjk",
        brings: File("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
        needs: &[Need::Test],
    },
    // The sensor on another kernel.
    Package {
        name: "qemu-system-x86",
        brings: Program("qemu-system-x86_64"),
        needs: &[Need::Test],
    },
    Package { name: "busybox-static", brings: Program("busybox"), needs: &[Need::Test] },
    // Ordinary work that must cause no alarm.
    Package { name: "git", brings: Program("git"), needs: &[Need::Test, Need::Bench] },
    Package { name: "rsync", brings: Program("rsync"), needs: &[Need::Test, Need::Bench] },
    Package { name: "cpio", brings: Program("cpio"), needs: &[Need::Test, Need::Bench] },
    Package { name: "logrotate", brings: Program("logrotate"), needs: &[Need::Test, Need::Bench] },
    Package { name: "anacron", brings: Program("anacron"), needs: &[Need::Test, Need::Bench] },
    Package { name: "sudo", brings: Program("sudo"), needs: &[Need::Test, Need::Bench] },
    Package { name: "nginx-light", brings: Program("nginx"), needs: &[Need::Test, Need::Bench] },
    Package { name: "php-fpm", brings: Program("php"), needs: &[Need::Test, Need::Bench] },
    Package { name: "vim", brings: Program("vim"), needs: &[Need::Test, Need::Bench] },
    Package { name: "tmux", brings: Program("tmux"), needs: &[Need::Test, Need::Bench] },
    Package { name: "bsdutils", brings: Program("script"), needs: &[Need::Test, Need::Bench] },
    Package { name: "lsof", brings: Program("lsof"), needs: &[Need::Test, Need::Bench] },
    Package { name: "strace", brings: Program("strace"), needs: &[Need::Test, Need::Bench] },
    Package { name: "gdb", brings: Program("gdb"), needs: &[Need::Test, Need::Bench] },
    Package { name: "cron", brings: Program("cron"), needs: &[Need::Bench] },
    Package { name: "apache2", brings: Program("apache2"), needs: &[Need::Bench] },
    Package { name: "redis-server", brings: Program("redis-server"), needs: &[Need::Bench] },
    Package { name: "redis-tools", brings: Program("redis-benchmark"), needs: &[Need::Bench] },
    Package { name: "apache2-utils", brings: Program("ab"), needs: &[Need::Bench] },
    Package { name: "mariadb-server", brings: Program("mariadbd"), needs: &[Need::Bench] },
    Package { name: "postgresql", brings: Program("psql"), needs: &[Need::Bench] },
    Package { name: "rpm", brings: Program("rpmbuild"), needs: &[Need::Bench] },
    Package { name: "sqlite3", brings: Program("sqlite3"), needs: &[Need::Bench] },
    Package { name: "borgbackup", brings: Program("borg"), needs: &[Need::Bench] },
    Package { name: "exim4-daemon-light", brings: Program("exim4"), needs: &[Need::Bench] },
    Package { name: "dnsmasq-base", brings: Program("dnsmasq"), needs: &[Need::Bench] },
    Package { name: "imagemagick", brings: Program("convert"), needs: &[Need::Bench] },
    Package { name: "openjdk-17-jdk-headless", brings: Program("javac"), needs: &[Need::Bench] },
    Package { name: "gunicorn", brings: Program("gunicorn"), needs: &[Need::Bench] },
    Package { name: "supervisor", brings: Program("supervisord"), needs: &[Need::Bench] },
    Package { name: "haproxy", brings: Program("haproxy"), needs: &[Need::Bench] },
    Package { name: "tcpdump", brings: Program("tcpdump"), needs: &[Need::Bench] },
    Package { name: "bpftrace", brings: Program("bpftrace"), needs: &[Need::Bench] },
    Package { name: "zabbix-agent", brings: Program("zabbix_agentd"), needs: &[Need::Bench] },
    Package { name: "at", brings: Program("at"), needs: &[Need::Bench] },
    Package { name: "screen", brings: Program("screen"), needs: &[Need::Bench] },
    Package { name: "dkms", brings: Program("dkms"), needs: &[Need::Bench] },
    Package { name: "podman", brings: Program("podman"), needs: &[Need::Bench] },
    Package { name: "buildah", brings: Program("buildah"), needs: &[Need::Bench] },
    Package { name: "runc", brings: Program("runc"), needs: &[Need::Bench] },
    Package { name: "crun", brings: Program("crun"), needs: &[Need::Bench] },
    Package { name: "systemd-container", brings: Program("systemd-nspawn"), needs: &[Need::Bench] },
    Package { name: "ansible-core", brings: Program("ansible-playbook"), needs: &[Need::Bench] },
    Package {
        name: "unattended-upgrades",
        brings: Program("unattended-upgrade"),
        needs: &[Need::Bench],
    },
    Package { name: "debootstrap", brings: Program("debootstrap"), needs: &[Need::Bench] },
    Package { name: "certbot", brings: Program("certbot"), needs: &[Need::Bench] },
    Package { name: "acl", brings: Program("getfacl"), needs: &[Need::Bench] },
    // The peers that benches run beside Garrison.
    Package { name: "auditd", brings: Program("auditd"), needs: &[Need::Bench] },
    Package { name: "fail2ban", brings: Program("fail2ban-regex"), needs: &[Need::Bench] },
];

pub(super) fn ensure(shell: &Shell, needs: &[Need]) -> Result<()> {
    let wanted =
        PACKAGES.iter().filter(|package| package.needs.iter().any(|need| needs.contains(need)));
    let missing: Vec<&str> =
        wanted.filter(|package| !package.is_present()).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if find_program("apt-get").is_none() {
        bail!("missing here and not installable without apt: {}", missing.join(", "));
    }
    if !geteuid().is_root() {
        bail!("missing here, run as root: {by_hand}");
    }

    println!("Installing {} Debian packages", missing.len());
    let quiet = NoServices::new()?;
    // Without a network an older index may still be good enough, so its failure alone is not the end.
    let refreshed = shell::step("apt-get update", shell.command("apt-get").args(["update", "-qq"]));
    for name in missing {
        let mut command = shell.command("apt-get");
        command
            .args(["install", "-qq", "-y", "--no-install-recommends", name])
            .env("DEBIAN_FRONTEND", "noninteractive");
        if shell::step(&format!("apt-get install {name}"), &mut command).is_err() {
            let why = if refreshed.is_err() {
                " (the package index could not be refreshed: no network?)"
            } else {
                ""
            };
            bail!("cannot install {name}{why}; by hand: {by_hand}");
        }
    }
    drop(quiet);
    Ok(())
}

impl Package {
    fn is_present(&self) -> bool {
        match self.brings {
            Program(name) => find_program(name).is_some(),
            File(path) => Path::new(path).exists(),
        }
    }
}

/// While it lives, installing a package starts no service: the tests start their own, on ports of their own,
/// and a developer's machine must not begin to listen because the tests were run.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn new() -> io::Result<Self> {
        let path = Path::new(SERVICE_POLICY);
        if path.exists() {
            return Ok(Self { ours: false });
        }
        fs::write(path, "#!/bin/sh\nexit 101\n")?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        Ok(Self { ours: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(SERVICE_POLICY)
        {
            println!("  cannot remove {SERVICE_POLICY} again: {error}");
        }
    }
}
