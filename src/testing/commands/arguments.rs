//! Arguments of commands. No I/O.

use super::super::store::Reply;
use bytes::Bytes;

/// The arguments of a request, with its name at 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments<'a>(pub(crate) &'a [Bytes]);

impl<'a> Arguments<'a> {
    /// Returns the name of the command in lower case.
    pub(crate) fn name(self) -> String {
        self.text(0).to_ascii_lowercase()
    }

    /// Returns the name of the subcommand in lower case.
    pub(crate) fn sub_name(self) -> String {
        self.text(1).to_ascii_lowercase()
    }

    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// Returns an argument. One that is missing is empty: the number is checked before.
    pub(super) fn at(self, index: usize) -> &'a Bytes {
        static MISSING: Bytes = Bytes::new();
        self.0.get(index).unwrap_or(&MISSING)
    }

    /// Returns the arguments from `index` on.
    pub(super) fn from(self, index: usize) -> &'a [Bytes] {
        self.0.get(index..).unwrap_or_default()
    }

    /// Whether an argument is this word, in any case.
    pub(super) fn is(self, index: usize, word: &str) -> bool {
        self.at(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Returns an argument as text, with other bytes replaced.
    pub(super) fn text(self, index: usize) -> String {
        String::from_utf8_lossy(self.at(index)).into_owned()
    }

    /// Returns an integer, or this error.
    pub(super) fn integer_or(self, index: usize, error: &str) -> Result<i64, Reply> {
        integer(self.at(index)).ok_or_else(|| Reply::error(error))
    }

    pub(super) fn integer(self, index: usize) -> Result<i64, Reply> {
        self.integer_or(index, "ERR value is not an integer or out of range")
    }

    /// Returns a timeout in milliseconds.
    pub(super) fn timeout(self, index: usize) -> Result<u64, Reply> {
        let timeout = self.integer_or(index, "ERR timeout is not an integer or out of range")?;
        u64::try_from(timeout).map_err(|_| Reply::error("ERR timeout is negative"))
    }
}

/// Parses a decimal number without leading zeros, plus sign or blanks.
fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

pub(super) fn syntax() -> Reply {
    Reply::error("ERR syntax error")
}
