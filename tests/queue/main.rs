//! The queue against a real server (`BOURN_SERVER`): every guarantee, every fault in the design.
//!
//! | module | subject |
//! |---|---|
//! | `working` | a worker: success, failure, panic, time limits, shutdown |
//! | `handlers` | each kind of handler and of its errors |
//! | `looking` | statistics, health, permissions, server time per command |
//! | `pulling` | a consumer: deliveries in flight, settled one by one |
//! | `waiting` | delayed retries, priorities, deduplication |
//! | `producing` | a producer whose replies are lost |
//! | `faults` | one module per fault |
//!
//! `proxy`, `forward` and `schedule` belong to the chaos tests, `both` to the server tests.

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
mod test_queue;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod working;
