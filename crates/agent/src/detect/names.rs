//! Tables: which programs are of which kind, and what files are for.
//!
//! Names alone decide nothing about a program: they say which packaged programs are looked up,
//! whose content then tells (see [`super::known`]).

use std::net::IpAddr;

model::words! {
    /// What a program is good for, seen by somebody who breaks in.
    ImageKind {
        Shell = "shell",
        Interpreter = "interpreter",
        NetworkTool = "network_tool",
        ReconTool = "recon_tool",
        PackageManager = "package_manager",
        Other = "other",
    }
}

model::words! {
    /// What a process that waits for others serves.
    Role {
        Web = "web",
        Database = "database",
        Ssh = "ssh",
        Mail = "mail",
        Cron = "cron",
        Container = "container",
        Other = "other",
    }
}

model::words! {
    /// Where a process comes from.
    SessionRole {
        Ssh = "ssh",
        Console = "console",
        Cron = "cron",
        Systemd = "systemd",
        Container = "container",
        None = "none",
    }
}

/// Where packaged programs lie.
pub const PROGRAM_DIRECTORIES: [&str; 6] =
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"];

#[rustfmt::skip]
const SHELLS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "ksh93", "mksh", "lksh", "ash", "fish", "tcsh", "csh", "bsd-csh", "rbash",
    "yash", "posh", "es", "elvish", "pwsh", "bash-static", "zsh-static", "sash",
];
/// Followed by a version or nothing.
#[rustfmt::skip]
const INTERPRETERS: &[&str] = &[
    "python", "pypy", "perl", "ruby", "php", "lua", "luajit", "node", "nodejs", "deno", "bun", "tclsh", "wish",
    "expect", "awk", "gawk", "mawk", "nawk", "original-awk", "guile", "gdb", "julia", "erl", "jjs", "jrunscript",
];
#[rustfmt::skip]
const NETWORK_TOOLS: &[&str] = &[
    "nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "socat", "socat1", "openssl", "curl", "wget", "telnet",
    "inetutils-telnet", "telnet.netkit", "ftp", "tnftp", "tftp", "lftp", "aria2c", "axel", "cryptcat", "sbd",
    "chisel", "gost", "frpc", "frps", "proxychains4", "sslscan", "websocat",
];
#[rustfmt::skip]
const RECON_TOOLS: &[&str] = &[
    "whoami", "id", "uname", "hostname", "hostnamectl", "ps", "pstree", "pgrep", "ss", "netstat", "ip", "ifconfig",
    "route", "arp", "arp-scan", "lsof", "nmap", "masscan", "zmap", "w", "w.procps", "who", "last", "lastlog",
    "lastb", "getent", "groups", "lscpu", "lsblk", "lsmod", "lspci", "lshw", "dmidecode", "dig", "host", "nslookup",
    "tcpdump", "tshark", "traceroute", "uptime", "printenv", "env", "finger", "systemd-detect-virt", "findmnt",
    "getcap", "netdiscover", "rpcinfo", "showmount", "smbclient", "ldapsearch", "nbtscan", "virt-what", "ping",
];
#[rustfmt::skip]
const PACKAGE_MANAGERS: &[&str] = &[
    "apt", "apt-get", "aptitude", "dpkg", "dpkg-deb", "dpkg-trigger", "rpm", "rpmdb", "dnf", "dnf4", "dnf5", "yum", "microdnf",
    "zypper", "apk", "apk.static", "pacman", "snap", "flatpak",
];
/// Of no kind of their own, but rules ask for them, so that a copy under another name is known.
#[rustfmt::skip]
pub const COPIED: &[&str] = &[
    "base64", "base32", "basenc", "xxd", "uudecode", "gpg", "cat", "cp", "mv", "dd", "tee", "head", "tail", "install",
    "ln", "rm", "touch", "shred", "truncate", "chattr", "crontab", "insmod", "whois", "sysctl", "systemctl",
    "auditctl", "journalctl", "iptables", "nft", "pkexec", "crun", "runc", "podman", "buildah", "sudo", "ssh", "scp",
    "sftp", "rsync", "find", "grep", "mkdir", "kmod", "zip", "7z", "ccrypt", "kill", "pkill", "killall", "strace",
    "john", "hydra", "hashcat", "dmesg", "getcap", "tar", "date", "unzip", "ed", "tor",
];
/// Programs that are many: which one is told by the name they are called by.
pub const MULTI_CALL: &[&str] = &["busybox", "busybox-static", "toybox", "coreutils", "uutils"];

