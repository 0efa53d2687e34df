//! The store in one SQLite file: one writing thread with group commit, a few readers.

mod admin;
mod assets;
mod audit;
mod backup;
mod decide;
mod delta;
mod enrol;
mod findings;
mod groups;
mod hosts;
mod ingest;
mod jobs;
mod notify;
mod overview;
mod people;
mod protection;
mod reader;
mod responses;
mod rows;
mod scans;
mod schema;
mod state;
mod tally;
mod vault;
mod whitelist;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::time::Timestamp;
use rusqlite::Connection;

use super::{Result, Store, StoreError};
use reader::Readers;
use rows::{Fail, Out};
use state::Writing;
use writer::Writer;

/// One SQLite file and the connections to it.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    readers: Readers,
    writer: Writer,
    generation: Arc<AtomicU64>,
}

impl Store for SqliteStore {}

impl SqliteStore {
    /// Opens or makes the file at `path`, readable by its owner only, and brings its schema up
    /// to date.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self> {
        let opened = schema::open_writer(path).and_then(|mut connection| {
            schema::migrate(&mut connection)?;
            schema::furnish(&connection, now)?;
            Ok(connection)
        });
        let connection = opened.map_err(|it| it.into_error("opening the database file"))?;
        Ok(Self {
            path: path.to_owned(),
            readers: Readers::new(path),
            writer: Writer::start(connection)?,
            generation: Arc::default(),
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Out<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.run(doing, work).await
    }

    /// Runs `work` in a transaction of its own or one shared with others; either all of it is
    /// durable when this returns, or none of it happened.
    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Writing<'_>) -> Out<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.write(doing, true, 1, work).await
    }

    fn renew_generation(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
