//! CLIENT: manages the server's connections. No I/O.
//!
//! | form | type | returns |
//! |---|---|---|
//! | CLIENT ID | [`ClientId`] | the connection's id |
//! | CLIENT GETNAME | [`ClientGetName`] | the connection's name |
//! | CLIENT SETNAME | [`ClientSetName`] | nothing |
//! | CLIENT NO-EVICT | [`ClientNoEvict`] | nothing |
//! | CLIENT UNBLOCK | [`ClientUnblock`] | whether a connection was blocked |
//! | CLIENT KILL | [`ClientKill`] | the number of connections closed |
//! | CLIENT PAUSE | [`ClientPause`] | nothing |
//! | CLIENT UNPAUSE | [`ClientUnpause`] | nothing |
//!
//! A server never reuses a connection id until it restarts. SETNAME and NO-EVICT change their own
//! connection and are sent with a [`Reader`](crate::Reader).

mod get_name;
mod id;
mod kill;
mod no_evict;
mod pause;
mod set_name;
mod unblock;
mod unpause;

pub use get_name::ClientGetName;
pub use id::ClientId;
pub use kill::ClientKill;
pub use no_evict::ClientNoEvict;
pub use pause::ClientPause;
pub use set_name::ClientSetName;
pub use unblock::ClientUnblock;
pub use unpause::ClientUnpause;
