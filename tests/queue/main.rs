//! The queue against a real server, which `BOURN_SERVER` says: every promise, and every fault that the design names.
//!
//! | room | what is tried |
//! |---|---|
//! | `working` | a worker: success, failure, panic, time-outs, shutdown |
//! | `looking` | statistics, health, permissions, what it costs the server |
//! | `pulling` | a consumer: deliveries in hand, decided one by one |
//! | `waiting` | retries that wait, priorities, deduplication |

#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
mod looking;
#[cfg(test)]
mod office;
#[cfg(test)]
mod pulling;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod working;
