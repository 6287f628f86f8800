//! A client of a master that three sentinels watch, on real servers: planned failovers, a killed
//! master, and settings that are wrong. `BOURN_SERVER` selects the server.
//!
//! | module | subject |
//! |---|---|
//! | `connecting` | finding the master, and the errors of settings that do not fit |
//! | `queue` | the queue through a failover |
//! | `scripted` | sentinels that name the wrong server |
//! | `failover` | every acknowledged entry is there after a failover |

#[path = "../server/support.rs"]
mod support;

// Repeated for clippy, which allows an index that may panic only in modules marked as tests.
#[cfg(test)]
mod connecting;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod trio;
