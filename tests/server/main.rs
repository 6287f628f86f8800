//! Every command and every promise, against a real server.
//!
//! Which one `BOURN_SERVER` says; where it is too old for an option, its refusal is what is checked. Each law is tried in
//! RESP2 and in RESP3.
//!
//! | room | what is tried |
//! |---|---|
//! | `commands` | each command with each option: its reply, its empty reply, an error |
//! | `blocking` | a reader: waiting, being woken, being dropped, losing its connection |
//! | `client` | batches, transactions, tails, closing, credentials, restarts of the server |
//! | `docs` | every name and word of the server's own documentation can be sent |
//! | `states` | a server that is not ready, not willing or halted: LOADING, READONLY, OOM and the others |
//! | `shapes` | the replies that are measured are a server's |
//! | `storm` | many tasks on one connection that is cut again and again: nobody gets another's reply |
//! | `roundtrip` | any entry comes back as it went |
//! | `examples` | each example as a program |
//! | `first` | the example of `src/lib.rs`, twice |

mod support;

// Said again for clippy, which takes only what is marked so for a test, where an index may panic.
#[cfg(test)]
mod blocking;
#[cfg(test)]
mod both;
#[cfg(test)]
mod client;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod first;
#[cfg(test)]
mod roundtrip;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod states;
#[cfg(test)]
mod storm;