/// What a program of this file name is, if its content is what the name says.
pub fn kind_of_name(name: &str) -> ImageKind {
    if SHELLS.contains(&name) {
        ImageKind::Shell
    } else if is_interpreter(name) {
        ImageKind::Interpreter
    } else if NETWORK_TOOLS.contains(&name) {
        ImageKind::NetworkTool
    } else if RECON_TOOLS.contains(&name) {
        ImageKind::ReconTool
    } else if PACKAGE_MANAGERS.contains(&name) {
        ImageKind::PackageManager
    } else {
        ImageKind::Other
    }
}

/// `python3.11`, `php8.2`, `perl5.36-x86_64-linux-gnu`; `php-fpm8.2` serves and is none.
fn is_interpreter(name: &str) -> bool {
    INTERPRETERS.iter().any(|it| {
        name.strip_prefix(it).is_some_and(|rest| {
            let version = rest.trim_start_matches(|it: char| it.is_ascii_digit() || it == '.');
            let of_machine = version.starts_with('-') && version.contains("linux");
            version.is_empty() || (rest.len() > version.len() && of_machine)
        })
    })
}

/// The package manager that installs for the whole host, by name of its program.
pub fn system_transaction(name: &str) -> Option<&'static str> {
    Some(match name {
        "apt" | "apt-get" | "aptitude" | "apt.systemd.daily" | "unattended-upgrade" => "apt",
        "dpkg" | "dpkg-trigger" | "dpkg-reconfigure" => "dpkg",
        "rpm" => "rpm",
        "dnf" | "dnf4" | "dnf5" | "yum" | "microdnf" | "dnf-3" => "dnf",
        "zypper" => "zypper",
        "apk" | "apk.static" => "apk",
        "pacman" => "pacman",
        _ => return None,
    })
}

/// One that installs for a project or a user: its scripts are of anybody.
pub fn user_transaction(name: &str) -> Option<&'static str> {
    match name {
        "npm" | "npm-cli.js" | "npx" | "npx-cli.js" | "yarn" | "pnpm" => Some("npm"),
        _ if name
            .strip_prefix("pip")
            .is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit() || it == b'.')) =>
        {
            Some("pip")
        }
        _ => None,
    }
}

/// A program of this name writes down or watches what happens here: whoever wants to be unseen
/// ends it first.
pub fn keeps_watch(name: &str) -> bool {
    #[rustfmt::skip]
    const NAMES: &[&str] = &[
        "rsyslogd", "syslog-ng", "syslogd", "metalog", "systemd-journald", "auditd", "osqueryd", "falco", "tetragon",
        "wazuh-agentd", "clamd", "fail2ban-server", "crowdsec", "elkeid-agent", "hostguard", "filebeat", "fluent-bit",
        "auditbeat", "falcon-sensor", "cbdaemon", "cbagentd", "wdavdaemon", "sentinelone-agent", "xagt", "ds_agent",
        "suricata", "snort",
    ];
    NAMES.contains(&name)
}

/// A program of this name is what the host is there for, or what it needs to run: whoever wants to
/// do harm ends it.
pub fn is_relied_on(name: &str) -> bool {
    #[rustfmt::skip]
    const NAMES: &[&str] = &[
        "cron", "crond", "atd", "mysqld", "mariadbd", "postgres", "mongod", "redis-server", "redis-check-rdb", "nginx",
        "apache2", "httpd", "dockerd", "containerd", "named", "slapd", "chronyd", "smbd", "exim4", "dovecot",
        "systemd-logind", "systemd-timesyncd", "systemd-resolved", "systemd-networkd",
    ];
    NAMES.contains(&name)
}

