//! Texts in arguments. No I/O.

/// Returns the bytes up to the first NUL: where the server's text functions end.
pub(super) fn text(argument: &[u8]) -> &[u8] {
    argument.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Whether an argument is this word, in any case.
pub(super) fn is(argument: &[u8], word: &str) -> bool {
    text(argument).eq_ignore_ascii_case(word.as_bytes())
}
