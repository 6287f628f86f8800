//! The bytes of each command on the wire, and the decoding of its reply.
//!
//! | module | contents |
//! |---|---|
//! | [`wire`] | tables: every option of every command, as text |
//! | [`property`] | commands with any arguments, compared with a plain list of words |
//! | [`replies`] | replies with any contents, as servers write them, and their decoded values |
//! | [`named`] | a check that the others cover every command |
//! | [`any`] | strategies for bytes, ids, times and numbers |

// For clippy, which allows an index that may panic only in code under `cfg(test)`.
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
