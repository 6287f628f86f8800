//! The bytes as a tree of frames: each is a list that begins with its type byte.

use super::json::{Json, integer, is_bytes, list, tuple};
use bourn::resp::Value;

/// Whether the value equals the tree.
///
/// Streamed frames equal their values, and every null is the same.
pub(crate) fn shows(tree: &Json, value: &Value) -> bool {
    let Some((kind, content)) = list(tree).split_first() else { return false };
    match (kind.as_str().unwrap_or_default(), content, value) {
        ("_" | "$-1" | "*-1", [], Value::Null) => true,
        ("+", [text], Value::Simple(got))
        | ("-" | "!", [text], Value::Error(got))
        | ("$", [text], Value::Bulk(got))
        | ("(", [text], Value::BigNumber(got)) => is_bytes(text, got),
        (":", [n], Value::Integer(got)) => integer(n) == Some(*got),
        ("#", [b], Value::Boolean(got)) => b.as_bool() == Some(*got),
        (",", [text], Value::Double(got)) => is_double(text, *got),
        ("=", [letters, text], Value::Verbatim(got)) => match got.split_at_checked(3) {
            Some((first, [b':', rest @ ..])) => is_bytes(letters, first) && is_bytes(text, rest),
            _ => false,
        },
        ("$?", [chunks], Value::Bulk(got)) => {
            let chunks: Option<String> = list(chunks).iter().map(Json::as_str).collect();
            chunks.is_some_and(|chunks| chunks.as_bytes() == got)
        }
        ("*" | "*?", [trees], Value::Array(got))
        | ("~" | "~?", [trees], Value::Set(got))
        | (">", [trees], Value::Push(got)) => all(list(trees).iter(), got),
        ("%" | "%?", [pairs], Value::Map(got)) => {
            all_pairs(pairs) && all(list(pairs).iter().flat_map(list), got)
        }
        ("|", [pairs, described], Value::Attribute(got)) => {
            let pairs_and_more = list(pairs).iter().flat_map(list).chain([described]);
            all_pairs(pairs) && all(pairs_and_more, got)
        }
        _ => false,
    }
}

fn all<'a>(trees: impl Iterator<Item = &'a Json>, values: &[Value]) -> bool {
    let trees: Vec<_> = trees.collect();
    trees.len() == values.len() && trees.iter().zip(values).all(|(tree, value)| shows(tree, value))
}

fn all_pairs(pairs: &Json) -> bool {
    pairs.is_array() && list(pairs).iter().all(|pair| tuple::<2>(pair).is_some())
}

/// Whether this is the double of that text: the zeros differ, and all NaNs are equal.
pub(crate) fn is_double(text: &Json, n: f64) -> bool {
    match text.as_str().map(str::parse::<f64>) {
        Some(Ok(expected)) => {
            expected.to_bits() == n.to_bits() || (expected.is_nan() && n.is_nan())
        }
        _ => false,
    }
}
