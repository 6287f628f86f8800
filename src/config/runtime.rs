//! The tokio runtime that connections run on.

use super::Config;
use std::fmt;
use tokio::runtime::Handle;

/// A runtime among the settings.
#[derive(Clone)]
pub(crate) struct Runtime(pub(crate) Handle);

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

impl Config {
    /// Keeps the current runtime, if there is one: for readers that are made outside any.
    pub(crate) fn at_home(mut self) -> Self {
        self.home = Handle::try_current().ok().map(Runtime);
        self
    }

    /// Sets the runtime on which connections run: their sockets, timers and tasks. By default it is the one in which the client is
    /// made.
    ///
    /// Commands can be sent from any runtime or executor. But nothing is read, written or timed while the connection's runtime is
    /// not driven: a current-thread runtime outside `block_on`, or one whose threads are all blocked. Give a runtime with a thread
    /// of its own where that may happen, and where the client is made outside tokio.
    ///
    /// ```no_run
    /// # use bourn::{Client, Config, Error};
    /// # fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    /// let config = Config::tcp("127.0.0.1", 6379).runtime(runtime.handle().clone());
    /// let client = Client::lazy(config)?;
    /// # let _ = client; Ok(()) }
    /// ```
    #[must_use]
    pub fn runtime(self, runtime: Handle) -> Self {
        Self { runtime: Some(Runtime(runtime)), ..self }
    }
}
