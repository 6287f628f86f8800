//! The meaning of a refusal in a cluster: where the request is sent next. No I/O.
//!
//! | refusal | meaning | next |
//! |---|---|---|
//! | MOVED | the slot is on that node | there; the table is changed |
//! | ASK | the key went ahead of its slot | there, after ASKING; the table stays |
//! | TRYAGAIN, CLUSTERDOWN, LOADING, MASTERDOWN, BUSY | not now | a pause, then the table again |
//! | READONLY, a role change | the map is old | the map is read; a pause, then the table again |
//!
//! A refused request did not run, so every command follows its redirects.

use super::topology::Host;
use crate::config::MapAddress;
use crate::error::{Code, ServerError};
use std::time::Duration;

/// The number of redirects that a request follows.
const MOST_HOPS: u8 = 16;

/// The pause before the third redirect, and the longest one. Nodes that disagree send a request
/// back and forth; between two nodes that agree there are at most two.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(256);

/// The next step of a refused request.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Send it to this node.
    To(Target, Host),
    /// Send it to the node with this port: the name of its host is not known.
    Port(Target, u16),
    /// The refusal names no node, but the map may be old.
    Refresh,
    /// The refusal has nothing to do with the cluster, or is the last one that is followed.
    Stop,
}

/// The circumstances of the next attempt.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub(super) slot: Option<u16>,
    /// Send ASKING before it. The slot stays where it is.
    pub(super) asking: bool,
    pub(super) after: Duration,
}

/// Returns the step after a refusal by the node at `asked`, after `hops` redirects.
pub(super) fn decide(
    error: &ServerError,
    asked: &Host,
    hops: u8,
    map: Option<&MapAddress>,
) -> Step {
    let asking = match error.code() {
        Code::Moved => false,
        Code::Ask => true,
        Code::ClusterDown | Code::ReadOnly | Code::MasterDown | Code::Unblocked => {
            return Step::Refresh;
        }
        _ => return Step::Stop,
    };
    let Some(redirect) = error.redirect().filter(|_| hops < MOST_HOPS) else { return Step::Stop };
    let target = Target { slot: redirect.slot, asking, after: pause(hops) };
    match redirect.host.as_str() {
        "?" => Step::Port(target, redirect.port),
        // It is at the host that answered, which is not what it announces.
        "" => Step::To(target, Host { name: asked.name.clone(), port: redirect.port }),
        name => Step::To(target, Host::mapped(name, redirect.port, map)),
    }
}

/// Returns the pause before the next redirect.
fn pause(hops: u8) -> Duration {
    match hops.checked_sub(2) {
        None => Duration::ZERO,
        Some(more) => FIRST_PAUSE.saturating_mul(1 << more.min(8)).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn host(name: &str, port: u16) -> Host {
        Host { name: name.to_owned(), port }
    }

    fn decided(text: &str, hops: u8) -> Step {
        decide(&ServerError::new("XADD", text.as_bytes()), &host("asked", 1), hops, None)
    }

    #[test]
    fn redirects_name_the_node_and_other_refusals_do_not() {
        let target = |slot, asking| Target { slot: Some(slot), asking, after: Duration::ZERO };
        let rows = [
            ("MOVED 8579 127.0.0.1:7001", Step::To(target(8579, false), host("127.0.0.1", 7001))),
            ("MOVED 1 ::1:7001", Step::To(target(1, false), host("::1", 7001))),
            ("MOVED 1 :7001", Step::To(target(1, false), host("asked", 7001))),
            ("MOVED 1 ?:7001", Step::Port(target(1, false), 7001)),
            ("ASK 449 node1.test:7002", Step::To(target(449, true), host("node1.test", 7002))),
            ("ASK 449 ?:7002", Step::Port(target(449, true), 7002)),
            ("MOVED 16384 a:1", Step::Stop),
            ("MOVED", Step::Stop),
            ("CLUSTERDOWN Hash slot not served", Step::Refresh),
            ("CLUSTERDOWN The cluster is down", Step::Refresh),
            ("READONLY You can't write against a read only replica.", Step::Refresh),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Step::Stop),
            ("CROSSSLOT Keys in request don't hash to the same slot", Step::Stop),
            ("LOADING Redis is loading the dataset in memory", Step::Stop),
            ("ERR 1 a:1", Step::Stop),
        ];
        for (text, expected) in rows {
            assert_eq!(decided(text, 0), expected, "{text}");
        }
    }

    #[test]
    fn refusals_of_real_servers_have_their_step() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cluster");
        let mut seen = 0;
        for server in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let files = std::fs::read_dir(&server).into_iter().flatten();
            for file in files.map(|entry| entry.unwrap().path()) {
                let reply = std::fs::read_to_string(&file).unwrap();
                let Some(text) = reply.strip_prefix('-') else { continue };
                let step = decided(text.trim_end(), 0);
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                let fits = match (name.as_str(), &step) {
                    ("tryagain_source" | "tryagain_target" | "xread_crossslot", step) => {
                        *step == Step::Stop
                    }
                    ("moved_hostname_nohostname", Step::Port(target, _)) => !target.asking,
                    ("moved_unknown_hostname" | "moved_unknown_nohostname", Step::To(_, to)) => {
                        to.name == "asked"
                    }
                    (name, Step::To(target, to)) => {
                        let is_ask = text.starts_with("ASK");
                        target.asking == is_ask
                            && to.port > 1
                            && (name.starts_with("moved")
                                || name.starts_with("blocked")
                                || ["ask", "exec_moved"].contains(&name))
                    }
                    (name, Step::Refresh) => {
                        name.starts_with("clusterdown") || name.starts_with("blocked")
                    }
                    _ => false,
                };
                assert!(fits, "{}: {text}: {step:?}", file.display());
                seen += 1;
            }
        }
        assert!(seen >= 70, "{seen}");
    }

    #[test]
    fn redirects_end_after_16_and_pause_from_the_third_on() {
        let after = |hops| match decided("MOVED 1 a:1", hops) {
            Step::To(target, _) => Some(target.after.as_millis()),
            _ => None,
        };
        let pauses: Vec<_> = (0..18).map_while(after).collect();
        let expected = [0, 0, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256, 256, 256, 256].to_vec();
        assert_eq!(pauses, expected);
        assert_eq!(decided("MOVED 1 a:1", MOST_HOPS), Step::Stop);
        assert_eq!(decided("ASK 1 a:1", u8::MAX), Step::Stop);
    }

    #[test]
    fn announced_host_is_mapped() {
        let map = MapAddress(Arc::new(|_: &str, port| ("gate".to_owned(), port + 1)));
        let error = ServerError::new("XADD", b"MOVED 1 10.0.0.1:7000");
        let Step::To(_, to) = decide(&error, &host("asked", 1), 0, Some(&map)) else { panic!() };
        assert_eq!(to, host("gate", 7001));
        let error = ServerError::new("XADD", b"MOVED 1 :7000");
        let Step::To(_, to) = decide(&error, &host("asked", 1), 0, Some(&map)) else { panic!() };
        assert_eq!(to, host("asked", 7000));
    }
}
