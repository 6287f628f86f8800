//! What happens when the server, the network or the caller does not do what it should.
//!
//! The modules are `cfg(test)` for clippy, which lets tests unwrap only where it sees that they are tests.
//!
//! | room | what goes wrong |
//! |---|---|
//! | `hostile`, `flood`, `limits` | the server's bytes are not RESP, or too many |
//! | `stray`, `positions` | a reply that nobody asked for, pushes, attributes |
//! | `shapes` | a reply of another type than the command's |
//! | `cuts` | the connection ends, at every byte |
//! | `batches`, `within`, `lazy` | a large batch, a command with a deadline of its own, a server that is not there yet |
//! | `time`, `room`, `backpressure` | nobody answers, or too slowly |
//! | `cancel`, `dropped`, `closing` | the caller goes away, and the client |
//! | `reconnect`, `secrets` | there is no server, or it refuses |
//! | `greeting` | proxies and old servers refuse HELLO, or answer what does not belong there |
//! | `panics` | code of the user's panics on the connection's task |
//! | `credentials` | there are none, or others, or the server refuses them |
//! | `again`, `silence`, `events` | what the client does about it: sends again, asks, replaces, tells |
//! | `window` | an XADD with IDMP is repeated: while the server recognizes it |
//! | `scripts` | scripts fail after they have run in part, transactions are refused, user commands are unfit |
//! | `reading`, `own`, `tails` | all this, while a read waits, or a command beside it |
//! | `pages` | replies that are too large or too slow, to a stream of entries |
//! | `runtimes` | the connection's runtime is blocked, or not the caller's |
//! | `user_code` | a user's command, in its own code |
//! | `schedules`, `sockets` | everything at once, in any order |
//!
//! `peer` and `wire` are the scripted server, `echo` is one that answers by itself, `memory` counts.

#[cfg(test)]
mod again;
#[cfg(test)]
mod backpressure;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod dropped;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod events;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod greeting;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lazy;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod own;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod positions;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod room;
#[cfg(test)]
mod runtimes;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod stray;
#[cfg(test)]
mod tails;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod time;
#[cfg(test)]
mod user_code;
#[cfg(test)]
mod window;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod within;
