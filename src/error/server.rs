//! The server's own errors: a code to act on, a text to read. Pure.

use std::fmt;

/// The first word of an error, which says what kind it is. The text behind it changes from version to version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `ERR`: by default the caller's mistake: an unknown command, a wrong argument.
    Err,
    /// The key holds something else than a stream.
    WrongType,
    /// The stream or the group does not exist: create it, or stop.
    NoGroup,
    /// The group exists already: take it as done.
    BusyGroup,
    /// A blocked read was ended by CLIENT UNBLOCK, a role change or a deleted key: read again.
    Unblocked,
    /// The connection has not authenticated.
    NoAuth,
    /// Wrong user or password, or the user is disabled.
    WrongPass,
    /// The user may not run this command, or not on this key.
    NoPerm,
    /// The server does not speak the protocol version asked for.
    NoProto,
    /// The server's memory is used up; writes are refused until there is room.
    Oom,
    /// This is a replica: find the master and write there.
    ReadOnly,
    /// This replica has lost its master and does not answer until it is back.
    MasterDown,
    /// The server is reading its data in: wait.
    Loading,
    /// The server is busy with a script: wait.
    Busy,
    /// The server cannot save to disk and so refuses writes: an operator has to look.
    MisConf,
    /// Too few replicas for a write: wait.
    NoReplicas,
    /// The transaction was discarded; nothing of it was done.
    ExecAbort,
    /// The key's slot lies on another node: ask there, from now on. [`ServerError::redirect`] says where.
    Moved,
    /// The key's slot is moving to another node: ask there, once, after ASKING.
    Ask,
    /// The keys of a command are on two nodes while their slot moves: wait.
    TryAgain,
    /// The keys of a command are in different slots: the caller's mistake.
    CrossSlot,
    /// No node serves the slot, or too few nodes are up: wait.
    ClusterDown,
    /// A Valkey replica sends its clients to the master.
    Redirect,
    /// Another code, as it came; empty if the error has none.
    Other(Box<str>),
}

const NAMES: [(&str, Code); 23] = [
    ("ERR", Code::Err),
    ("WRONGTYPE", Code::WrongType),
    ("NOGROUP", Code::NoGroup),
    ("BUSYGROUP", Code::BusyGroup),
    ("UNBLOCKED", Code::Unblocked),
    ("NOAUTH", Code::NoAuth),
    ("WRONGPASS", Code::WrongPass),
    ("NOPERM", Code::NoPerm),
    ("NOPROTO", Code::NoProto),
    ("OOM", Code::Oom),
    ("READONLY", Code::ReadOnly),
    ("MASTERDOWN", Code::MasterDown),
    ("LOADING", Code::Loading),
    ("BUSY", Code::Busy),
    ("MISCONF", Code::MisConf),
    ("NOREPLICAS", Code::NoReplicas),
    ("EXECABORT", Code::ExecAbort),
    ("MOVED", Code::Moved),
    ("ASK", Code::Ask),
    ("TRYAGAIN", Code::TryAgain),
    ("CROSSSLOT", Code::CrossSlot),
    ("CLUSTERDOWN", Code::ClusterDown),
    ("REDIRECT", Code::Redirect),
];

impl Code {
    fn of(word: &str) -> Self {
        let known = NAMES.iter().find(|(name, _)| *name == word);
        known.map_or_else(|| Self::Other(word.into()), |(_, code)| code.clone())
    }

    /// The code as the server wrote it; empty if the error had none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => NAMES.iter().find(|(_, code)| code == known).map_or("", |(name, _)| name),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error that the server answered with, and the command that it answers.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerError {
    command: &'static str,
    code: Code,
    message: Box<[u8]>,
}

/// As much of a server's text as is shown.
const SHOWN_BYTES: usize = 512;

impl ServerError {
    /// Reads the text of an error reply, which answered `command`.
    #[must_use]
    pub fn new(command: &'static str, text: &[u8]) -> Self {
        let blank = text.iter().position(|b| *b == b' ').unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(blank).unwrap_or_default();
        let is_code = word.first().is_some_and(u8::is_ascii_uppercase)
            && word.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        match std::str::from_utf8(word) {
            Ok(word) if is_code => Self {
                command,
                code: Code::of(word),
                message: rest.get(1..).unwrap_or_default().into(),
            },
            _ => Self { command, code: Code::Other("".into()), message: text.into() },
        }
    }

    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The name of the command that it answers.
    #[must_use]
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// Whether the code says nothing of why: a script's error may have any.
    pub(crate) fn is_vague(&self) -> bool {
        matches!(self.code, Code::Err | Code::Other(_))
    }