/// What a packaged program of this name serves, whether or not it listens itself.
pub fn role_of_name(name: &str) -> Option<Role> {
    Some(match name {
        "sshd" | "sshd-session" | "sshd-auth" | "dropbear" => Role::Ssh,
        "cron" | "crond" | "atd" | "anacron" | "fcron" => Role::Cron,
        "dockerd" | "containerd" | "crio" | "podman" | "conmon" | "runc" | "crun" => {
            Role::Container
        }
        it if it.starts_with("containerd-shim") => Role::Container,
        it if it.starts_with("php-fpm") || it.starts_with("php-cgi") => Role::Web,
        _ => return None,
    })
}

/// What a packaged program of this name serves once it listens.
pub fn role_of_listener(name: &str, port: u16) -> Role {
    let named = match name {
        "nginx" | "apache2" | "httpd" | "caddy" | "lighttpd" | "haproxy" | "uwsgi" => {
            Some(Role::Web)
        }
        "mysqld" | "mariadbd" | "postgres" | "mongod" | "memcached" | "valkey-server" => {
            Some(Role::Database)
        }
        it if it.starts_with("redis-") => Some(Role::Database),
        "master" | "exim4" | "exim" | "dovecot" | "sendmail" | "smtpd" | "opensmtpd" => {
            Some(Role::Mail)
        }
        it => role_of_name(it),
    };
    named.unwrap_or_else(|| role_of_port(port))
}

/// What is usually served at a port. Ports of services that rules trust more than others (ssh,
/// mail) are not here: anybody may listen there.
pub fn role_of_port(port: u16) -> Role {
    match port {
        80
        | 81
        | 443
        | 591
        | 3000
        | 5000
        | 8000
        | 8008
        | 8080..=8090
        | 8443
        | 8880
        | 8888
        | 9000
        | 9443 => Role::Web,
        1433 | 1521 | 3306 | 5432 | 6379 | 9200 | 11211 | 27017 => Role::Database,
        _ => Role::Other,
    }
}

/// World-writable places and what belongs to one user's moment.
pub fn is_temporary(path: &str) -> bool {
    const PLACES: [&str; 7] =
        ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/run/shm/", "/run/lock/", "/var/lock/"];
    PLACES.iter().any(|it| path.starts_with(it)) || path.starts_with("/dev/mqueue/")
}

model::words! {
    /// What a file is for.
    TargetKind {
        Account = "account",
        /// Password hashes and what programs sign in with.
        Secret = "secret",
        PrivateKey = "private_key",
        LoginKey = "login_key",
        Sudo = "sudo",
        Pam = "pam",
        Cron = "cron",
        Systemd = "systemd",
        Init = "init",
        /// What a package manager is told to run beside its own work.
        Installer = "installer",
        Profile = "profile",
        Loader = "loader",
        SshConfig = "ssh_config",
        /// Whom the host believes.
        Trust = "trust",
        Resolver = "resolver",
        /// What is logged and audited.
        Audit = "audit",
        /// What the packet filter lets in.
        Firewall = "firewall",
        Log = "log",
        History = "history",
        /// What others wrote to the users of this host.
        Mail = "mail",
        Binary = "binary",
        ShellBinary = "shell_binary",
        Web = "web",
        Kernel = "kernel",
        Agent = "agent",
        Other = "other",
    }
}

/// Keys as OpenSSH names them, wherever they were put.
#[rustfmt::skip]
const KEY_NAMES: &[&str] = &["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk"];

