//! Names of users, read again when the accounts change.

use std::time::Duration;

use model::time::Timestamp;

use crate::collect::users::Users;
use crate::host_root::HostRoot;

/// Between two looks at the file of accounts.
const LOOK_EVERY: Duration = Duration::from_secs(2);

type Stamp = Option<(u64, i64, u64)>;

#[derive(Debug)]
pub struct UserNames {
    users: Users,
    stamp: Stamp,
    looked_at: Timestamp,
}

impl UserNames {
    pub fn read(root: &HostRoot, now: Timestamp) -> Self {
        Self { users: Users::read(root), stamp: stamp(root), looked_at: now }
    }

    pub fn refresh(&mut self, root: &HostRoot, now: Timestamp) {
        if now.since(self.looked_at) < LOOK_EVERY {
            return;
        }
        self.looked_at = now;
        let stamp = stamp(root);
        if stamp != self.stamp {
            *self = Self { users: Users::read(root), stamp, looked_at: now };
        }
    }

    /// Name of a user, or its number in digits.
    pub fn name(&self, uid: u32) -> String {
        self.users.name(uid).map_or_else(|| uid.to_string(), ToOwned::to_owned)
    }
}

fn stamp(root: &HostRoot) -> Stamp {
    let it = root.metadata("/etc/passwd").ok()?;
    Some((it.inode, it.changed_ns, it.size))
}
