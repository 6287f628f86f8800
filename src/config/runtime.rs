//! The tokio runtime that connections run on.

use super::Config;
use super::handle::Runtime;
use tokio::runtime::Handle;

impl Config {
    /// Stores the current runtime, if there is one, for readers that are created outside any.
    pub(crate) fn at_home(mut self) -> Self {
        self.client_runtime = Handle::try_current().ok().map(Runtime);
        self
    }

    /// Sets the runtime on which connections run: their sockets, timers and tasks. Default: the
    /// runtime in which the client is created.
    ///
    /// Commands can be sent from any runtime or executor. But nothing is read, written or timed
    /// while the connection's runtime is not driven. Examples are a current-thread runtime outside
    /// `block_on`, and one whose threads are all blocked. Pass a runtime with its own thread if
    /// that may happen, or if the client is created outside tokio.
    ///
    /// The consumers and workers of a queue do their reads, heartbeats and acknowledgements on this
    /// runtime too. Without this setting they use a thread of their own, so that handlers that
    /// block their thread keep their leases. The clients of
    /// [`Client::connect_with`](crate::Client::connect_with) and
    /// [`Client::lazy_with`](crate::Client::lazy_with) use the current runtime.
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