/// Folders and what everything below them is for; the first that fits.
const FOLDERS: &[(&str, TargetKind)] = &[
    ("/var/lib/garrison/", TargetKind::Agent),
    ("/etc/garrison/", TargetKind::Agent),
    ("/etc/sudoers.d/", TargetKind::Sudo),
    ("/etc/polkit-1/", TargetKind::Sudo),
    ("/etc/pam.d/", TargetKind::Pam),
    ("/etc/security/", TargetKind::Pam),
    ("/etc/cron", TargetKind::Cron),
    ("/var/spool/cron/", TargetKind::Cron),
    ("/var/spool/at/", TargetKind::Cron),
    ("/var/spool/anacron/", TargetKind::Cron),
    ("/etc/systemd/journald.conf.d/", TargetKind::Audit),
    ("/etc/systemd/", TargetKind::Systemd),
    ("/usr/lib/systemd/system", TargetKind::Systemd),
    ("/lib/systemd/system", TargetKind::Systemd),
    ("/usr/lib/systemd/user", TargetKind::Systemd),
    ("/usr/local/lib/systemd/", TargetKind::Systemd),
    ("/run/systemd/system/", TargetKind::Systemd),
    ("/run/systemd/generator", TargetKind::Other),
    ("/run/systemd/transient/", TargetKind::Other),
    ("/etc/init.d/", TargetKind::Init),
    ("/etc/rc", TargetKind::Init),
    ("/etc/init/", TargetKind::Init),
    ("/etc/udev/rules.d/", TargetKind::Init),
    ("/etc/update-motd.d/", TargetKind::Init),
    ("/etc/network/if-", TargetKind::Init),
    ("/etc/NetworkManager/dispatcher.d/", TargetKind::Init),
    ("/etc/initramfs-tools/", TargetKind::Init),
    ("/etc/dracut.conf.d/", TargetKind::Init),
    ("/usr/lib/dracut/modules.d/", TargetKind::Init),
    ("/etc/grub.d/", TargetKind::Init),
    ("/etc/kernel/", TargetKind::Init),
    ("/etc/dhcp/dhclient-", TargetKind::Init),
    ("/etc/ppp/ip-", TargetKind::Init),
    ("/etc/X11/Xsession.d/", TargetKind::Init),
    ("/usr/share/dbus-1/system-services/", TargetKind::Init),
    ("/etc/dbus-1/system-services/", TargetKind::Init),
    ("/etc/apt/apt.conf.d/", TargetKind::Installer),
    ("/etc/dpkg/dpkg.cfg.d/", TargetKind::Installer),
    ("/etc/dnf/plugins/", TargetKind::Installer),
    ("/etc/yum/pluginconf.d/", TargetKind::Installer),
    ("/usr/lib/yum-plugins/", TargetKind::Installer),
    ("/etc/NetworkManager/system-connections/", TargetKind::Secret),
    ("/etc/wireguard/", TargetKind::Secret),
    ("/var/lib/sss/db/", TargetKind::Secret),
    ("/var/lib/sss/secrets/", TargetKind::Secret),
    ("/etc/profile.d/", TargetKind::Profile),
    ("/etc/ld.so.conf.d/", TargetKind::Loader),
    ("/etc/ssh/", TargetKind::SshConfig),
    ("/etc/ssl/private/", TargetKind::PrivateKey),
    ("/etc/pki/tls/private/", TargetKind::PrivateKey),
    ("/etc/ssl/certs/", TargetKind::Trust),
    ("/usr/local/share/ca-certificates/", TargetKind::Trust),
    ("/etc/pki/ca-trust/", TargetKind::Trust),
    ("/etc/audit/", TargetKind::Audit),
    ("/etc/audisp/", TargetKind::Audit),
    ("/etc/rsyslog.d/", TargetKind::Audit),
    ("/etc/syslog-ng/", TargetKind::Audit),
    ("/etc/logrotate.d/", TargetKind::Audit),
    ("/etc/ufw/", TargetKind::Firewall),
    ("/etc/firewalld/", TargetKind::Firewall),
    ("/etc/nftables/", TargetKind::Firewall),
    ("/etc/iptables/", TargetKind::Firewall),
    ("/var/log/", TargetKind::Log),
    ("/run/log/journal/", TargetKind::Log),
    ("/var/lib/docker/containers/", TargetKind::Log),
    ("/var/mail/", TargetKind::Mail),
    ("/var/spool/mail/", TargetKind::Mail),
    ("/usr/bin/", TargetKind::Binary),
    ("/usr/sbin/", TargetKind::Binary),
    ("/bin/", TargetKind::Binary),
    ("/sbin/", TargetKind::Binary),
    ("/usr/local/bin/", TargetKind::Binary),
    ("/usr/local/sbin/", TargetKind::Binary),
    ("/usr/lib/", TargetKind::Binary),
    ("/lib/", TargetKind::Binary),
    ("/lib64/", TargetKind::Binary),
    ("/boot/", TargetKind::Kernel),
    ("/etc/modprobe.d/", TargetKind::Kernel),
    ("/etc/modules-load.d/", TargetKind::Kernel),
    ("/proc/sys/", TargetKind::Kernel),
    ("/proc/sysrq-trigger", TargetKind::Kernel),
    ("/sys/kernel/", TargetKind::Kernel),
    ("/sys/fs/cgroup/", TargetKind::Kernel),
    ("/etc/sysctl.d/", TargetKind::Kernel),
    ("/var/www/", TargetKind::Web),
    ("/srv/www/", TargetKind::Web),
    ("/srv/http/", TargetKind::Web),
    ("/usr/share/nginx/html/", TargetKind::Web),
];

