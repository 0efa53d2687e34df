use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::SqliteStore;
use super::schema::SCHEMA;
use crate::store::conformance::{START, audit};
use crate::store::{AuditStore, Store, StoreError};

fn make(directory: &Path) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&directory.join("garrison.db"), START).unwrap())
}

conformance_suite!(make);

#[tokio::test]
async fn tampering_with_the_file_shows() {
    for (change, first_bad) in [
        ("UPDATE audit SET actor = 'user:somebody' WHERE id = 3", 3),
        ("UPDATE audit SET detail = '{}' WHERE id = 5", 5),
        ("UPDATE audit SET detail = 'no json' WHERE id = 5", 5),
        ("DELETE FROM audit WHERE id = 4", 4),
        ("DELETE FROM audit WHERE id = 10", 10),
        ("UPDATE audit SET id = 11 WHERE id = 10", 10),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("garrison.db");
        let store = SqliteStore::open(&path, START).unwrap();
        for _ in 0..10 {
            store.append_audit(audit(START, "test.entry")).await.unwrap();
        }
        Connection::open(&path).unwrap().execute(change, []).unwrap();
        let report = store.verify_audit().await.unwrap();
        assert_eq!(report.first_bad.map(|it| it.0), Some(first_bad), "{change}");
        assert!(!report.intact);
    }
}

#[test]
fn a_newer_schema_and_foreign_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("garrison.db");
    drop(SqliteStore::open(&path, START).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteStore::open(&path, START).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "the store was written by a newer version (schema 99, this one knows up to {SCHEMA})"
        )
    );
    let other = directory.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let refused = SqliteStore::open(&other, START).unwrap_err();
    assert!(matches!(refused, StoreError::Invalid { field: "file", .. }), "{refused:?}");
}

#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("garrison.db");
    let _store = SqliteStore::open(&path, START).unwrap();
    for name in ["garrison.db", "garrison.db-wal"] {
        let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
