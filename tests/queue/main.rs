//! The queue against a real server, which `BOURN_SERVER` says: every promise, and every fault that the design names.
//!
//! | room | what is tried |
//! |---|---|
//! | `working` | a worker: success, failure, panic, time-outs, shutdown |

#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
mod office;
#[cfg(test)]
mod working;
