//! The runtime on which a consumer's tasks and connections run. A task.
//!
//! | the client | the runtime |
//! |---|---|
//! | has a [`Config::runtime`](crate::Config::runtime) | that one |
//! | was made by `connect_with` or `lazy_with` | the caller's: the stream may belong to it |
//! | connects to an address | a thread of the queue |
//!
//! The threads of the queue are shared by all consumers of the process, and are started as they
//! are needed. No code of a handler runs on them. So a handler that blocks every thread of its own
//! runtime delays no heartbeat, no acknowledgement and no read.

use crate::client::Client;
use crate::error::ConfigError;
use std::sync::{Mutex, PoisonError};
use std::{future, io, thread};
use tokio::runtime::{Builder, Handle};

/// The maximum number of threads. Each serves some 100,000 jobs a second.
const MAX_THREADS: usize = 4;

/// The threads of this process.
static THREADS: Mutex<Threads> = Mutex::new(Threads { runtimes: Vec::new(), next: 0 });

struct Threads {
    runtimes: Vec<Handle>,
    next: usize,
}

/// Returns the runtime for the tasks of one more consumer of this client.
pub(crate) fn runtime(client: &Client) -> Result<Handle, ConfigError> {
    if let Some(runtime) = client.configured_runtime() {
        return Ok(runtime);
    }
    let thread = client.dials_address().then(thread).flatten();
    match thread {
        Some(runtime) => Ok(runtime),
        // Also where the system starts no more threads.
        None => Handle::try_current().map_err(|_| ConfigError::NoRuntime),
    }
}

/// Returns the runtime of one of the threads, each in turn. `None` if none can be started.
fn thread() -> Option<Handle> {
    let wanted = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    if threads.runtimes.len() < wanted {
        threads.runtimes.extend(start());
    }
    threads.next = threads.next.wrapping_add(1);
    let place = threads.next.checked_rem(threads.runtimes.len())?;
    threads.runtimes.get(place).cloned()
}

/// Starts a thread, which runs until the process ends.
fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let run = move || runtime.block_on(future::pending::<()>());
    thread::Builder::new().name("bourn-queue".to_owned()).spawn(run)?;
    Ok(handle)
}
