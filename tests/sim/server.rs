//! A model of the server: one stream, its state, and its replies in each state.
//!
//! | request | reply |
//! |---|---|
//! | `XADD s [IDMP p iid] * n #N b pad` | an id; the earlier id if the iid is known |
//! | `XLEN #N` | `N` |
//! | `XLEN s` | the number of entries |
//! | `XRANGE s id id` | the entry |
//! | `ECHO #N` | `#N` |
//!
//! `#N` is the request's own number, six digits: it identifies each request and its reply.

use memchr::memchr;
use std::collections::{BTreeMap, HashMap};

/// The server's present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Loading,
    Busy,
    ReadOnly,
    Oom,
}

/// The history of one command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The number of runs, repeats with IDMP included.
    pub(crate) ran: usize,
    /// The number of refusals.
    pub(crate) refused: usize,
    /// The ids of its entries.
    pub(crate) stored: Vec<u64>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) state: State,
    pub(crate) seen: BTreeMap<u64, Seen>,
    /// The numbers of the entries, by id.
    entries: BTreeMap<u64, u64>,
    remembered: HashMap<String, u64>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let seen = BTreeMap::new();
        Self { state: State::Ready, seen, entries: BTreeMap::new(), remembered: HashMap::new() }
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Answers one request; `queued` is the connection's open transaction.
    pub(crate) fn answer(
        &mut self,
        request: Vec<String>,
        queued: &mut Option<(Vec<Vec<String>>, bool)>,
    ) -> String {
        match (request[0].as_str(), &mut *queued) {
            ("MULTI", None) => {
                *queued = Some((Vec::new(), false));
                "+OK\r\n".to_owned()
            }
            ("EXEC", Some(_)) => {
                let (requests, refused) = queued.take().unwrap_or_default();
                if refused || requests.iter().any(|request| self.refuses(request).is_some()) {
                    requests
                        .iter()
                        .for_each(|request| self.note(request, |seen| seen.refused += 1));
                    return "-EXECABORT Transaction discarded because of previous errors.\r\n"
                        .into();
                }
                let replies: Vec<String> =
                    requests.iter().map(|request| self.run(request)).collect();
                format!("*{}\r\n{}", replies.len(), replies.concat())
            }
            (_, Some((requests, refused))) => {
                let refusal = self.refuses(&request);
                *refused |= refusal.is_some();
                requests.push(request);
                refusal.unwrap_or("+QUEUED\r\n").to_owned()
            }
            (_, None) => match self.refuses(&request) {
                Some(refusal) => {
                    self.note(&request, |seen| seen.refused += 1);
                    refusal.to_owned()
                }
                None => self.run(&request),
            },
        }
    }

    fn refuses(&self, request: &[String]) -> Option<&'static str> {
        let (hello, add) = (["HELLO", "CLIENT"].contains(&&*request[0]), request[0] == "XADD");
        match self.state {
            State::Loading if !hello => Some("-LOADING Redis is loading the dataset in memory\r\n"),
            State::Busy if !hello => {
                Some("-BUSY Redis is busy running a script. You can only call SCRIPT KILL.\r\n")
            }
            State::ReadOnly if add => {
                Some("-READONLY You can't write against a read only replica.\r\n")
            }
            State::Oom if add => {
                Some("-OOM command not allowed when used memory > 'maxmemory'.\r\n")
            }
            _ => None,
        }
    }

    fn note(&mut self, request: &[String], what: impl FnOnce(&mut Seen)) {
        if let Some(number) = number(request) {
            what(self.seen.entry(number).or_default());
        }
    }

    fn run(&mut self, request: &[String]) -> String {
        self.note(request, |seen| seen.ran += 1);
        let word = |n: usize| request.get(n).map_or("", String::as_str);
        match word(0) {
            "HELLO" => "%4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n8.6.0\r\n\
                 $5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n"
                .to_owned(),
            "CLIENT" => "+OK\r\n".to_owned(),
            "PING" => "+PONG\r\n".to_owned(),
            "ECHO" => bulk(word(1)),
            "XLEN" => format!(":{}\r\n", number(request).unwrap_or(self.entries.len() as u64)),
            "XRANGE" => {
                let id = word(2).split_once('-').and_then(|(ms, _)| ms.parse().ok());
                match id.and_then(|id: u64| Some((id, *self.entries.get(&id)?))) {
                    Some((id, n)) => {
                        let (id, n) = (bulk(&format!("{id}-0")), bulk(&format!("#{n:06}")));
                        format!("*1\r\n*2\r\n{id}*2\r\n{}{n}", bulk("n"))
                    }
                    None => "*0\r\n".to_owned(),
                }
            }
            "XADD" => bulk(&format!("{}-0", self.add(request))),
            other => format!("-ERR unknown command '{other}'\r\n"),
        }
    }

    fn add(&mut self, request: &[String]) -> u64 {
        let iid = (request[2] == "IDMP").then(|| request[4].clone());
        if let Some(id) = iid.as_ref().and_then(|iid| self.remembered.get(iid)) {
            return *id;
        }
        let id = self.entries.len() as u64 + 1;
        self.entries.insert(id, number(request).expect("every entry has a number"));
        self.note(request, |seen| seen.stored.push(id));
        iid.map(|iid| self.remembered.insert(iid, id));
        id
    }
}

/// Returns the number in a request.
fn number(request: &[String]) -> Option<u64> {
    request.iter().find_map(|word| word.strip_prefix('#')?.parse().ok())
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// Takes the first request off the input, if it is complete; an error if it is invalid.
pub(crate) fn request(input: &mut Vec<u8>) -> Result<Option<Vec<String>>, String> {
    // The number after this byte, and the end of the line.
    let line = |kind: u8, from: usize| {
        let rest = input.get(from..).unwrap_or_default();
        let Some(len) = memchr(b'\r', rest) else { return Ok(None) };
        let text = std::str::from_utf8(&rest[..len]).ok();
        let digits = text.and_then(|text| text.strip_prefix(char::from(kind)));
        match digits.and_then(|digits| digits.parse::<usize>().ok()) {
            Some(n) => Ok(Some((n, from + len + 2))),
            None => Err(String::from_utf8_lossy(rest).into_owned()),
        }
    };
    let Some((count, mut at)) = line(b'*', 0)? else { return Ok(None) };
    let mut words = Vec::new();
    for _ in 0..count {
        let Some((len, start)) = line(b'$', at)? else { return Ok(None) };
        at = start + len + 2;
        words.push(start..start + len);
    }
    if at > input.len() {
        return Ok(None);
    }
    let word = |range| String::from_utf8_lossy(&input[range]).into_owned();
    let words = words.into_iter().map(word).collect();
    input.drain(..at);
    Ok(Some(words))
}
