//! What each command puts on the wire, byte for byte, and what it makes of its reply.
//!
//! | room | what is in it |
//! |---|---|
//! | [`wire`] | tables: every option of every command, as Redis's words |
//! | [`property`] | commands of any arguments there may be, beside a plain list of what they should come to |
//! | [`replies`] | replies of any meaning, as servers write them, and what they are read back as |
//! | [`named`] | that no command is missing from the others |
//! | [`any`] | any bytes, ids, times and numbers there may be |

// Said again for clippy, which takes only what is marked so for a test, where an index may panic.
#[cfg(test)]
mod any;
#[cfg(test)]
mod named;
#[cfg(test)]
mod property;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod wire;
