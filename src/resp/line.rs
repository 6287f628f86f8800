//! Lines and numbers: the content between a type byte and CRLF. No I/O.

use super::ProtocolError;

/// A length cannot have more digits: `i64::MAX` has 19.
const MAX_DIGITS: usize = 19;

/// The length in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// This number of bytes or values.
    Known(usize),
    /// Null: `-1`.
    Null,
    /// Streamed, without a length: `?`.
    Streamed,
}

/// Parses `LENGTH CRLF` after a type byte; returns the length and the number of bytes consumed.
///
/// Returns `Ok(None)` if more bytes are needed. An error is reported at the first wrong byte,
/// however the bytes are split.
pub(super) fn length(line: &[u8]) -> Result<Option<(Length, usize)>, ProtocolError> {
    let mut n: usize = 0;
    for (i, &byte) in line.iter().enumerate() {
        match byte {
            b'0'..=b'9' if i < MAX_DIGITS => {
                let digit = usize::from(byte - b'0');
                n = n
                    .checked_mul(10)
                    .and_then(|n| n.checked_add(digit))
                    .ok_or(ProtocolError::Length)?;
            }
            b'\r' if i > 0 => return Ok(line_feed(line, i)?.map(|used| (Length::Known(n), used))),
            b'-' if i == 0 => return marked(line, b"-1\r\n", Length::Null),
            b'?' if i == 0 => return marked(line, b"?\r\n", Length::Streamed),
            _ => return Err(ProtocolError::Length),
        }
    }
    Ok(None)
}

/// Accepts only the header `whole`; an incomplete one must be a prefix of it.
fn marked(
    line: &[u8],
    whole: &'static [u8],
    length: Length,
) -> Result<Option<(Length, usize)>, ProtocolError> {
    if line.starts_with(whole) {
        return Ok(Some((length, whole.len())));
    }
    if whole.starts_with(line) { Ok(None) } else { Err(ProtocolError::Length) }
}

fn line_feed(line: &[u8], cr: usize) -> Result<Option<usize>, ProtocolError> {
    match line.get(cr + 1) {
        Some(b'\n') => Ok(Some(cr + 2)),
        Some(_) => Err(ProtocolError::Length),
        None => Ok(None),
    }
}

/// Checks that the content of a line is valid for its type byte; string types accept any text.
pub(super) fn check(kind: u8, text: &[u8]) -> Result<(), ProtocolError> {
    match kind {
        b':' => integer(text).map(drop).ok_or(ProtocolError::Number),
        b',' => double(text).map(drop).ok_or(ProtocolError::Number),
        b'(' if !is_big_number(text) => Err(ProtocolError::Number),
        b'#' if !matches!(text, b"t" | b"f") => Err(ProtocolError::Boolean),
        b'_' if !text.is_empty() => Err(ProtocolError::Null),
        b'.' if !text.is_empty() => Err(ProtocolError::Streamed),
        _ => Ok(()),
    }
}

/// Parses a decimal `i64`, with or without a sign.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0i64, |n, &byte| {
        let digit = i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        let n = n.checked_mul(10)?;
        if negative { n.checked_sub(digit) } else { n.checked_add(digit) }
    })
}

/// Parses a double of RESP: decimal with an optional exponent, `inf`, `-inf` or `nan`.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    match text {
        b"inf" | b"+inf" => Some(f64::INFINITY),
        b"-inf" => Some(f64::NEG_INFINITY),
        b"nan" | b"-nan" => Some(f64::NAN),
        _ if text.iter().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) => {
            std::str::from_utf8(text).ok()?.parse().ok()
        }
        _ => None,
    }
}

fn is_big_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_null_and_streamed_are_lengths() {
        use Length::{Known, Null, Streamed};
        let rows: [(&[u8], Result<Option<(Length, usize)>, ProtocolError>); 15] = [
            (b"0\r\n", Ok(Some((Known(0), 3)))),
            (b"15\r\nabc", Ok(Some((Known(15), 4)))),
            (b"9223372036854775807\r\n", Ok(Some((Known(9_223_372_036_854_775_807), 21)))),
            (b"18446744073709551619\r\n", Err(ProtocolError::Length)),
            (b"-1\r\n", Ok(Some((Null, 4)))),
            (b"-", Ok(None)),
            (b"-2\r\n", Err(ProtocolError::Length)),
            (b"?\r\n", Ok(Some((Streamed, 3)))),
            (b"?1", Err(ProtocolError::Length)),
            (b"\r\n", Err(ProtocolError::Length)),
            (b"12", Ok(None)),
            (b"12\r", Ok(None)),
            (b"12\rx", Err(ProtocolError::Length)),
            (b"+3\r\n", Err(ProtocolError::Length)),
            (b" 3\r\n", Err(ProtocolError::Length)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(length(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn integers_outside_the_signed_range_are_refused() {
        let rows: [(&[u8], Option<i64>); 9] = [
            (b"9223372036854775807", Some(i64::MAX)),
            (b"-9223372036854775808", Some(i64::MIN)),
            (b"9223372036854775808", None),
            (b"-9223372036854775809", None),
            (b"+7", Some(7)),
            (b"", None),
            (b"-", None),
            (b"12a", None),
            (b"--1", None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(integer(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn doubles_accept_only_the_named_forms_as_letters() {
        for good in ["1.23", "10", "-0", "inf", "-inf", "nan", "1.5e-10"] {
            assert!(double(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "infinity", "NaN", "1.2.3", "0x10", "1 "] {
            assert!(double(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
