//! The setting for commands that are sent again. No I/O.

/// The retry policy for failed commands.
///
/// ```
/// use bourn::{Config, Retry};
///
/// // Every failure is reported at once: the caller has its own retries.
/// let config = Config::tcp("localhost", 6379).retry(Retry::Never);
/// # let _ = config;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Retry {
    /// Retries where it is safe, within the command's deadline.
    ///
    /// | failure | retried |
    /// |---|---|
    /// | the connection ended before the reply came | a command that reads or is idempotent ([`Safety`](crate::Safety)); a batch that only reads, if no reply had come |
    /// | `LOADING`, `MASTERDOWN`, `TRYAGAIN`, `CLUSTERDOWN`, `BUSY` | a command or a transaction that did not run, after 10 ms and more each time |
    /// | `READONLY` | the same; a connection older than 5 s is replaced first: a failover may be under way. Also after a batch that begins or ends with a refused write |
    /// | `NOAUTH` | the same, once |
    /// | `UNBLOCKED`, for a change of role | the read, on a new connection |
    ///
    /// After a lost connection the first repeat is written at once, later ones after pauses that
    /// double from 20 ms to 2 s. With less than 100 ms left nothing refused is sent again: the
    /// error says that it has not run. In a batch single refusals are not sent again. A script is
    /// only sent again after a refusal that proves that it did not run
    /// ([`Refusal`](crate::Refusal)).
    ///
    /// An XADD with IDMP is only sent again within a window: until 64 more replies were requested
    /// on this client, or 80 s have passed since its call began. See
    /// [`Config::idmp_window`](crate::Config::idmp_window). After that it ends as
    /// [`Error::Lost`](crate::Error::Lost), so give each client a producer of its own. XACK and
    /// other commands that need no such window are bounded by their deadline only.
    ///
    /// A retried command runs after the commands that were sent after it.
    #[default]
    Safe,
    /// Never retries: each error is returned immediately. `READONLY` still replaces the connection.
    Never,
}
