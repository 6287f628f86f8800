//! Faults of the server, the network and the caller, at exact moments.
//!
//! The modules are `cfg(test)` for clippy, which allows `unwrap` only in code that it recognises as
//! tests.
//!
//! | module | fault |
//! |---|---|
//! | `hostile`, `flood`, `limits` | malformed or oversized replies |
//! | `unsolicited_replies`, `push_positions` | unsolicited replies, pushes, attributes |
//! | `wrong_reply_types` | a reply of another type than the command's |
//! | `cuts` | the connection ends, at every byte |
//! | `batches`, `within`, `lazy` | large batches, deadlines of single commands, lazy clients |
//! | `time`, `backpressure_budget`, `backpressure` | a mute or slow server |
//! | `cancel`, `dropped`, `closing` | dropped futures, dropped and closed clients |
//! | `reconnect`, `secrets` | a missing server, or one that refuses the client |
//! | `greeting` | proxies and old servers that refuse HELLO, unexpected handshake answers |
//! | `panics` | user code that panics on the connection's task |
//! | `credentials` | failing providers, new credentials, rejected credentials |
//! | `retry`, `silence`, `events` | the client's reaction: retry, probe, replacement, event |
//! | `window` | repeated XADDs with IDMP, within the window of the server |
//! | `scripts` | scripts that fail after a part has run, refused transactions, bad user commands |
//! | `reading`, `reader_commands`, `tails` | the same faults around a blocking read |
//! | `pages` | replies that are too large or too slow, in a stream of entries |
//! | `runtimes` | the connection's runtime is blocked, or not the caller's |
//! | `user_code` | a user's command, in its own code |
//! | `texts` | the text of every error |
//! | `schedules`, `sockets` | random combinations of faults |
//!
//! `peer` and `wire` are the scripted server, `echo` is a server that answers by itself, `memory`
//! measures allocations.

#[cfg(test)]
mod backpressure;
#[cfg(test)]
mod backpressure_budget;
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
mod pages;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod push_positions;
#[cfg(test)]
mod reader_commands;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod reconnect;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod runtimes;
#[cfg(test)]
mod schedules;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod tails;
#[cfg(test)]
mod texts;
#[cfg(test)]
mod time;
#[cfg(test)]
mod unsolicited_replies;
#[cfg(test)]
mod user_code;
#[cfg(test)]
mod window;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod within;
#[cfg(test)]
mod wrong_reply_types;
