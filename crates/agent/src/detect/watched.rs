//! What the sensor is told to watch on this host: where files decide who may what, what starts,
//! what is remembered of it, and what is secret.

use crate::collect::account::passwd::{Passwd, passwd};
use crate::collect::fields::text;
use crate::collect::users::PASSWD_BYTES_MAX;
use crate::host_root::HostRoot;

/// Folders, and single files, whose changes are told.
#[rustfmt::skip]
const WATCHED: [&str; 20] = [
    "/etc", "/root", "/home", "/usr", "/boot", "/srv", "/opt", "/var/www", "/var/log",
    "/var/mail", "/var/spool/mail", "/var/spool/cron", "/var/spool/at", "/var/lib/garrison", "/run/systemd/system",
    "/run/systemd/transient", "/proc/sys", "/proc/sysrq-trigger", "/sys/kernel", "/sys/fs/cgroup",
];
/// Folders where everybody makes files.
const BUSY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// Files of which reading is told too, beside those in homes.
#[rustfmt::skip]
const SECRETS: [&str; 18] = [
    "/var/mail",
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/security/opasswd", "/etc/krb5.keytab",
    "/etc/ssl/private", "/etc/mysql/debian.cnf", "/etc/ppp/chap-secrets", "/etc/ppp/pap-secrets", "/etc/ipsec.secrets",
    "/etc/swanctl/swanctl.conf", "/etc/kubernetes/admin.conf", "/etc/NetworkManager/system-connections",
    "/etc/wireguard", "/var/lib/sss/db", "/var/lib/sss/secrets",
];
/// The same below each home.
#[rustfmt::skip]
const SECRETS_AT_HOME: [&str; 18] = [
    ".ssh", ".gnupg", ".gnupg/private-keys-v1.d", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh",
    ".netrc", ".pgpass",
    ".my.cnf", ".git-credentials", ".vault-token", ".bash_history", ".zsh_history", ".ash_history", ".python_history",
];
/// Where each container of Docker keeps its output; watched where it is there.
const CONTAINERS: &str = "/var/lib/docker/containers";
/// The memory of a process, in its folder of `/proc`.
const MEMORY_NAME: &str = "mem";
/// Names of files that are secret wherever they lie.
#[rustfmt::skip]
const SECRET_NAMES: [&str; 27] = [
    ".bash_history", ".zsh_history", ".ash_history", ".sh_history", ".ksh_history", ".history", ".python_history",
    ".mysql_history", ".psql_history", ".rediscli_history", ".node_repl_history", ".lesshst",
    "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk",
    ".netrc", ".pgpass", ".my.cnf", ".git-credentials", ".vault-token",
    "krb5.keytab", "logins.json", "key4.db", "Login Data",
];
/// Homes that are looked into.
const HOMES_MAX: usize = 256;

/// The sensor's task on this host.
pub fn sensor(root: &HostRoot) -> sensor::Config {
    let homes = homes(root);
    let own = |it: &&String| !WATCHED.iter().any(|place| is_below(it, place));
    let mut watched: Vec<String> = WATCHED.iter().map(|it| (*it).to_owned()).collect();
    watched.extend(homes.iter().filter(own).cloned());
    if root.metadata(CONTAINERS).is_ok() {
        watched.push(CONTAINERS.to_owned());
    }
    let mut secrets: Vec<String> = SECRETS.iter().map(|it| (*it).to_owned()).collect();
    secrets.extend(homes.iter().flat_map(|home| SECRETS_AT_HOME.map(|it| format!("{home}/{it}"))));
    sensor::Config {
        watched_prefixes: watched,
        busy_prefixes: BUSY.map(str::to_owned).to_vec(),
        secret_paths: secrets,
        secret_names: SECRET_NAMES
            .iter()
            .chain([&MEMORY_NAME])
            .map(|it| (*it).to_owned())
            .collect(),
        ..sensor::Config::default()
    }
}

/// Homes of people and of root: of accounts whose shell lets in.
fn homes(root: &HostRoot) -> Vec<String> {
    let bytes = root.read("/etc/passwd", PASSWD_BYTES_MAX).unwrap_or_default();
    let own = |it: Passwd| {
        let lets_in = !it.shell.ends_with(b"/nologin") && !it.shell.ends_with(b"/false");
        let home = text(&it.home).trim_end_matches('/').to_owned();
        let is_own = home.len() > 1 && !matches!(home.as_str(), "/bin" | "/dev" | "/usr/sbin");
        (lets_in && is_own && home.starts_with('/')).then_some(home)
    };
    let mut homes: Vec<String> = passwd(&bytes).rows.into_iter().filter_map(own).collect();
    homes.sort();
    homes.dedup();
    homes.truncate(HOMES_MAX);
    homes
}

fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::names::{TargetKind, target_kind};

    #[test]
    fn names_that_are_told_mean_something_to_rules() {
        for name in SECRET_NAMES {
            let kind = target_kind(&format!("/data/x/{name}"));
            let known = [TargetKind::Secret, TargetKind::PrivateKey, TargetKind::History];
            assert!(known.contains(&kind), "{name} is {kind:?}");
        }
    }

    #[test]
    fn homes_are_watched_and_what_they_hide_is_secret() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd = "root:x:0:0::/root:/bin/bash\nbin:x:2:2::/bin:/usr/sbin/nologin\n\
                      ann:x:1000:1000::/home/ann:/bin/sh\nci:x:1001:1001::/data/ci/:/bin/sh\n\
                      sync:x:4:65534:sync:/bin:/bin/sync\nbroken\n";
        std::fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        let config = sensor(&HostRoot::new(dir.path()).unwrap());
        assert_eq!(config.watched_prefixes.last().unwrap(), "/data/ci");
        assert_eq!(config.watched_prefixes.len(), WATCHED.len() + 1);
        for secret in ["/home/ann/.ssh", "/root/.bash_history", "/data/ci/.aws", "/etc/shadow"] {
            assert!(config.secret_paths.iter().any(|it| it == secret), "{secret}");
        }
        assert!(!config.secret_paths.iter().any(|it| it.starts_with("/bin/")));
    }
}
