//! A client on real clusters of three masters and three replicas: slots that move, masters that are
//! killed, planned failovers. `BOURN_SERVER` selects the server.
//!
//! | module | subject |
//! |---|---|
//! | `commands` | each kind of request on a cluster where nothing happens |
//! | `redirects` | MOVED, ASK and TRYAGAIN, one at a time, with the bytes that a node receives |
//! | `migration` | slots that move under load: every acknowledged entry is there once, in order |
//! | `failover` | a killed master and planned failovers under load |
//! | `partitioned` | a queue of several lanes while their slots move |
//! | `replicas` | reads from replicas, scripted and real |
//! | `readers` | blocking reads, tails and the queue while slots move and masters fail |

#[path = "../server/support.rs"]
mod support;

// Repeated for clippy, which allows an index that may panic only in modules marked as tests.
#[cfg(test)]
mod commands;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod migration;
#[cfg(test)]
mod partitioned;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod three;
