//! Display of values for people, and encoding of values as RESP. No I/O.

use super::{Token, Value};
use std::fmt::{self, Write};

impl Value {
    /// Appends the value to `out`, in RESP3.
    ///
    /// The bytes can differ from those that were parsed: every null is `_`, a double has its
    /// shortest text (`,3` becomes `,3.0`), an error is a bulk error only if it has several lines,
    /// and no value is streamed. To keep the exact bytes of a reply, keep its
    /// [`Frame`](super::Frame). A simple string must be a single line.
    pub fn write(&self, out: &mut Vec<u8>) {
        for token in self.tokens() {
            write_token(token, out);
        }
    }
}

impl Value {
    /// Appends the value to `out` in RESP2, as servers send it on a RESP2 connection.
    ///
    /// | value | RESP2 |
    /// |---|---|
    /// | null | `$-1` |
    /// | map, set, push | an array; a map alternates keys and values |
    /// | double, big number, verbatim string | a bulk string |
    /// | boolean | `:1`, `:0` |
    /// | error of several lines | one line, with spaces for the line ends |
    /// | attribute | the value that it describes |
    pub fn write_resp2(&self, out: &mut Vec<u8>) {
        // Number of values inside attributes still to be skipped.
        let mut skip = 0usize;
        for token in self.tokens() {
            if skip > 0 {
                skip = skip - 1 + token.inner().unwrap_or_default();
                continue;
            }
            match token {
                Token::Attribute(n) => skip = n.saturating_mul(2),
                Token::Null => out.extend_from_slice(b"$-1\r\n"),
                Token::Map(n) => line(out, b'*', n.saturating_mul(2).to_string().as_bytes()),
                Token::Set(n) | Token::Push(n) => line(out, b'*', n.to_string().as_bytes()),
                Token::Double(n) => body(out, b'$', double(n).as_bytes()),
                Token::BigNumber(text) => body(out, b'$', text),
                Token::Verbatim(text) => body(out, b'$', text.get(4..).unwrap_or_default()),
                Token::Boolean(b) => line(out, b':', if b { b"1" } else { b"0" }),
                Token::BulkError(text) => {
                    let blank = |b: &u8| if matches!(b, b'\r' | b'\n') { b' ' } else { *b };
                    line(out, b'-', &text.iter().map(blank).collect::<Vec<_>>());
                }
                token => write_token(token, out),
            }
        }
    }
}

fn write_token(token: Token<'_>, out: &mut Vec<u8>) {
    match token {
        Token::Null => out.extend_from_slice(b"_\r\n"),
        Token::Simple(text) => line(out, b'+', text),
        Token::Error(text) => line(out, b'-', text),
        Token::Integer(n) => line(out, b':', n.to_string().as_bytes()),
        Token::Double(n) => line(out, b',', double(n).as_bytes()),
        Token::Boolean(b) => line(out, b'#', if b { b"t" } else { b"f" }),
        Token::BigNumber(text) => line(out, b'(', text),
        Token::Bulk(text) => body(out, b'$', text),
        Token::Verbatim(text) => body(out, b'=', text),
        Token::BulkError(text) => body(out, b'!', text),
        Token::Array(n) => line(out, b'*', n.to_string().as_bytes()),
        Token::Map(n) => line(out, b'%', n.to_string().as_bytes()),
        Token::Set(n) => line(out, b'~', n.to_string().as_bytes()),
        Token::Push(n) => line(out, b'>', n.to_string().as_bytes()),
        Token::Attribute(n) => line(out, b'|', n.to_string().as_bytes()),
        Token::StreamedString => line(out, b'$', b"?"),
        Token::StreamedArray => line(out, b'*', b"?"),
        Token::StreamedSet => line(out, b'~', b"?"),
        Token::StreamedMap => line(out, b'%', b"?"),
        Token::End => line(out, b'.', b""),
        Token::Chunk(b"") => line(out, b';', b"0"),
        Token::Chunk(text) => body(out, b';', text),
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn body(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    line(out, kind, text.len().to_string().as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn double(n: f64) -> String {
    if n.is_nan() {
        "nan".to_owned()
    } else if n.is_infinite() {
        if n > 0.0 { "inf".to_owned() } else { "-inf".to_owned() }
    } else {
        format!("{n:?}")
    }
}

/// Formats as one line: strings are quoted and escaped, errors and nulls are in brackets.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // For each open value: values left, closing bracket, and whether keys alternate.
        let mut open: Vec<(usize, char, Option<usize>)> = Vec::new();
        for token in self.tokens() {
            print_token(f, token)?;
            match token.inner() {
                Some(n) if n > 0 => {
                    let (end, pairs) = match token {
                        Token::Map(_) => ('}', Some(n)),
                        Token::Set(_) => ('}', None),
                        Token::Attribute(_) => ('>', None),
                        _ => (']', None),
                    };
                    open.push((n, end, pairs));
                    continue;
                }
                _ => {}
            }
            while let Some((left, end, pairs)) = open.last_mut() {
                *left -= 1;
                if *left > 0 {
                    let key = pairs.is_some_and(|n| (n - *left) % 2 == 1);
                    f.write_str(if key { ": " } else { ", " })?;
                    break;
                }
                f.write_char(*end)?;
                open.pop();
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for super::List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (i, value) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            fmt::Display::fmt(value, f)?;
        }
        f.write_char(']')
    }
}

fn print_token(f: &mut fmt::Formatter<'_>, token: Token<'_>) -> fmt::Result {
    match token {
        Token::Null => f.write_str("(nil)"),
        Token::Simple(text) => write!(f, "{}", text.escape_ascii()),
        Token::Error(text) | Token::BulkError(text) => write!(f, "(error {})", text.escape_ascii()),
        Token::Integer(n) => write!(f, "{n}"),
        Token::Double(n) => write!(f, "{n:?}"),
        Token::Boolean(b) => write!(f, "{b}"),
        Token::BigNumber(text) => write!(f, "{}", text.escape_ascii()),
        Token::Bulk(text) | Token::Verbatim(text) => write!(f, "\"{}\"", text.escape_ascii()),
        Token::Map(0) | Token::Set(0) => f.write_str("{}"),
        Token::Array(0) | Token::Push(0) => f.write_str("[]"),
        Token::Map(_) | Token::Set(_) => f.write_char('{'),
        Token::Attribute(_) => f.write_char('<'),
        _ => f.write_char('['),
    }
}