/// Names down to a home and its own; `/var/lib` has those of services, and below `/home` they may
/// be parted once more.
const HOME_DEPTH_MAX: usize = 2;

/// Single files.
const FILES: &[(&str, TargetKind)] = &[
    ("/etc/passwd", TargetKind::Account),
    ("/etc/shadow", TargetKind::Secret),
    ("/etc/shadow-", TargetKind::Secret),
    ("/etc/gshadow-", TargetKind::Secret),
    ("/etc/security/opasswd", TargetKind::Secret),
    ("/etc/krb5.keytab", TargetKind::Secret),
    ("/etc/mysql/debian.cnf", TargetKind::Secret),
    ("/etc/ppp/chap-secrets", TargetKind::Secret),
    ("/etc/ppp/pap-secrets", TargetKind::Secret),
    ("/etc/ipsec.secrets", TargetKind::Secret),
    ("/etc/swanctl/swanctl.conf", TargetKind::Secret),
    ("/etc/kubernetes/admin.conf", TargetKind::Secret),
    ("/etc/apt/apt.conf", TargetKind::Installer),
    ("/etc/dpkg/dpkg.cfg", TargetKind::Installer),
    ("/etc/group", TargetKind::Account),
    ("/etc/gshadow", TargetKind::Secret),
    ("/etc/subuid", TargetKind::Account),
    ("/etc/subgid", TargetKind::Account),
    ("/etc/login.defs", TargetKind::Account),
    ("/etc/sudoers", TargetKind::Sudo),
    ("/etc/doas.conf", TargetKind::Sudo),
    ("/etc/pam.conf", TargetKind::Pam),
    ("/etc/nsswitch.conf", TargetKind::Resolver),
    ("/etc/hosts", TargetKind::Resolver),
    ("/etc/resolv.conf", TargetKind::Resolver),
    ("/etc/ca-certificates.conf", TargetKind::Trust),
    ("/etc/rsyslog.conf", TargetKind::Audit),
    ("/etc/syslog.conf", TargetKind::Audit),
    ("/etc/auditd.conf", TargetKind::Audit),
    ("/etc/libaudit.conf", TargetKind::Audit),
    ("/etc/default/ufw", TargetKind::Firewall),
    ("/etc/nftables.conf", TargetKind::Firewall),
    ("/etc/sysconfig/iptables", TargetKind::Firewall),
    ("/etc/sysconfig/ip6tables", TargetKind::Firewall),
    ("/etc/logrotate.conf", TargetKind::Audit),
    ("/etc/systemd/journald.conf", TargetKind::Audit),
    ("/etc/anacrontab", TargetKind::Cron),
    ("/etc/inittab", TargetKind::Init),
    ("/etc/rc.local", TargetKind::Init),
    ("/etc/profile", TargetKind::Profile),
    ("/etc/bash.bashrc", TargetKind::Profile),
    ("/etc/bashrc", TargetKind::Profile),
    ("/etc/zsh/zshrc", TargetKind::Profile),
    ("/etc/zsh/zshenv", TargetKind::Profile),
    ("/etc/environment", TargetKind::Profile),
    ("/etc/ld.so.preload", TargetKind::Loader),
    ("/etc/ld.so.conf", TargetKind::Loader),
    ("/etc/ld.so.cache", TargetKind::Other),
    ("/etc/sysctl.conf", TargetKind::Kernel),
    ("/etc/modules", TargetKind::Kernel),
];

