//! Whether a command whose outcome is unknown may be sent again. No I/O.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// Whether sending a command again cannot apply it twice, though its first outcome is unknown.
///
/// For an `XADD` with IDMP the answer changes: it is judged each time that it is asked for.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Error, XAdd};
///
/// let add = XAdd::new("orders").idmp("shop", "order-17").field("sku", "A-7");
/// match client.send(&add).await {
///     // The server still remembers the id: a second attempt adds nothing twice.
///     Err(Error::TimedOut { repeat, .. }) if repeat.is_safe() => {
///         client.send(&add).await?;
///     }
///     result => println!("{:?}", result?),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Repeat(Kind);

#[derive(Clone)]
#[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "made by a client"))]
enum Kind {
    Safe,
    Unsafe,
    While(Arc<dyn Window>),
}

/// A time in which the server recognizes a repeated command.
pub(crate) trait Window: Send + Sync + UnwindSafe + RefUnwindSafe {
    /// Whether it would recognize one that is sent now.
    fn is_open(&self) -> bool;
}

impl Repeat {
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "made by a client"))]
    pub(crate) const SAFE: Self = Self(Kind::Safe);
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "made by a client"))]
    pub(crate) const UNSAFE: Self = Self(Kind::Unsafe);

    /// Safe while the window is open.
    #[cfg(feature = "tokio")]
    pub(crate) fn within(window: Arc<dyn Window>) -> Self {
        Self(Kind::While(window))
    }

    /// Whether the command may be sent again now.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        match &self.0 {
            Kind::Safe => true,
            Kind::Unsafe => false,
            Kind::While(window) => window.is_open(),
        }
    }
}

/// Not known to be safe.
impl Default for Repeat {
    fn default() -> Self {
        Self(Kind::Unsafe)
    }
}

impl fmt::Debug for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeat").field("is_safe", &self.is_safe()).finish()
    }
}
