//! The queue against a real server, which `BOURN_SERVER` says: every promise, and every fault that the design names.
//!
//! | room | what is tried |
//! |---|---|
//! | `working` | a worker: success, failure, panic, time-outs, shutdown |
//! | `handlers` | each kind of handler and of its errors |
//! | `looking` | statistics, health, permissions, what it costs the server |
//! | `pulling` | a consumer: deliveries in hand, decided one by one |
//! | `waiting` | retries that wait, priorities, deduplication |
//! | `producing` | a producer whose replies are lost |
//! | `faults` | what goes wrong, fault by fault |
//!
//! `proxy`, `forward` and `schedule` are those of the chaos tests, `both` is the server tests'.

#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
#[path = "../server/both.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod both;
#[cfg(test)]
mod faults;
#[cfg(test)]
#[path = "../chaos/forward.rs"]
mod forward;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod looking;
#[cfg(test)]
mod office;
#[cfg(test)]
mod producing;
#[cfg(test)]
#[path = "../chaos/proxy.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod proxy;
#[cfg(test)]
mod pulling;
#[cfg(test)]
#[path = "../chaos/schedule.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod schedule;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod working;
