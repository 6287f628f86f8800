//! The handle of a tokio runtime, as a setting.

use std::fmt;
use tokio::runtime::Handle;

/// A runtime in the settings.
#[derive(Clone)]
pub(crate) struct Runtime(pub(crate) Handle);

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}
