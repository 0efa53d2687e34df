//! Names of users by number, from `/etc/passwd`.

use std::collections::HashMap;

use super::fields::text;
use super::process::parse::number;
use crate::host_root::HostRoot;

/// Largest passwd or group file: some 500,000 accounts.
pub const PASSWD_BYTES_MAX: usize = 32 << 20;

/// The first name of each uid.
#[derive(Clone, Debug, Default)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// Without a readable `/etc/passwd` there are only numbers; the account table tells why.
    pub fn read(root: &HostRoot) -> Self {
        root.read("/etc/passwd", PASSWD_BYTES_MAX).map(|it| Self::parse(&it)).unwrap_or_default()
    }

    /// Lines `name:password:uid:...` of passwd(5).
    pub fn parse(bytes: &[u8]) -> Self {
        let mut names = HashMap::new();
        for line in bytes.split(|it| *it == b'\n') {
            let mut fields = line.split(|it| *it == b':');
            let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
            if let Some(uid) = number(uid).and_then(|it| u32::try_from(it).ok()) {
                names.entry(uid).or_insert_with(|| text(name));
            }
        }
        Self(names)
    }

    pub fn all(&self) -> impl Iterator<Item = (u32, &str)> {
        self.0.iter().map(|(uid, name)| (*uid, name.as_str()))
    }

    pub fn name(&self, uid: u32) -> Option<&str> {
        self.0.get(&uid).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_counts() {
        let it = Users::parse(
            b"root:x:0:0::/:/bin/sh\ntoor:x:0:\nbad\n:x\nno:x:-1:\nmany:x:4294967296:\nlast:x:7",
        );
        assert_eq!((it.name(0), it.name(7), it.name(1)), (Some("root"), Some("last"), None));
        assert_eq!(it.0.len(), 2);
    }
}