/// What the file at `path` is for.
pub fn target_kind(path: &str) -> TargetKind {
    if let Some((_, kind)) = FILES.iter().find(|(it, _)| *it == path) {
        return *kind;
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if folder.ends_with("/.ssh") {
        match name {
            "authorized_keys" | "authorized_keys2" => return TargetKind::LoginKey,
            "config" | "rc" | "environment" => return TargetKind::SshConfig,
            _ if name.starts_with("id_") && !is_public_half(name) => {
                return TargetKind::PrivateKey;
            }
            _ => {}
        }
    }
    if is_handler(path, name) {
        return TargetKind::Kernel;
    }
    if KEY_NAMES.contains(&name) || folder.ends_with("/.gnupg/private-keys-v1.d") {
        return TargetKind::PrivateKey;
    }
    if name.starts_with('.') {
        if name.ends_with("_history") || matches!(name, ".history" | ".lesshst" | ".viminfo") {
            return TargetKind::History;
        }
        if PROFILES.contains(&name) && is_home(folder) {
            return TargetKind::Profile;
        }
    }
    if is_credential(path, name) {
        return TargetKind::Secret;
    }
    if folder.contains("/.config/systemd/user") || folder.contains("/.local/share/systemd/user") {
        return TargetKind::Systemd;
    }
    if folder.ends_with("/.config/autostart") || folder == "/etc/xdg/autostart" {
        return TargetKind::Init;
    }
    if is_interpreter_start(folder, name) || (name == "config.fish" && folder.ends_with("/fish")) {
        return TargetKind::Profile;
    }
    let found = FOLDERS.iter().find(|(it, _)| path.starts_with(it)).map(|(_, kind)| *kind);
    match found {
        Some(TargetKind::Binary) if kind_of_name(name) == ImageKind::Shell => {
            TargetKind::ShellBinary
        }
        Some(TargetKind::SshConfig) if name.starts_with("ssh_host_") && !is_public_half(name) => {
            TargetKind::PrivateKey
        }
        Some(kind) if is_inert(kind, folder, name) => TargetKind::Other,
        Some(kind) => kind,
        None => TargetKind::Other,
    }
}

/// Lies where homes do; elsewhere, in backups and images, nothing carries a profile out.
fn is_home(folder: &str) -> bool {
    let depth = folder.matches('/').count();
    let is_parted = folder.starts_with("/home/") || folder.starts_with("/var/lib/");
    depth <= HOME_DEPTH_MAX || (is_parted && depth == HOME_DEPTH_MAX + 1)
}

/// A file beside the configuration that the program it configures leaves out: hidden ones, as they
/// are written before they are put in place, and copies of what was there. What counts is when one
/// of them gets a name that is read.
fn is_inert(kind: TargetKind, folder: &str, name: &str) -> bool {
    const LEFT_OUT: [&str; 8] = [
        "~",
        ".dpkg-new",
        ".dpkg-tmp",
        ".dpkg-old",
        ".dpkg-dist",
        ".rpmsave",
        ".rpmnew",
        ".rpmorig",
    ];
    const COPIES: [&str; 4] = [".bak", ".orig", ".old", ".swp"];
    let ends = |names: &[&str]| names.iter().any(|it| name.ends_with(it));
    match kind {
        // Some cron daemons read jobs with a dot in their names; crontab(1) writes to tmp.XXXXXX.
        TargetKind::Cron => name.starts_with('.') || name.starts_with("tmp.") || ends(&LEFT_OUT),
        TargetKind::Systemd
        | TargetKind::Profile
        | TargetKind::SshConfig
        | TargetKind::Audit
        | TargetKind::Firewall
        | TargetKind::Installer
        | TargetKind::Sudo => name.starts_with('.') || ends(&LEFT_OUT) || ends(&COPIES),
        // Of a container only its output is a log, not what describes it.
        TargetKind::Log if folder.starts_with("/var/lib/docker/") => !name.ends_with("-json.log"),
        _ => false,
    }
}

/// Python carries these out at every start, where it looks for modules.
fn is_interpreter_start(folder: &str, name: &str) -> bool {
    let modules = ["/site-packages", "/dist-packages"].iter().any(|it| folder.ends_with(it));
    let is_searched =
        modules || folder.contains("/lib/python") || folder.starts_with("/etc/python");
    matches!(name, "sitecustomize.py" | "usercustomize.py") && is_searched
}

/// Names a program that the kernel itself starts, wherever its file system is mounted.
fn is_handler(path: &str, name: &str) -> bool {
    matches!(name, "release_agent" | "core_pattern" | "uevent_helper" | "usermodehelper")
        || path.ends_with("/kernel/modprobe")
        || path.ends_with("/binfmt_misc/register")
}

/// OpenSSH writes the public half of a key beside it.
fn is_public_half(name: &str) -> bool {
    name.strip_suffix(".pub").is_some()
}

/// Files in which programs keep what they sign in with.
fn is_credential(path: &str, name: &str) -> bool {
    const ENDS: [&str; 8] = [
        "/.aws/credentials",
        "/.docker/config.json",
        "/.kube/config",
        "/.azure/accessTokens.json",
        "/.config/gcloud/credentials.db",
        "/.config/gcloud/application_default_credentials.json",
        "/.config/gh/hosts.yml",
        "/.gem/credentials",
    ];
    #[rustfmt::skip]
    let names = [
        ".netrc", ".pgpass", ".my.cnf", ".git-credentials", ".npmrc", ".pypirc", ".vault-token", "krb5.keytab",
        // Browsers keep passwords in these.
        "logins.json", "key4.db", "Login Data",
    ];
    names.contains(&name) || ENDS.iter().any(|it| path.ends_with(it))
}

#[rustfmt::skip]
const PROFILES: &[&str] = &[
    ".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".shrc", ".shinit",
    ".zshrc", ".zshenv", ".zprofile", ".zlogin", ".zlogout", ".kshrc", ".mkshrc", ".cshrc", ".tcshrc", ".login",
    ".logout", ".xinitrc", ".xsession", ".xsessionrc", ".xprofile", ".inputrc",
];

/// Kinds of files whose text is remembered, to show what changed.
pub fn is_watched_text(kind: TargetKind) -> bool {
    matches!(
        kind,
        TargetKind::Account
            | TargetKind::LoginKey
            | TargetKind::Sudo
            | TargetKind::Pam
            | TargetKind::Cron
            | TargetKind::Systemd
            | TargetKind::Init
            | TargetKind::Installer
            | TargetKind::Profile
            | TargetKind::Loader
            | TargetKind::SshConfig
            | TargetKind::Trust
            | TargetKind::Resolver
            | TargetKind::Audit
            | TargetKind::Firewall
    ) || kind == TargetKind::Secret
}

/// Loopback, link-local or private.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(it) => {
            let shared = u32::from(it) >> 22 == (100 << 2) | 1;
            it.is_loopback()
                || it.is_private()
                || it.is_link_local()
                || it.is_unspecified()
                || shared
        }
        IpAddr::V6(it) => {
            let narrow = it.is_unique_local() || it.is_unicast_link_local();
            it.is_loopback() || it.is_unspecified() || narrow
        }
    }
}

