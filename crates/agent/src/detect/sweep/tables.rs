//! Accounts and auto-start entries that are new or other than at the last look.

use std::collections::HashMap;
use std::path::PathBuf;

use engine::event::{Event, Field, Value as Fact};
use model::asset::{Row, row_key};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Swept, state};
use crate::collect::{Collector, account, autostart};
use crate::detect::names::is_temporary;
use crate::inspect::Inspector;
use crate::state as kept;

/// Uids below belong to the system: `SYS_UID_MAX` of login.defs(5).
const SYSTEM_UID_MAX: i64 = 999;

/// Of what is kept over a restart.
const KEPT_BYTES_MAX: usize = 16 << 20;

type Rows = HashMap<String, Row>;

/// The rows of the last look; none before the first, which finds nothing.
#[derive(Debug, Default)]
pub(super) struct Tables {
    rows: Kept,
    file: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    accounts: Option<Rows>,
    starts: Option<Rows>,
}

impl Tables {
    /// With the rows of the last life of the agent, if `file` has them: what changed while it
    /// was down is told by the first look.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        let rows = file
            .as_deref()
            .and_then(|it| kept::read(it, KEPT_BYTES_MAX))
            .and_then(|it| serde_json::from_slice(&it).ok());
        Self { rows: rows.unwrap_or_default(), file }
    }

    fn keep(&self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = kept::write_json(file, &self.rows) {
            tracing::warn!(%error, "tables cannot be kept for the next start");
        }
    }

    pub(super) fn look(&mut self, inspector: &mut Inspector, now: Timestamp) -> Vec<Swept> {
        let mut out = Vec::new();
        let mut is_other = false;
        if let Some(rows) = rows(inspector, &account::COLLECTOR, now) {
            if let Some(before) = &self.rows.accounts {
                out.extend(rows.iter().flat_map(|(key, row)| account(before.get(key), row, now)));
            }
            is_other |= self.rows.accounts.as_ref() != Some(&rows);
            self.rows.accounts = Some(rows);
        }
        if let Some(rows) = rows(inspector, &autostart::COLLECTOR, now) {
            if let Some(before) = &self.rows.starts {
                let owner = |path: &str| inspector.owner(path).map(ToOwned::to_owned);
                let told =
                    rows.iter().filter_map(|(key, row)| start(before.get(key), row, &owner, now));
                out.extend(told);
            }
            is_other |= self.rows.starts.as_ref() != Some(&rows);
            self.rows.starts = Some(rows);
        }
        if is_other {
            self.keep();
        }
        out.into_iter().map(|event| Swept { event, pid: None }).collect()
    }
}

/// The table as it is now; `None` where it could not be read whole.
fn rows(
    inspector: &mut Inspector,
    collector: &'static Collector,
    now: Timestamp,
) -> Option<HashMap<String, Row>> {
    let collected = inspector.collect(collector, now);
    let key = collector.spec.key;
    let rows = collected.rows.into_iter().map(|row| (row_key(key, &row), row));
    collected.complete.then(|| rows.collect())
}

fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn is(row: &Row, column: &str) -> bool {
    row.get(column).and_then(Value::as_bool).unwrap_or(false)
}

fn list(row: &Row, column: &str) -> Vec<String> {
    let items = row.get(column).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|it| it.as_str().map(ToOwned::to_owned)).collect()
}

fn can_login(row: &Row) -> bool {
    let opens = matches!(text(row, "password"), "set" | "empty");
    is(row, "shell_login") && (opens || !list(row, "ssh_keys").is_empty())
}

/// What became of one account.
fn account(before: Option<&Row>, row: &Row, now: Timestamp) -> Vec<Event> {
    let name = text(row, "name");
    let mut out = Vec::new();
    let mut tell = |check: &str, detail: String| {
        let mut event = state(check, name, detail, now);
        set_account(&mut event, row);
        out.push(event);
    };
    let Some(before) = before else {
        tell("account_added", format!("account {name} is new"));
        return out;
    };
    let other = |column: &str| before.get(column) != row.get(column);
    if ["uid", "home", "shell", "duplicate_uid"].iter().any(|it| other(it)) {
        tell("account_changed", format!("account {name} has another uid, home or shell"));
    }
    if other("group") || other("groups") {
        tell("account_changed", format!("account {name} is in other groups"));
        tell("group_changed", format!("account {name} is in other groups"));
    }
    // A key that a new account is given opens it, but closed it never was; keys are told below.
    let reopened = other("shell_login") || other("password") || other("expires_at");
    if can_login(row) && !can_login(before) && reopened {
        tell("account_reactivated", format!("account {name} can sign in again"));
    }
    if other("password") || other("password_changed_at") || other("password_algorithm") {
        tell("account_password_set", format!("the password of {name} is another"));
    }
    let known = list(before, "ssh_keys");
    for key in list(row, "ssh_keys").into_iter().filter(|it| !known.contains(it)) {
        tell("key_added", format!("a key opens account {name}: {key}"));
    }
    out
}

fn set_account(event: &mut Event, row: &Row) {
    let filled = |it: &str| (!it.is_empty()).then(|| Fact::from(it));
    let uid = row.get("uid").and_then(Value::as_i64);
    let mut groups = vec![text(row, "group").to_owned()];
    groups.extend(list(row, "groups"));
    event.set(Field::AccountUserId, uid.map(Into::into));
    event.set(Field::AccountGroups, Some(groups.into()));
    event.set(Field::AccountHome, filled(text(row, "home")));
    event.set(Field::AccountShell, filled(text(row, "shell")));
    event.set(Field::AccountCanLogin, Some(can_login(row).into()));
    event.set(Field::AccountIsSystem, uid.map(|it| (it <= SYSTEM_UID_MAX).into()));
    event.set(Field::AccountSharesId, Some(is(row, "duplicate_uid").into()));
}

