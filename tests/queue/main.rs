//! The queue against a real server (`BOURN_SERVER`): every guarantee, every fault in the design.
//!
//! | module | subject |
//! |---|---|
//! | `statistics` | statistics, health, permissions, server time per command |
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
#[path = "../chaos/proxy.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod proxy;
#[cfg(test)]
#[path = "../chaos/schedule.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod schedule;
#[cfg(test)]
mod statistics;
#[cfg(test)]
mod test_queue;
