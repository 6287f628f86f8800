//! The answers of sentinels: who is the master. No I/O.

use crate::connection::Host;
use crate::resp::Value;

/// The answer of one sentinel about a master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is at this address, since the failover with this number.
    Master { host: Host, epoch: u64 },
    /// There is no master of this name.
    Unknown,
}

/// Reads the reply to SENTINEL GET-MASTER-ADDR-BY-NAME.
pub(super) fn host(reply: &Value) -> Option<Host> {
    let [host, port] = &**reply.as_list()? else { return None };
    let host = host.as_str().filter(|host| !host.is_empty())?;
    let port = port.as_str()?.parse().ok().filter(|port| *port > 0)?;
    Some((host.to_owned(), port))
}

/// Reads the number of the last failover from the reply to SENTINEL MASTER; 0 if it is not there.
pub(super) fn epoch(reply: &Value) -> u64 {
    number(reply, "config-epoch").unwrap_or(0)
}

/// Reads the addresses of the other sentinels from the reply to SENTINEL SENTINELS.
pub(super) fn others(reply: &Value) -> Vec<Host> {
    let other = |value: &Value| {
        let ip = field(value, "ip")?.as_str().filter(|ip| !ip.is_empty())?.to_owned();
        let port = number(value, "port").and_then(|port| u16::try_from(port).ok());
        Some((ip, port.filter(|port| *port > 0)?))
    };
    reply.as_list().map(|list| list.iter().filter_map(other).collect()).unwrap_or_default()
}

fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let mut pairs = map.as_list()?.pairs();
    pairs.find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}

fn number(map: &Value, name: &str) -> Option<u64> {
    field(map, name)?.as_str()?.parse().ok()
}

/// Returns the answer that holds: the master of the latest failover. `Unknown` only if all say so.
pub(super) fn choose(answers: &[Answer]) -> Option<Answer> {
    let epoch = |answer: &Answer| match answer {
        Answer::Master { epoch, .. } => Some(*epoch),
        Answer::Unknown => None,
    };
    answers.iter().max_by_key(|answer| epoch(answer)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Frame, Limits};

    fn value(wire: &str) -> Value {
        Value::from(&Frame::parse(wire.to_owned(), Limits::default()).unwrap())
    }

    #[test]
    fn address_of_a_master_is_a_pair_of_texts() {
        let rows = [
            ("*2\r\n$9\r\n127.0.0.1\r\n$5\r\n49417\r\n", Some(("127.0.0.1", 49_417))),
            ("*-1\r\n", None),
            ("_\r\n", None),
            ("*2\r\n$0\r\n\r\n$1\r\n1\r\n", None),
            ("*2\r\n$1\r\na\r\n$1\r\n0\r\n", None),
            ("*2\r\n$1\r\na\r\n$5\r\n99999\r\n", None),
            ("*1\r\n$1\r\na\r\n", None),
            (":1\r\n", None),
        ];
        for (wire, expected) in rows {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host(&value(wire)), expected, "{wire:?}");
        }
    }

    #[test]
    fn maps_are_read_in_both_protocols() {
        let pairs =
            "$2\r\nip\r\n$1\r\na\r\n$4\r\nport\r\n$1\r\n7\r\n$12\r\nconfig-epoch\r\n$1\r\n4\r\n";
        for map in [format!("*6\r\n{pairs}"), format!("%3\r\n{pairs}")] {
            assert_eq!(epoch(&value(&map)), 4);
            assert_eq!(others(&value(&format!("*1\r\n{map}"))), [("a".to_owned(), 7)]);
        }
        assert_eq!(epoch(&value("-ERR No such master with that name\r\n")), 0);
        assert_eq!(others(&value("*0\r\n")), []);
    }

    #[test]
    fn master_of_the_latest_failover_holds() {
        let at = |port, epoch| Answer::Master { host: ("h".to_owned(), port), epoch };
        let rows = [
            (vec![], None),
            (vec![Answer::Unknown], Some(Answer::Unknown)),
            (vec![Answer::Unknown, at(1, 0)], Some(at(1, 0))),
            (vec![at(1, 3), at(2, 4), at(1, 3)], Some(at(2, 4))),
        ];
        for (answers, expected) in rows {
            assert_eq!(choose(&answers), expected, "{answers:?}");
        }
    }
}
