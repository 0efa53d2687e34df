//! Connections that only read, each used by one blocking task at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::rows::{Fail, Out};
use super::{Result, StoreError, schema};

/// Most queries that run at once; more wait.
const READERS_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    places: Semaphore,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), places: Semaphore::new(READERS_MAX), idle: Arc::default() }
    }

    /// Everything `work` reads is one state of the store.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Out<T> + Send + 'static,
    ) -> Result<T> {
        let _place = self.places.acquire().await.map_err(|_| StoreError::Closed)?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let task = tokio::task::spawn_blocking(move || {
            let held = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match held {
                Some(it) => it,
                None => schema::open_reader(&path)?,
            };
            connection.prepare_cached("BEGIN")?.execute([])?;
            let answer = work(&connection);
            connection.prepare_cached("COMMIT")?.execute([])?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            answer
        });
        match task.await {
            Ok(answer) => answer.map_err(|it: Fail| it.into_error(doing)),
            Err(source) => Err(StoreError::Backend { doing, source: Box::new(source) }),
        }
    }
}
