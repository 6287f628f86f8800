//! A real server behind a network that fails: what is told of each command is true, whatever happens to it.
//!
//! Which server `BOURN_SERVER` says; `BOURN_SEED` repeats what was drawn by lot. The tests run one at a time: what they
//! measure is their own time and memory.
//!
//! | room | what goes wrong |
//! |---|---|
//! | `cuts`, `session` | a session is cut at every byte, in each direction |
//! | `chaos`, `worker` | everything at once: cuts, stalls, kills of the connection and of the server, dropped futures |
//! | `stuck` | the server reads no more, answers no more, does nothing any more |
//! | `storm` | many clients lose a server that comes back later |
//! | `slow` | large commands both ways through small buffers |
//!
//! `proxy` is what does it to the connections, `forward` to one of them, by a plan of `schedule`; `alone` runs a test, and
//! measures.

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