/// An auto-start entry that is new or runs something else.
fn start(
    before: Option<&Row>,
    row: &Row,
    owner: &dyn Fn(&str) -> Option<String>,
    now: Timestamp,
) -> Option<Event> {
    let watched = ["command", "programs", "sha256", "enabled", "schedule", "user"];
    let (check, word) = match before {
        None => ("autostart_added", "new"),
        Some(before) if watched.iter().any(|it| before.get(*it) != row.get(*it)) => {
            ("autostart_changed", "changed")
        }
        Some(_) => return None,
    };
    let path = text(row, "path");
    let command = text(row, "command");
    let detail = format!("auto-start entry {path} is {word}: {command}");
    let mut event = state(check, path, detail, now);
    let filled = |it: &str| (!it.is_empty()).then(|| Fact::from(it));
    let programs = list(row, "programs");
    let image = programs.first().map(String::as_str).unwrap_or_default();
    event.set(Field::StartsCommand, filled(command));
    event.set(Field::StartsImage, filled(image));
    event.set(Field::StartsPackage, owner(image).map(Into::into));
    event.set(Field::TargetFilename, filled(path));
    event.set(Field::TargetPackage, filled(text(row, "package")));
    let anywhere = programs.iter().any(|it| is_temporary(it));
    event.set(Field::StartsInTemporary, Some(anywhere.into()));
    Some(event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    fn checks(events: &[Event]) -> Vec<&str> {
        events.iter().filter_map(|it| it.text(Field::StateCheck)).collect()
    }

    #[test]
    fn what_becomes_of_accounts() {
        let base = json!({"name": "art", "uid": 1005, "group": "art", "home": "/home/art",
            "shell": "/bin/bash", "shell_login": true, "password": "locked"});
        let with = |name: &str, value: Value| {
            let mut it = row(base.clone());
            it.insert(name.to_owned(), value);
            it
        };
        let now = Timestamp(0);
        let before = row(base.clone());
        assert_eq!(checks(&account(None, &before, now)), ["account_added"]);
        assert_eq!(checks(&account(Some(&before), &before, now)), [""; 0]);
        for (changed, want) in [
            (with("uid", json!(0)), vec!["account_changed"]),
            (with("groups", json!(["sudo"])), vec!["account_changed", "group_changed"]),
            (with("password", json!("set")), vec!["account_reactivated", "account_password_set"]),
            (with("ssh_keys", json!(["ssh-ed25519 SHA256:x"])), vec!["key_added"]),
        ] {
            assert_eq!(checks(&account(Some(&before), &changed, now)), want, "{changed:?}");
        }
        let events = account(None, &with("uid", json!(0)), now);
        assert_eq!(events[0].get(Field::AccountUserId), Some(&Fact::Integer(0)));
        assert_eq!(events[0].get(Field::AccountIsSystem), Some(&Fact::Bool(true)));
    }

    #[test]
    fn what_changed_while_nobody_looked_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("host");
        std::fs::create_dir_all(host.join("etc/cron.d")).unwrap();
        let passwd = host.join("etc/passwd");
        std::fs::write(&passwd, "root:x:0:0::/root:/bin/bash\n").unwrap();
        std::fs::write(host.join("etc/group"), "root:x:0:\n").unwrap();
        let mut inspector = Inspector::new(crate::host_root::HostRoot::new(&host).unwrap());
        let now = Timestamp::from_secs(1);
        let file = dir.path().join("tables.json");
        let look = |tables: &mut Tables, inspector: &mut Inspector| {
            let swept = tables.look(inspector, now);
            let mut told: Vec<String> = swept
                .iter()
                .filter_map(|it| it.event.text(Field::StateCheck).map(ToOwned::to_owned))
                .collect();
            told.sort();
            told
        };
        let mut before = Tables::new(Some(file.clone()));
        assert_eq!(look(&mut before, &mut inspector), [""; 0]);
        drop(before);
        std::fs::write(&passwd, "root:x:0:0::/root:/bin/bash\neve:x:0:0::/root:/bin/sh\n").unwrap();
        let cron = "* * * * * root /usr/bin/true\n";
        std::fs::write(host.join("etc/cron.d/x"), cron).unwrap();
        let mut after = Tables::new(Some(file));
        let told = look(&mut after, &mut inspector);
        assert!(told.contains(&"account_added".to_owned()), "{told:?}");
        assert!(told.contains(&"autostart_added".to_owned()), "{told:?}");
        assert_eq!(look(&mut after, &mut inspector), [""; 0]);
    }

    #[test]
    fn what_becomes_of_entries() {
        let entry = |command: &str, programs: Value| {
            row(json!({"path": "/etc/cron.d/x", "command": command, "programs": programs}))
        };
        let now = Timestamp(0);
        let old = entry("/usr/bin/true", json!(["/usr/bin/true"]));
        let new = entry("/tmp/x", json!(["/tmp/x"]));
        let owner = |path: &str| (path == "/usr/bin/true").then(|| "coreutils".to_owned());
        assert!(start(Some(&old), &old, &owner, now).is_none());
        let changed = start(Some(&old), &new, &owner, now).unwrap();
        assert_eq!(changed.text(Field::StartsPackage), None);
        assert_eq!(changed.text(Field::StateCheck), Some("autostart_changed"));
        assert_eq!(changed.get(Field::StartsInTemporary), Some(&Fact::Bool(true)));
        let added = start(None, &old, &owner, now).unwrap();
        assert_eq!(added.text(Field::StateCheck), Some("autostart_added"));
        assert_eq!(added.text(Field::StartsPackage), Some("coreutils"));
    }
}
