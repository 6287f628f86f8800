//! CLIENT: the connections of a server, one's own among them. Pure.
//!
//! | form | type | answers with |
//! |---|---|---|
//! | CLIENT ID | [`ClientId`] | the connection's id |
//! | CLIENT GETNAME | [`ClientGetName`] | the connection's name |
//! | CLIENT SETNAME | [`ClientSetName`] | nothing |
//! | CLIENT NO-EVICT | [`ClientNoEvict`] | nothing |
//! | CLIENT UNBLOCK | [`ClientUnblock`] | whether a connection was blocked |
//! | CLIENT KILL | [`ClientKill`] | how many connections ended |
//! | CLIENT PAUSE | [`ClientPause`] | nothing |
//! | CLIENT UNPAUSE | [`ClientUnpause`] | nothing |
//!
//! A server counts its connections and never gives an id twice, until it is started anew. What changes the connection it is
//! sent on, SETNAME and NO-EVICT, is for a [`Reader`](crate::Reader).

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