    /// The text behind the code, as it came; it may quote names of any bytes.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Slot and address of [`Code::Moved`] and [`Code::Ask`], address of [`Code::Redirect`]; `None` for other errors, and
    /// for a text that is unlike those.
    #[must_use]
    pub fn redirect(&self) -> Option<Redirect> {
        let text = std::str::from_utf8(&self.message).ok()?;
        let (slot, address) = match self.code {
            Code::Moved | Code::Ask => {
                let (slot, rest) = text.split_once(' ')?;
                (Some(slot.parse().ok().filter(|slot| *slot < 16384)?), rest)
            }
            Code::Redirect => (None, text),
            _ => return None,
        };
        let (host, port) = address.split(' ').next()?.rsplit_once(':')?;
        Some(Redirect { slot, host: host.to_owned(), port: port.parse().ok()? })
    }
}

/// Where another node is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The slot that lies there.
    pub slot: Option<u16>,
    /// A name or an address. Empty: the host that answered. `?`: unknown, ask CLUSTER SLOTS.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The code and the text, escaped and cut after 512 bytes.
impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.command, self.code)?;
        if !self.message.is_empty() {
            let (shown, cut) = match self.message.get(..SHOWN_BYTES) {
                Some(shown) if self.message.len() > SHOWN_BYTES => (shown, "..."),
                _ => (&*self.message, ""),
            };
            let blank = if self.code.as_str().is_empty() { "" } else { " " };
            f.write_str(blank)?;
            for chunk in shown.utf8_chunks() {
                for c in chunk.valid().chars() {
                    if c.is_control() {
                        write!(f, "{}", c.escape_default())?
                    } else {
                        write!(f, "{c}")?
                    }
                }
                write!(f, "{}", chunk.invalid().escape_ascii())?;
            }
            f.write_str(cut)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerError({self})")
    }
}

impl std::error::Error for ServerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_code_only_when_it_is_all_capitals() {
        let rows: [(&[u8], &str, &[u8]); 6] = [
            (b"ERR no such key", "ERR", b"no such key"),
            (b"NOGROUP", "NOGROUP", b""),
            (b"MOVED 8579 127.0.0.1:7001", "MOVED", b"8579 127.0.0.1:7001"),
            (b"NEWCODE2 text", "NEWCODE2", b"text"),
            (b"Some text", "", b"Some text"),
            (b"\xff\xfe bytes", "", b"\xff\xfe bytes"),
        ];
        for (text, code, message) in rows {
            let error = ServerError::new("XADD", text);
            assert_eq!((error.code().as_str(), error.message()), (code, message));
        }
    }

    #[test]
    fn redirects_take_every_form_of_host() {
        let rows: [(&[u8], Option<(Option<u16>, &str, u16)>); 7] = [
            (b"MOVED 8579 127.0.0.1:7001", Some((Some(8579), "127.0.0.1", 7001))),
            (b"ASK 449 ::1:7002", Some((Some(449), "::1", 7002))),
            (b"MOVED 1 :7001", Some((Some(1), "", 7001))),
            (b"MOVED 1 ?:7001", Some((Some(1), "?", 7001))),
            (b"REDIRECT host:6379", Some((None, "host", 6379))),
            (b"MOVED 16384 a:1", None),
            (b"ERR 1 a:1", None),
        ];
        for (text, expected) in rows {
            let redirect = ServerError::new("XADD", text).redirect();
            let got = redirect.as_ref().map(|r| (r.slot, r.host.as_str(), r.port));
            assert_eq!(got, expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_hostile_text_is_shown_escaped_and_cut() {
        let text = [b"ERR \x1b[31m\r\n".as_slice(), &[b'x'; 4096]].concat();
        let shown = ServerError::new("XADD", &text).to_string();
        assert!(shown.len() < 600 && !shown.contains(char::is_control), "{shown}");
    }
}
