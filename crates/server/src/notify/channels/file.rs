//! Lines of JSON in a file of the data directory, for whatever reads files.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use model::because;

use super::super::message::Message;
use super::super::net::SendError;
use super::webhook::document;
use super::{Outgoing, World};

/// A file that grew to this is moved to `NAME.jsonl.1`, over the one before.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One line, with its end.
pub fn line(id: &str, message: &Message) -> String {
    format!("{}\n", document(id, message))
}

pub(super) async fn send(name: &str, world: &World, out: Outgoing<'_>) -> Result<(), SendError> {
    let directory = world.files.clone();
    let path = directory.join(format!("{name}.jsonl"));
    let line = line(out.id, out.message);
    let failed = |cause: &dyn std::fmt::Display| {
        let path = format!("notifications/{name}.jsonl");
        SendError::passing(because!("send.file", "{path}: {cause}", path = path, cause = cause))
    };
    match tokio::task::spawn_blocking(move || append(&directory, &path, &line)).await {
        Ok(written) => written.map_err(|why| failed(&why)),
        Err(why) => Err(failed(&why)),
    }
}

fn append(directory: &Path, path: &Path, line: &str) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let is_full = std::fs::metadata(path).is_ok_and(|it| it.len() >= FILE_BYTES_MAX);
    if is_full {
        std::fs::rename(path, path.with_extension("jsonl.1"))?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()
}
