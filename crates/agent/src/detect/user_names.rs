//! Names of users, read again when the accounts change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::event::Text;
use model::time::Timestamp;

use crate::collect::users::Users;
use crate::host_root::HostRoot;

/// Between two looks at the file of accounts.
const LOOK_EVERY: Duration = Duration::from_secs(2);

type Stamp = Option<(u64, i64, u64)>;

#[derive(Debug)]
pub struct UserNames {
    /// Shared by all events that name the user.
    names: HashMap<u32, Arc<str>>,
    stamp: Stamp,
    looked_at: Timestamp,
}

impl UserNames {
    pub fn read(root: &HostRoot, now: Timestamp) -> Self {
        // The time of the file first, so that a change while it is read is seen later.
        let stamp = stamp(root);
        let names = Users::read(root).all().map(|(uid, name)| (uid, name.into())).collect();
        Self { names, stamp, looked_at: now }
    }

    pub fn refresh(&mut self, root: &HostRoot, now: Timestamp) {
        if !now.is_due(self.looked_at, LOOK_EVERY) {
            return;
        }
        self.looked_at = now;
        if stamp(root) != self.stamp {
            *self = Self::read(root, now);
        }
    }

    /// Name of a user, or its number in digits.
    pub fn name(&self, uid: u32) -> Text {
        match self.names.get(&uid) {
            Some(name) => Text::Shared(Arc::clone(name)),
            None => Text::Own(uid.to_string()),
        }
    }
}

fn stamp(root: &HostRoot) -> Stamp {
    let it = root.metadata("/etc/passwd").ok()?;
    Some((it.inode, it.changed_ns, it.size))
}
