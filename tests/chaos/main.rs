//! A real server behind a faulty network: the reported outcome of each command is true.
//!
//! `BOURN_SERVER` selects the server; `BOURN_SEED` repeats a run. The tests run one at a time,
//! because they measure their own time and memory.
//!
//! | module | fault |
//! |---|---|
//! | `cuts`, `session` | a session is cut at every byte, in each direction |
//! | `chaos`, `worker` | all together: cuts, stalls, killed connections and servers, dropped futures |
//! | `stuck` | the server stops reading, stops answering, or is halted |
//! | `storm` | many clients lose a server that comes back later |
//! | `slow` | large commands both ways through small buffers |
//!
//! `proxy` causes the faults, `forward` those of one connection, by a plan of `schedule`; `alone`
//! runs a test and measures it.

#[cfg(test)]
#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
#[path = "../server/both.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod both;

#[cfg(test)]
mod alone;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod cuts;
#[cfg(test)]
mod forward;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod session;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod stuck;
#[cfg(test)]
mod worker;
