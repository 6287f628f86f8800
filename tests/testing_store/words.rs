//! Arguments: few values, so that commands meet, and bad ones among them.

use fastrand::Rng;

/// Chooses one of these.
pub(crate) fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// Returns true with a probability of one in this number.
pub(crate) fn once_in(rng: &mut Rng, many: u32) -> bool {
    rng.u32(..many) == 0
}

pub(crate) fn key(rng: &mut Rng) -> &'static str {
    match rng.u32(..60) {
        0 => "s",
        1 => "none",
        2..12 => "k2",
        _ => "k",
    }
}

pub(crate) fn group(rng: &mut Rng) -> &'static str {
    match rng.u32(..40) {
        0 => "none",
        1 => "",
        2..12 => "h",
        _ => "g",
    }
}

pub(crate) fn consumer(rng: &mut Rng) -> &'static str {
    if once_in(rng, 40) { "" } else { one(rng, &["a", "b", "c"]) }
}

/// An id of an entry that may exist. `@n` stands for an id that XADD returned: see `run`.
pub(crate) fn id(rng: &mut Rng) -> String {
    if rng.bool() {
        return format!("@{}", rng.u32(..12));
    }
    match rng.u32(..100) {
        0 => one(rng, BAD_IDS).to_owned(),
        1 => "18446744073709551615-18446744073709551615".to_owned(),
        2 => "0-0".to_owned(),
        3..8 => rng.u32(1..30).to_string(),
        8..12 => format!("{}-{}", rng.u32(1..30), rng.u32(..3)),
        12 => "99-0".to_owned(),
        _ => format!("{}-0", rng.u32(1..30)),
    }
}

const BAD_IDS: &[&str] = &[
    "",
    "x",
    "-",
    "+",
    "$",
    ">",
    "*",
    "1-",
    "-1",
    "1-x",
    "1-*",
    "01-0",
    " 1-0",
    "1--01",
    "1-2-3",
    "(1",
    "(-",
    "18446744073709551616",
    "18446744073709551615-18446744073709551615",
    "1.5",
];

/// An end of a range.
pub(crate) fn bound(rng: &mut Rng) -> String {
    match rng.u32(..12) {
        0..4 => "-".to_owned(),
        4..8 => "+".to_owned(),
        8 => format!("({}", id(rng)),
        _ => id(rng),
    }
}

pub(crate) fn count(rng: &mut Rng) -> String {
    match rng.u32(..20) {
        0 => {
            one(rng, &["0", "-1", "a", "", "9223372036854775807", "9223372036854775808"]).to_owned()
        }
        _ => rng.u32(1..6).to_string(),
    }
}

/// A number of seconds, milliseconds or entries that is mostly good.
pub(crate) fn number(rng: &mut Rng) -> &'static str {
    one(
        rng,
        &[
            "0",
            "1",
            "2",
            "3",
            "5",
            "10",
            "100",
            "-1",
            "-5",
            "a",
            "",
            "1.0",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "+1",
            "01",
        ],
    )
}

/// A least idle time: never between the times that pass here and the ones that are set.
pub(crate) fn min_idle(rng: &mut Rng) -> &'static str {
    match rng.u32(..30) {
        0 => one(rng, &["-1", "-9223372036854775808", "a", ""]),
        1 => "9223372036854775807",
        _ => one(rng, &["0", "0", "0", "2000", "30000", "1000000"]),
    }
}

/// Some of these, in any order.
pub(crate) fn some<T>(rng: &mut Rng, mut of: Vec<T>, chance: u32) -> Vec<T> {
    of.retain(|_| once_in(rng, chance));
    rng.shuffle(&mut of);
    of
}

pub(crate) fn text(rng: &mut Rng) -> String {
    match rng.u32(..30) {
        0 => "x".repeat(rng.usize(..6000)),
        1 => "y".repeat(rng.usize(..300)),
        2 => String::new(),
        3..8 => rng.i64(..).to_string(),
        8..12 => rng.i16(..).to_string(),
        _ => one(rng, &["1", "2", "text", "-1", "0", "007"]).to_owned(),
    }
}
