//! Error replies of the server: the code and the text. No I/O.

use super::code::Code;
use super::outcome::Outcome;
use super::refusal::{Refusal, proves_not_run};
use std::fmt;

/// An error reply, with the command that it answers.
///
/// ```
/// use bourn::{Outcome, ServerError};
///
/// let error = ServerError::new("XADD", b"OOM command not allowed");
/// assert_eq!(error.command(), "XADD");
/// assert_eq!(error.outcome(), Outcome::NotApplied);
/// assert!(error.to_string().contains("OOM"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServerError {
    command: &'static str,
    code: Code,
    message: Box<[u8]>,
    refusal: Refusal,
}

/// The number of bytes of a server's text that are shown.
const SHOWN_BYTES: usize = 512;

impl ServerError {
    /// Parses the text of an error reply to `command`.
    ///
    /// In the reply to AUTH or HELLO, the text after `with args beginning with` is removed. A
    /// server that does not know the command quotes the password there.
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

    /// Returns the same error with this meaning, in place of the one derived from the command's
    /// name.
    #[cfg(feature = "tokio")]
    pub(crate) fn meaning(self, refusal: Refusal) -> Self {
        Self { refusal, ..self }
    }

    /// Returns whether the command may have run: [`Outcome::NotApplied`] for most commands. The
    /// error of a script may come from a command that it called after others had run. Then it is
    /// [`Outcome::Unknown`], unless the text proves that nothing ran.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let not_run = match self.refusal {
            Refusal::NotApplied => true,
            Refusal::Script => proves_not_run(&self.code, &self.message, self.redirect().is_some()),
            Refusal::Unclear => !matches!(self.code, Code::Err | Code::Other(_)),
        };
        if not_run { Outcome::NotApplied } else { Outcome::Unknown }
    }

    /// Does the same as [`ServerError::new`], and replaces each occurrence of the secret with
    /// `***`: a server may quote its input.
    #[cfg(feature = "tokio")]
    pub(crate) fn without(secret: Option<&[u8]>, command: &'static str, text: &[u8]) -> Self {
        let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
            return Self::new(command, text);
        };
        let mut rest = text;
        let mut shown = Vec::with_capacity(text.len());
        while let Some((&byte, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(secret) {
                shown.extend_from_slice(b"***");
                rest = after;
            } else {
                shown.push(byte);
                rest = after;
            }
        }
        Self::new(command, &shown)
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// Returns the name of the command.
    #[must_use]
    pub fn command(&self) -> &'static str {
        self.command
    }

    /// Whether the server has too many clients. This is transient, although its code is `ERR`.
    pub(crate) fn is_too_many(&self) -> bool {
        self.message.starts_with(b"max number of clients")
    }

    /// Whether a read ended because its server changed its role, and not by CLIENT UNBLOCK or a
    /// deleted key.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_role_change(&self) -> bool {
        self.code == Code::Unblocked && self.message.starts_with(b"force unblock")
    }

    /// Returns the text after the code, as received. It may quote names with any bytes.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Returns slot and address of [`Code::Moved`] and [`Code::Ask`], or the address of
    /// [`Code::Redirect`]. `None` for other errors, and for a malformed text.
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

/// Returns the text without the arguments that it quotes.
fn unquoted(text: &[u8]) -> &[u8] {
    const QUOTE: &[u8] = b"with args beginning with";
    let quote = text.windows(QUOTE.len()).position(|words| words == QUOTE);
    text.get(..quote.unwrap_or(text.len())).unwrap_or(text)
}

/// The address of another node.
///
/// ```
/// use bourn::ServerError;
///
/// let error = ServerError::new("XADD", b"MOVED 3999 10.0.0.2:6381");
/// let moved = error.redirect().expect("an address");
/// assert_eq!((moved.slot, moved.host.as_str(), moved.port), (Some(3999), "10.0.0.2", 6381));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The slot that is on that node; `None` for [`Code::Redirect`].
    pub slot: Option<u16>,
    /// The host name or address. Empty means the host that answered. `?` means unknown: query
    /// CLUSTER SLOTS.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Formats the command, the code and the text, escaped and cut after 512 bytes.
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
    use super::super::code::NAMES;
    use super::*;

    #[test]
    fn first_word_is_the_code_only_in_capitals_and_digits() {
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
    fn every_code_is_parsed_and_transient_ones_are_retryable() {
        let transient = "UNBLOCKED OOM READONLY MASTERDOWN LOADING BUSY MISCONF NOREPLICAS MOVED ASK \
                         TRYAGAIN CLUSTERDOWN REDIRECT";
        let permanent =
            "ERR WRONGTYPE NOGROUP BUSYGROUP NOAUTH WRONGPASS NOPERM NOPROTO EXECABORT CROSSSLOT";
        assert_eq!(transient.split(' ').chain(permanent.split(' ')).count(), NAMES.len());
        for (words, retryable) in [(transient, true), (permanent, false), ("NEWCODE", false)] {
            for word in words.split(' ') {
                let error = ServerError::new("XADD", format!("{word} some text").as_bytes());
                assert_eq!(error.code().as_str(), word);
                assert_eq!(error.code().is_retryable(), retryable, "{word}");
                assert_eq!(matches!(error.code(), Code::Other(_)), word == "NEWCODE", "{word}");
            }
        }
    }

    #[test]
    fn quoted_password_is_removed_from_auth_and_hello_errors() {
        let text = b"ERR unknown command 'X', with args beginning with: 'ann' 'sesame'";
        for command in ["AUTH", "HELLO"] {
            let error = ServerError::new(command, text);
            assert_eq!(error.to_string(), format!("{command}: ERR unknown command 'X', "));
            assert!(!error.message().ends_with(b"'sesame'"));
        }
        assert!(ServerError::new("XADD", text).message().ends_with(b"'sesame'"));
    }

    #[test]
    fn redirect_parses_every_form_of_host() {
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
    fn control_characters_are_escaped_and_long_text_is_cut() {
        let text = [b"ERR \x1b[31m\r\n".as_slice(), &[b'x'; 4096]].concat();
        let shown = ServerError::new("XADD", &text).to_string();
        assert!(shown.len() < 600 && !shown.contains(char::is_control), "{shown}");
    }
}