pub fn is_loopback(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_by_name() {
        for (name, kind) in [
            ("bash", ImageKind::Shell),
            ("python3.11", ImageKind::Interpreter),
            ("perl5.36-x86_64-linux-gnu", ImageKind::Interpreter),
            ("php-fpm8.2", ImageKind::Other),
            ("php8.2", ImageKind::Interpreter),
            ("python-config", ImageKind::Other),
            ("perlbug", ImageKind::Other),
            ("nc.openbsd", ImageKind::NetworkTool),
            ("id", ImageKind::ReconTool),
            ("dpkg", ImageKind::PackageManager),
            ("cat", ImageKind::Other),
        ] {
            assert_eq!(kind_of_name(name), kind, "{name}");
        }
        assert_eq!(user_transaction("pip3.11"), Some("pip"));
        assert_eq!(user_transaction("pipewire"), None);
        assert_eq!(system_transaction("apt-get"), Some("apt"));
    }

    #[test]
    fn files_by_path() {
        for (path, kind) in [
            ("/etc/passwd", TargetKind::Account),
            ("/root/.ssh/authorized_keys", TargetKind::LoginKey),
            ("/home/a/.ssh/id_ed25519", TargetKind::PrivateKey),
            ("/home/a/.ssh/id_ed25519.pub", TargetKind::Other),
            ("/etc/shadow", TargetKind::Secret),
            ("/root/.aws/credentials", TargetKind::Secret),
            ("/home/a/.bash_history", TargetKind::History),
            ("/home/a/.bashrc", TargetKind::Profile),
            ("/root/.profile", TargetKind::Profile),
            ("/etc/skel/.bashrc", TargetKind::Profile),
            ("/var/backups/home/a/.bashrc", TargetKind::Other),
            ("/home/a/.shrc", TargetKind::Profile),
            ("/home/a/.config/fish/config.fish", TargetKind::Profile),
            ("/home/a/.local/lib/python3.11/site-packages/usercustomize.py", TargetKind::Profile),
            ("/srv/backup/etc/python3.11/sitecustomize.py", TargetKind::Other),
            ("/home/a/.gnupg/private-keys-v1.d/0A.key", TargetKind::PrivateKey),
            ("/etc/systemd/journald.conf.d/a.conf", TargetKind::Audit),
            ("/etc/libaudit.conf", TargetKind::Audit),
            ("/etc/ufw/user.rules", TargetKind::Firewall),
            ("/etc/nftables.conf", TargetKind::Firewall),
            ("/proc/sysrq-trigger", TargetKind::Kernel),
            ("/var/lib/postgresql/.profile", TargetKind::Profile),
            ("/srv/image/root/.bashrc", TargetKind::Other),
            ("/etc/cron.d/x", TargetKind::Cron),
            ("/etc/crontab", TargetKind::Cron),
            ("/etc/cron.d/.x.tmp", TargetKind::Other),
            ("/etc/cron.d/x.bak", TargetKind::Cron),
            ("/var/spool/cron/crontabs/tmp.Ab12Cd", TargetKind::Other),
            ("/etc/ssh/sshd_config.bak", TargetKind::Other),
            ("/etc/ssh/sshd_config.d/a.conf", TargetKind::SshConfig),
            ("/root/.ssh/.config", TargetKind::Other),
            ("/etc/systemd/system/.tmp1", TargetKind::Other),
            ("/usr/bin/bash", TargetKind::ShellBinary),
            ("/usr/bin/ls", TargetKind::Binary),
            ("/etc/ld.so.preload", TargetKind::Loader),
            ("/etc/ld.so.cache", TargetKind::Other),
            ("/home/a/.config/systemd/user/x.service", TargetKind::Systemd),
            ("/run/systemd/transient/session-1.scope", TargetKind::Other),
            ("/proc/sys/kernel/core_pattern", TargetKind::Kernel),
            ("/var/www/html/x.php", TargetKind::Web),
            ("/tmp/cg/release_agent", TargetKind::Kernel),
            ("/etc/apt/apt.conf.d/99x", TargetKind::Installer),
            ("/etc/NetworkManager/system-connections/a.nmconnection", TargetKind::Secret),
            ("/etc/NetworkManager/dispatcher.d/1", TargetKind::Init),
            ("/var/mail/alice", TargetKind::Mail),
            ("/var/lib/docker/containers/0a/0a-json.log", TargetKind::Log),
            ("/var/lib/docker/containers/0a/hostname", TargetKind::Other),
            ("/tmp/x", TargetKind::Other),
        ] {
            assert_eq!(target_kind(path), kind, "{path}");
        }
    }

    #[test]
    fn addresses() {
        for (ip, private, loopback) in [
            ("127.0.0.1", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("10.1.2.3", true, false),
            ("100.64.0.1", true, false),
            ("fe80::1", true, false),
            ("192.0.2.1", false, false),
            ("2001:db8::1", false, false),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!((is_private(ip), is_loopback(ip)), (private, loopback), "{ip}");
        }
    }
}
