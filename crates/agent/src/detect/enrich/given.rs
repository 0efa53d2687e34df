//! What a container was given of the host: the mounts that it sees, by where the host has them.

use super::Enricher;

/// Of a table of mounts.
const MOUNTS_BYTES_MAX: usize = 1 << 20;
/// Paths told of one container.
const PATHS_MAX: usize = 64;

/// A line of `mountinfo` of proc(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Number of the file system.
    pub device: String,
    /// The folder of it that is mounted.
    pub root: String,
    pub point: String,
}

impl Enricher {
    /// Files and folders of the host that a process in a container sees, by their path on the host.
    pub(super) fn given(&self, pid: u32) -> Vec<String> {
        let read = |path: &str| {
            let bytes = self.images.root().read(path, MOUNTS_BYTES_MAX).unwrap_or_default();
            mounts(&bytes)
        };
        shared(&read("/proc/self/mountinfo"), &read(&format!("/proc/{pid}/mountinfo")))
    }
}

/// The lines of a table; one that is none is left out.
pub fn mounts(table: &[u8]) -> Vec<Mount> {
    let text = String::from_utf8_lossy(table);
    let line = |line: &str| {
        let mut fields = line.split(' ').skip(2).map(plain);
        let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        let is_whole = root.starts_with('/') && point.starts_with('/');
        is_whole.then_some(Mount { device, root, point })
    };
    text.lines().filter_map(line).collect()
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn plain(text: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(text.to_owned(), |text, (code, letter)| text.replace(code, letter))
}

/// What `inside` shows of file systems that the host has mounted too. The folder of a container's
/// own root is none of what it was given, unless it is the host's.
pub fn shared(host: &[Mount], inside: &[Mount]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for mount in inside {
        let Some(path) = on_host(host, mount) else { continue };
        let is_own_root = mount.point == "/" && path != "/";
        if !is_own_root && !found.contains(&path) && found.len() < PATHS_MAX {
            found.push(path);
        }
    }
    found
}

/// By the mount of the host that shows the least around it.
fn on_host(host: &[Mount], mount: &Mount) -> Option<String> {
    let around = host.iter().filter(|it| it.device == mount.device);
    let around = around.filter_map(|it| Some((it, below(&mount.root, &it.root)?)));
    let (nearest, rest) = around.max_by_key(|(it, _)| it.root.len())?;
    let joined = format!("{}{rest}", nearest.point.trim_end_matches('/'));
    Some(if joined.is_empty() { "/".to_owned() } else { joined })
}

/// What is left of `path` below `folder`, with its slash.
fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "22 28 0:21 / /proc rw - proc proc rw\n28 0 254:0 / / rw - ext4 /dev/vda rw\n\
        30 28 0:24 / /run rw - tmpfs none rw\n31 28 254:1 / /srv/my\\040disk rw - xfs /dev/vdb rw\n\
        40 28 0:51 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw\nbroken\n";

    #[test]
    fn what_was_given_is_told_by_its_path_on_the_host() {
        let host = mounts(HOST.as_bytes());
        assert_eq!(host.len(), 5);
        for (inside, want) in [
            // Its own root, its own /proc, and a file that every container has.
            (
                "1 0 0:51 / / rw - overlay overlay rw\n2 1 0:77 / /proc rw - proc proc rw\n\
                 3 1 254:0 /var/lib/docker/containers/a/hosts /etc/hosts rw - ext4 /dev/vda rw\n",
                vec!["/var/lib/docker/containers/a/hosts"],
            ),
            (
                "1 0 0:24 /docker.sock /run/docker.sock rw - tmpfs none rw\n",
                vec!["/run/docker.sock"],
            ),
            ("1 0 254:0 / /host rw - ext4 /dev/vda rw\n", vec!["/"]),
            ("1 0 254:0 / / rw - ext4 /dev/vda rw\n", vec!["/"]),
            ("1 0 254:1 /a\\040b /data rw - xfs /dev/vdb rw\n", vec!["/srv/my disk/a b"]),
            ("1 0 254:0 /etcetera /etc rw - ext4 /dev/vda rw\n", vec!["/etcetera"]),
            ("nonsense\n1 0 9:9 / /x rw - tmpfs none rw\n", vec![]),
        ] {
            assert_eq!(shared(&host, &mounts(inside.as_bytes())), want, "{inside}");
        }
    }
}
