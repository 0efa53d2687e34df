//! The one thread that writes. What waits when it is ready shares a transaction.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::rows::{Fail, Out};
use super::state::{State, Writing};
use super::{Result, StoreError};

/// Jobs that may wait; who has one more waits before handing it over.
const QUEUE_MAX: usize = 512;
/// A transaction takes no further jobs after this many records or this long.
const GROUP_RECORDS_MAX: usize = 8192;
const GROUP_TIME_MAX: Duration = Duration::from_millis(100);

type Finish = Box<dyn FnOnce(std::result::Result<(), String>) + Send>;

/// What a job did inside the transaction, and how its caller is told once that is durable.
struct Outcome {
    failed: bool,
    finish: Finish,
}

/// Given the transaction, or why there is none.
type Run = Box<dyn FnOnce(Out<&mut Writing<'_>>) -> Outcome + Send>;
type RunAlone = Box<dyn FnOnce(&mut Connection, &mut State) + Send>;

enum Job {
    Write {
        /// Undone alone when it fails. Others fail only with the database itself.
        isolated: bool,
        weight: usize,
        run: Run,
    },
    /// Runs outside any transaction, alone.
    Alone(RunAlone),
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self> {
        let state = State::load(&connection).map_err(|it| it.into_error("reading the last id"))?;
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || serve(connection, state, queue))
            .map_err(|it| Fail::Io(it).into_error("starting the writer"))?;
        Ok(Self { jobs })
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        isolated: bool,
        weight: usize,
        work: impl FnOnce(&mut Writing<'_>) -> Out<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let run: Run = Box::new(move |writing| {
            let result = writing.and_then(work);
            let failed = result.is_err();
            let finish: Finish = Box::new(move |committed| {
                let result = result.map_err(|it| it.into_error(doing));
                let result = match committed {
                    Err(why) if !failed => Err(StoreError::Backend { doing, source: why.into() }),
                    _ => result,
                };
                // A caller that went away does not want the answer.
                drop(reply.send(result));
            });
            Outcome { failed, finish }
        });
        let job = Job::Write { isolated, weight, run };
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn alone<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Connection, &mut State) -> Out<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let run = Box::new(move |connection: &mut Connection, state: &mut State| {
            drop(reply.send(work(connection, state).map_err(|it| it.into_error(doing))));
        });
        self.jobs.send(Job::Alone(run)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job::Close(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }
}

fn serve(mut connection: Connection, mut state: State, mut queue: mpsc::Receiver<Job>) {
    let mut next = queue.blocking_recv();
    while let Some(job) = next.take() {
        match job {
            Job::Write { .. } => next = group(&connection, &mut state, &mut queue, job),
            Job::Alone(run) => run(&mut connection, &mut state),
            Job::Close(reply) => {
                queue.close();
                drop(connection);
                // Whoever asked may have gone away.
                let _ = reply.send(());
                return;
            }
        }
        if next.is_none() {
            next = queue.blocking_recv();
        }
    }
}

/// One transaction: `first` and what is waiting. Returns a job that could not be part of it.
fn group(
    connection: &Connection,
    state: &mut State,
    queue: &mut mpsc::Receiver<Job>,
    first: Job,
) -> Option<Job> {
    let began = Instant::now();
    let mut finishes = Vec::new();
    let mut broken = None;
    let mut weights = 0;
    let mut next = Some(first);
    let mut left_over = None;
    let mut begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(Fail::Sql);
    while let Some(job) = next.take() {
        let Job::Write { isolated, weight, run } = job else {
            left_over = Some(job);
            break;
        };
        weights += weight;
        let (finish, end) = match std::mem::replace(&mut begun, Ok(())) {
            Ok(()) => run_one(connection, state, isolated, run),
            Err(why) => (run(Err(why)).finish, Err(no_transaction())),
        };
        finishes.push(finish);
        broken = end.err();
        if broken.is_none() && weights < GROUP_RECORDS_MAX && began.elapsed() < GROUP_TIME_MAX {
            next = queue.try_recv().ok();
        }
    }
    let done = match broken {
        Some(why) => Err(why),
        None => Writing::new(connection, state)
            .settle()
            .and_then(|()| connection.execute_batch("COMMIT").map_err(Fail::Sql)),
    };
    let told = done.map_err(|why| {
        let error = why.into_error("committing");
        // There may be nothing to roll back; the transaction is over either way.
        drop(connection.execute_batch("ROLLBACK"));
        state.forget();
        let reason =
            std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        tracing::error!(reason, "a transaction of the store was rolled back");
        format!("{error}: {reason}")
    });
    for finish in finishes {
        finish(told.clone());
    }
    left_over
}

/// Runs one job. An error breaks the whole transaction.
fn run_one(
    connection: &Connection,
    state: &mut State,
    isolated: bool,
    run: Run,
) -> (Finish, Out<()>) {
    let mut writing = Writing::new(connection, state);
    if !isolated {
        let outcome = run(Ok(&mut writing));
        let end = if outcome.failed { Err(no_transaction()) } else { Ok(()) };
        return (outcome.finish, end);
    }
    let begun = writing.settle().and_then(|()| Ok(connection.execute_batch("SAVEPOINT job")?));
    if let Err(why) = begun {
        return (run(Err(why)).finish, Err(no_transaction()));
    }
    let outcome = run(Ok(&mut writing));
    let ended = if outcome.failed {
        state.forget();
        connection.execute_batch("ROLLBACK TO job; RELEASE job")
    } else {
        connection.execute_batch("RELEASE job")
    };
    (outcome.finish, ended.map_err(Fail::Sql))
}

fn no_transaction() -> Fail {
    Fail::Io(std::io::Error::other("another part of the transaction failed"))
}
