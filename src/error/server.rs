//! The server's own errors: a code to act on, a text to read. Pure.

use super::Outcome;
use super::refusal::{Refusal, proves_not_run};
use std::fmt;

/// The first word of an error, which says what kind it is. The text behind it changes from version to version.
///
/// Every one of them says that the command did not run, but for scripts: [`ServerError::outcome`]. Whether it may later:
/// [`Code::is_retryable`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// `ERR`: by default the caller's mistake, such as an id that is not above the last one: fix the command.
    Err,
    /// `WRONGTYPE`: the key holds something else than a stream: take another key.
    WrongType,
    /// `NOGROUP`: the stream or the group does not exist: create it, or stop.
    NoGroup,
    /// `BUSYGROUP`: the group exists already: take it as done.
    BusyGroup,
    /// `UNBLOCKED`: a blocked read was ended by CLIENT UNBLOCK, a role change or (Redis 7.0) a deleted key: read again.
    Unblocked,
    /// `NOAUTH`: the connection has not authenticated: put user and password into the settings.
    NoAuth,
    /// `WRONGPASS`: wrong user or password, or the user is disabled: fix the credentials.
    WrongPass,
    /// `NOPERM`: the user may not run this command, or not on this key: fix the server's ACL.
    NoPerm,
    /// `NOPROTO`: the server does not speak the protocol version asked for: ask for RESP2.
    NoProto,
    /// `OOM`: the server's memory is used up; writes are refused until there is room: trim, or wait.
    Oom,
    /// `READONLY`: this is a replica: find the master, which after a failover may be this very address soon.
    ReadOnly,
    /// `MASTERDOWN`: this replica has lost its master and does not answer until it is back: wait, or ask another.
    MasterDown,
    /// `LOADING`: the server is reading its data in: wait.
    Loading,
    /// `BUSY`: the server is busy with a script: wait.
    Busy,
    /// `MISCONF`: the server cannot save to disk and so refuses writes: wait until an operator has looked.
    MisConf,
    /// `NOREPLICAS`: too few replicas for a write: wait.
    NoReplicas,
    /// `EXECABORT`: the transaction was discarded, and nothing of it was done: fix it.
    ExecAbort,
    /// `MOVED`: the key's slot lies on another node: ask there, from now on. [`ServerError::redirect`] says where.
    Moved,
    /// `ASK`: the key's slot is moving to another node: ask there, once, after ASKING. [`ServerError::redirect`] says where.
    Ask,
    /// `TRYAGAIN`: the keys of a command are on two nodes while their slot moves: wait.
    TryAgain,
    /// `CROSSSLOT`: the keys of a command are in different slots: give them one `{tag}`.
    CrossSlot,
    /// `CLUSTERDOWN`: no node serves the slot, or too few nodes are up: wait.
    ClusterDown,
    /// `REDIRECT`: a Valkey replica sends its clients to the master. [`ServerError::redirect`] says where.
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

    /// Whether the same command may be taken later or by another node, without any change to it: the server is in a state
    /// that passes. Wait before the next attempt; for `MOVED`, `ASK` and `REDIRECT` go where they point.
    ///
    /// False for what the caller or an operator has to fix, and for an unknown code.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unblocked
            | Self::Oom
            | Self::ReadOnly
            | Self::MasterDown
            | Self::Loading
            | Self::Busy
            | Self::MisConf
            | Self::NoReplicas
            | Self::Moved
            | Self::Ask
            | Self::TryAgain
            | Self::ClusterDown
            | Self::Redirect => true,
            Self::Err
            | Self::WrongType
            | Self::NoGroup
            | Self::BusyGroup
            | Self::NoAuth
            | Self::WrongPass
            | Self::NoPerm
            | Self::NoProto
            | Self::ExecAbort
            | Self::CrossSlot
            | Self::Other(_) => false,
        }
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
    refusal: Refusal,
}

/// As much of a server's text as is shown.
const SHOWN_BYTES: usize = 512;

