//! The messages of sentinels: their meaning for a master. No I/O.
//!
//! | channel | text | meaning |
//! |---|---|---|
//! | `+switch-master` | `name ip port ip port` | the second address is the master |
//! | `+selected-slave` | `slave ip:port ip port @ name ip port` | a failover: the old master's writes will be lost |
//! | `-failover-abort-…` | `master name ip port` | there is none |
//!
//! Only the sentinel that leads a failover sends the second and third. It sends the first one
//! seconds after the others.

use crate::connection::Host;

/// The channels that are subscribed to.
pub(super) const CHANNELS: [&str; 5] = [
    SWITCHED,
    SELECTED,
    "-failover-abort-no-good-slave",
    "-failover-abort-slave-timeout",
    "-failover-abort-not-elected",
];

const SWITCHED: &str = "+switch-master";
const SELECTED: &str = "+selected-slave";

/// The meaning of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// This is the master now.
    Switched(Host),
    /// A failover has begun, and the new master is selected.
    Begun,
    /// The failover has failed.
    Aborted,
}

/// Returns the meaning of a message for the master of this name; `None` if it is about another one.
pub(super) fn meaning(channel: &str, text: &str, master: &str) -> Option<Meaning> {
    let words: Vec<_> = text.split(' ').collect();
    match (channel, &*words) {
        (SWITCHED, [name, _, _, host, port]) if *name == master => {
            let port = port.parse().ok().filter(|port| *port > 0)?;
            Some(Meaning::Switched(((*host).to_owned(), port)))
        }
        (SELECTED, [_, _, _, _, "@", name, ..]) if *name == master => Some(Meaning::Begun),
        (channel, ["master", name, ..])
            if *name == master && channel.starts_with("-failover-abort-") =>
        {
            Some(Meaning::Aborted)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_other_masters_mean_nothing() {
        let switched = |port| Some(Meaning::Switched(("127.0.0.1".to_owned(), port)));
        let rows = [
            ("+switch-master", "mymaster 127.0.0.1 1 127.0.0.1 2", switched(2)),
            ("+switch-master", "other 127.0.0.1 1 127.0.0.1 2", None),
            ("+switch-master", "mymaster 127.0.0.1 1 127.0.0.1 0", None),
            ("+switch-master", "mymaster 127.0.0.1 1", None),
            (
                "+selected-slave",
                "slave 127.0.0.1:2 127.0.0.1 2 @ mymaster 127.0.0.1 1",
                Some(Meaning::Begun),
            ),
            ("+selected-slave", "slave 127.0.0.1:2 127.0.0.1 2 @ other 127.0.0.1 1", None),
            (
                "-failover-abort-no-good-slave",
                "master mymaster 127.0.0.1 1",
                Some(Meaning::Aborted),
            ),
            ("-failover-abort-not-elected", "master other 127.0.0.1 1", None),
            ("+sdown", "master mymaster 127.0.0.1 1", None),
        ];
        for (channel, text, expected) in rows {
            assert_eq!(meaning(channel, text, "mymaster"), expected, "{channel} {text}");
        }
    }
}
