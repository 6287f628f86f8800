//! Every command and every guarantee, against a real server.
//!
//! `BOURN_SERVER` selects the server. Where it is too old for an option, its error is checked
//! instead. Each test runs in RESP2 and in RESP3.
//!
//! | module | subject |
//! |---|---|
//! | `commands` | each command with each option: its reply, its empty reply, an error |
//! | `blocking` | readers: blocking, being woken, being dropped, losing their connection |
//! | `client` | batches, transactions, tails, closing, credentials, restarts of the server |
//! | `docs` | every command and token of the server's own documentation can be sent |
//! | `states` | a server that is not ready, refuses commands or is halted: LOADING, READONLY, OOM |
//! | `shapes` | the replies used in benchmarks equal a server's |
//! | `storm` | many tasks on one connection that is cut repeatedly: each gets its own replies |
//! | `roundtrip` | any entry is returned as it was added |
//! | `examples` | each example as a program |
//! | `first` | the example of `src/lib.rs`, twice |

mod support;

// Repeated for clippy, which allows an index that may panic only in modules marked as tests.
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