impl ServerError {
    /// Reads the text of an error reply, which answered `command`.
    ///
    /// Of the answer to AUTH or HELLO what follows `with args beginning with` is left out: a server that does not know the
    /// command quotes the password there.
    #[must_use]
    pub fn new(command: &'static str, text: &[u8]) -> Self {
        let text = if matches!(command, "AUTH" | "HELLO") { unquoted(text) } else { text };
        let blank = text.iter().position(|b| *b == b' ').unwrap_or(text.len());
        let (word, rest) = text.split_at_checked(blank).unwrap_or_default();
        let is_code = word.first().is_some_and(u8::is_ascii_uppercase)
            && word.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let (code, message) = match std::str::from_utf8(word) {
            Ok(word) if is_code => (Code::of(word), rest.get(1..).unwrap_or_default()),
            _ => (Code::Other("".into()), text),
        };
        Self { command, code, message: message.into(), refusal: Refusal::of(command) }
    }

    /// The same error, with this meaning in place of the one derived from the command's name.
    #[cfg(feature = "tokio")]
    pub(crate) fn meaning(self, refusal: Refusal) -> Self {
        Self { refusal, ..self }
    }

    /// Whether the command may have run: [`Outcome::NotApplied`] for most commands. The error of a script may be that of a
    /// command which it called after others had run: [`Outcome::Unknown`], unless the text proves that nothing ran.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let not_run = match self.refusal {
            Refusal::NotApplied => true,
            Refusal::Script => proves_not_run(self),
            Refusal::Unclear => !matches!(self.code, Code::Err | Code::Other(_)),
        };
        if not_run { Outcome::NotApplied } else { Outcome::Unknown }
    }

    /// As [`ServerError::new`], with `***` wherever the secret stands: a server may quote what it was sent.
    #[cfg(feature = "tokio")]
    pub(crate) fn without(secret: Option<&[u8]>, command: &'static str, text: &[u8]) -> Self {
        let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
            return Self::new(command, text);
        };
        let mut rest = text;
        let mut shown = Vec::with_capacity(text.len());
        while let Some((&byte, behind)) = rest.split_first() {
            if let Some(behind) = rest.strip_prefix(secret) {
                shown.extend_from_slice(b"***");
                rest = behind;
            } else {
                shown.push(byte);
                rest = behind;
            }
        }
        Self::new(command, &shown)
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

    /// Whether there are too many clients: a matter of time, though its code is a vague one.
    pub(crate) fn is_too_many(&self) -> bool {
        self.message.starts_with(b"max number of clients")
    }

    /// Whether a read ended because its server changed its role; others are ended by CLIENT UNBLOCK or a deleted key.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_role_change(&self) -> bool {
        self.code == Code::Unblocked && self.message.starts_with(b"force unblock")
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

/// The text without the arguments that it quotes.
fn unquoted(text: &[u8]) -> &[u8] {
    const QUOTE: &[u8] = b"with args beginning with";
    let quote = text.windows(QUOTE.len()).position(|words| words == QUOTE);
    text.get(..quote.unwrap_or(text.len())).unwrap_or(text)
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

debug_is_display!(ServerError);

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
    fn every_code_has_its_word_and_some_pass() {
        let pass = "UNBLOCKED OOM READONLY MASTERDOWN LOADING BUSY MISCONF NOREPLICAS MOVED ASK TRYAGAIN \
                    CLUSTERDOWN REDIRECT";
        let stay =
            "ERR WRONGTYPE NOGROUP BUSYGROUP NOAUTH WRONGPASS NOPERM NOPROTO EXECABORT CROSSSLOT";
        assert_eq!(pass.split(' ').chain(stay.split(' ')).count(), NAMES.len());
        for (words, retryable) in [(pass, true), (stay, false), ("NEWCODE", false)] {
            for word in words.split(' ') {
                let error = ServerError::new("XADD", format!("{word} some text").as_bytes());
                assert_eq!(error.code().as_str(), word);
                assert_eq!(error.code().is_retryable(), retryable, "{word}");
                assert_eq!(matches!(error.code(), Code::Other(_)), word == "NEWCODE", "{word}");
            }
        }
    }

    #[test]
    fn a_password_that_the_server_quotes_is_left_out() {
        let text = b"ERR unknown command 'X', with args beginning with: 'ann' 'sesame'";
        for command in ["AUTH", "HELLO"] {
            let error = ServerError::new(command, text);
            assert_eq!(error.to_string(), format!("{command}: ERR unknown command 'X', "));
            assert!(!error.message().ends_with(b"'sesame'"));
        }
        assert!(ServerError::new("XADD", text).message().ends_with(b"'sesame'"));
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
