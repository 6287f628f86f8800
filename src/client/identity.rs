//! Whether two clients have the same connection.

use super::Client;
use crate::cluster::Link;
use std::sync::{Arc, Weak};

/// The identity of a client's connection. Does not keep it open.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Weak<Link>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl Client {
    /// Returns the identity of the connection, which all clones share.
    pub(crate) fn identity(&self) -> Identity {
        Identity(Arc::downgrade(&self.link))
    }

    /// Whether it connects to the address of its settings, and not by a user function.
    pub(crate) fn dials_address(&self) -> bool {
        self.opener.dialler.is_by_address()
    }
}
