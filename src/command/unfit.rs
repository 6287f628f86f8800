//! Unfit commands: those that would block a shared connection or change it. Pure.
//!
//! The name of a typed command is checked at compile time, that of a [`Raw`](super::Raw) when it is sent: [`refused`].
//!
//! | refused | because |
//! |---|---|
//! | XREAD and XREADGROUP with BLOCK, BLPOP and its kin, WAIT, WAITAOF | others would wait behind it |
//! | SUBSCRIBE and its kin, MONITOR, PSYNC and its kin, CLIENT TRACKING, SCRIPT DEBUG | what comes is not replies |
//! | CLIENT REPLY | others would wait for their replies in vain |
//! | MULTI, EXEC, DISCARD, WATCH, UNWATCH | others' commands would get into the transaction |
//! | HELLO, AUTH, SELECT, CLIENT SETNAME and its kin, READONLY, READWRITE, ASKING | it is the connection's own affair |
//! | QUIT, RESET, POST, HOST: | the connection would end, or start over |
//!
//! Names and options are compared as servers do: in any case, and only up to a NUL, where C ends a string.

use super::{Command, request};
use crate::resp::{Args, Sealed};

/// Whether the arguments of a command were checked in advance. Users cannot name this type, so only this crate can say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(unnameable_types, reason = "only commands of this crate are checked in advance")]
pub struct Listing(bool);

impl Listing {
    /// The arguments cannot be unfit.
    pub(super) const CHECKED: Self = Self(true);

    /// The arguments are checked for each request, if the name does not say enough.
    pub(super) const FREE: Self = Self(false);
}

/// Returns the reason why a command may not be sent; `None` if it may.
///
/// With an unfit name this does not compile. Where a name does not say enough (`XREAD`, `CLIENT`, an empty one), the
/// arguments of each request are checked.
#[inline]
pub(crate) fn refused<C: Command>(command: &C) -> Option<&'static str> {
    let listed = const {
        match verdict(C::NAME) {
            Verdict::Fit => false,
            Verdict::Arguments => !C::LISTING.0,
            Verdict::Unfit(reason) => panic!("{}", reason),
        }
    };
    let reason = if listed { by_arguments(command) } else { None };
    reason.or_else(|| command.refused())
}

#[cold]
fn by_arguments<C: Command>(command: &C) -> Option<&'static str> {
    let mut words = Words::default();
    request(command, &mut words);
    let words = words.0.iter();
    reason(words.map(|word| word.as_ref().and_then(|(bytes, len)| bytes.get(..*len))))
}

/// Returns the reason why a request of these words may not be sent. A number or an id is no word of Redis's.
fn reason<'w>(words: impl Iterator<Item = Option<&'w [u8]>> + Clone) -> Option<&'static str> {
    let name = match words.clone().next() {
        None => return Some(EMPTY),
        Some(None) => return Some(NUMBER),
        Some(name) => name,
    };
    if is(name, "XREAD") || is(name, "XREADGROUP") {
        return blocks(words.skip(1)).then_some(BLOCKING_READ);
    }
    let begins_with = |name: &str| {
        let mut words = words.clone();
        name.split(' ').all(|part| is(words.next().flatten(), part))
    };
    let unfit = UNFIT.iter().find(|(_, names)| names.iter().any(|name| begins_with(name)));
    unfit.map(|(reason, _)| *reason)
}

/// The beginning of each argument. No word of Redis's is longer.
#[derive(Default)]
struct Words(Vec<Option<([u8; WORD_BYTES], usize)>>);

const WORD_BYTES: usize = 32;

impl Sealed for Words {}

impl Args for Words {
    fn bytes(&mut self, arg: &[u8]) {
        let mut word = [0; WORD_BYTES];
        let len = arg.len().min(WORD_BYTES);
        word.iter_mut().zip(arg).for_each(|(to, from)| *to = *from);
        self.0.push(Some((word, len)));
    }

    fn number(&mut self, _: u64) {
        self.0.push(None);
    }

    fn id(&mut self, _: &str, _: u64, _: u64) {
        self.0.push(None);
    }
}

/// The result of looking at a name alone.
enum Verdict {
    Fit,
    Unfit(&'static str),
    Arguments,
}

const fn verdict(name: &str) -> Verdict {
    let name = name.as_bytes();
    if skip_blanks(name).is_empty() {
        return Verdict::Arguments;
    }
    let mut verdict = Verdict::Fit;
    if is_name(name, b"XREAD") || is_name(name, b"XREADGROUP") {
        verdict = Verdict::Arguments;
    }
    let mut table: &[(&'static str, &[&str])] = &UNFIT;
    while let [(reason, names), others @ ..] = table {
        let mut names = *names;
        while let [unfit, rest @ ..] = names {
            match likeness(name, unfit.as_bytes()) {
                Likeness::Whole => return Verdict::Unfit(reason),
                Likeness::Start => verdict = Verdict::Arguments,
                Likeness::None => {}
            }
            names = rest;
        }
        table = others;
    }
    verdict
}

/// How many of an unfit command's words are in a name.
enum Likeness {
    None,
    /// The name ends before the command does: its arguments go on.
    Start,
    Whole,
}

const fn is_name(name: &[u8], other: &[u8]) -> bool {
    matches!(likeness(name, other), Likeness::Whole)
}

const fn likeness(name: &[u8], unfit: &[u8]) -> Likeness {
    let (mut name, mut unfit) = (skip_blanks(name), unfit);
    loop {
        while let [wanted, rest @ ..] = unfit {
            if *wanted == b' ' {
                break;
            }
            match name {
                [byte, others @ ..] if byte.eq_ignore_ascii_case(wanted) => name = others,
                _ => return Likeness::None,
            }
            unfit = rest;
        }
        match name {
            [] | [b' ' | 0, ..] => {}
            _ => return Likeness::None,
        }
        // Behind a NUL a server does not look.
        while let [byte, others @ ..] = name {
            if *byte == b' ' {
                break;
            }
            name = others;
        }
        name = skip_blanks(name);
        match unfit {
            [] => return Likeness::Whole,
            [_, rest @ ..] => unfit = rest,
        }
        if name.is_empty() {
            return Likeness::Start;
        }
    }
}

const fn skip_blanks(name: &[u8]) -> &[u8] {
    let mut name = name;
    while let [b' ', rest @ ..] = name {
        name = rest;
    }
    name
}

/// Whether a word is this word of Redis's.
fn is(word: Option<&[u8]>, name: &str) -> bool {
    // Servers compare C strings, which end at a NUL: Redis 8.10 takes "XREAD\0?" for XREAD.
    let word = word.and_then(|word| word.split(|byte| *byte == 0).next());
    word.is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether BLOCK is among the options of a read, which end at STREAMS. The value of an option is not one.
fn blocks<'a>(mut words: impl Iterator<Item = Option<&'a [u8]>>) -> bool {
    while let Some(word) = words.next() {
        let option = |name| is(word, name);
        let values = if option("BLOCK") {
            return true;
        } else if option("STREAMS") {
            return false;
        } else if option("NOACK") {
            0
        } else if ["COUNT", "MAXCOUNT", "MAXSIZE", "CLAIM"].into_iter().any(option) {
            1
        } else if option("GROUP") {
            2
        } else {
            // How many values an option of a later server takes is not known: behind it any BLOCK may be meant.
            return words.any(|word| is(word, "BLOCK"));
        };
        for _ in 0..values {
            words.next();
        }
    }
    false
}

pub(super) const EMPTY: &str = "a command needs a name";
const NUMBER: &str = "a command's name is text, not a number: only its arguments may be numbers";
const BLOCKING_READ: &str =
    "others would wait behind it: leave BLOCK out, or give a typed read to a `Reader`";

/// Why, and which commands, by their first words.
const UNFIT: [(&str, &[&str]); 11] = [
    (
        "others would wait behind it: use the command without the B, which answers at once",
        &["BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP"],
    ),
    (
        "others would wait behind it: give a `Wait` or a `WaitAof` to a `Reader`",
        &["WAIT", "WAITAOF"],
    ),
    (
        "pushes would come that nobody here reads: use a client made for them",
        &[
            "SUBSCRIBE",
            "PSUBSCRIBE",
            "SSUBSCRIBE",
            "UNSUBSCRIBE",
            "PUNSUBSCRIBE",
            "SUNSUBSCRIBE",
            "CLIENT TRACKING",
            "CLIENT CACHING",
        ],
    ),
    (
        "it would turn the connection into a feed: use redis-cli",
        &["MONITOR", "SYNC", "PSYNC", "REPLCONF", "CLUSTER SYNCSLOTS", "SCRIPT DEBUG"],
    ),
    (
        "others would wait for their replies in vain: to do without a reply, drop its future",
        &["CLIENT REPLY"],
    ),
    (
        "others' commands would get into the transaction: use a script (EVAL), which runs as one",
        &["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH"],
    ),
    (
        "it would change the connection, until that is made anew: put it into the `Config`, or give \
         the typed command to a `Reader`",
        &["HELLO", "AUTH", "CLIENT SETNAME"],
    ),
    (
        "it would change the connection, until that is made anew: put it into the `Config`",
        &["SELECT", "CLIENT SETINFO"],
    ),
    (
        "it would change the connection, until that is made anew: leave it out, or give a \
         `ClientNoEvict` to a `Reader`",
        &["CLIENT NO-EVICT", "CLIENT NO-TOUCH", "CLIENT CAPA", "CLIENT IMPORT-SOURCE"],
    ),
    (
        "it would change what others' commands may do: connect to the node that has the key",
        &["READONLY", "READWRITE", "ASKING"],
    ),
    (
        "it would end the connection for everyone: drop the `Client` to be done with it",
        // A server takes POST and HOST: for an attack by way of HTTP, and hangs up.
        &["QUIT", "RESET", "POST", "HOST:"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Raw;

    #[test]
    fn what_blocks_or_changes_the_connection_is_refused_however_it_is_written() {
        for name in UNFIT.iter().flat_map(|(_, names)| *names) {
            let lower = name.to_ascii_lowercase();
            let nul = format!("{lower}\0x");
            let (head, tail) = name.split_once(' ').unwrap_or((name, "x"));
            let (shared, owned) = (bytes::Bytes::from(head), tail.as_bytes().to_vec());
            let rows = [
                Raw::new(*name),
                Raw::new(&lower).arg("x"),
                Raw::new(lower.as_bytes()),
                Raw::new(&nul),
                Raw::new(head).arg(tail).arg(1),
                Raw::new(&shared).arg(&owned),
            ];
            for raw in rows {
                assert!(refused(&raw).is_some(), "{raw:?}");
            }
        }
        for raw in
            [Raw::new(""), Raw::new(" "), Raw::new("").arg("PING"), Raw::new(7), Raw::new(-7)]
        {
            assert!(refused(&raw).is_some(), "{raw:?}");
        }
    }

    #[test]
    fn what_leaves_the_connection_as_it_is_may_be_sent() {
        let rows = [
            "PING",
            "CLIENT",
            "CLIENT ID",
            "CLIENT LIST",
            "CLIENT PAUSE 10 WRITE",
            "CLIENT GETNAME",
            "CLIENT TRACKINGINFO",
            "CLIENT UNBLOCK 7",
            "SCRIPT LOAD x",
            "CLUSTER SLOTS",
            "DEBUG SLEEP 0",
            "SET MULTI EXEC",
            "WAITING",
            "LPOP k",
            "PUBLISH c x",
            "GET CLIENT",
        ];
        for text in rows {
            assert_eq!(refused(&Raw::new(text)), None, "{text}");
        }
    }

    #[test]
    fn a_raw_read_is_refused_if_block_is_one_of_its_options() {
        let rows = [
            ("XREAD BLOCK 0 STREAMS k 0", true),
            ("xread block 0 streams k 0", true),
            ("XREAD COUNT 1 BLOCK 0 STREAMS k 0", true),
            ("XREAD BLOCK", true),
            ("XREAD BLOCK\0x 0 STREAMS k 0", true),
            ("XREAD\0x BLOCK 0 STREAMS k 0", true),
            ("XREADGROUP GROUP g c BLOCK 0 STREAMS k >", true),
            ("XREADGROUP BLOCK 0 GROUP g c STREAMS k >", true),
            ("XREADGROUP GROUP BLOCK BLOCK BLOCK 0 STREAMS k >", true),
            ("XREADGROUP GROUP g STREAMS BLOCK 0 STREAMS k >", true),
            ("XREADGROUP GROUP g c NOACK CLAIM 5 MAXCOUNT 1 MAXSIZE 1 BLOCK 0 STREAMS k >", true),
            ("XREADGROUP GROUP g c NEWER STREAMS BLOCK 0 STREAMS k >", true),
            ("XREAD 7 BLOCK 0 STREAMS k 0", true),
            ("XREAD STREAMS k 0", false),
            ("XREAD", false),
            ("XREAD STREAMS BLOCK 0", false),
            ("XREAD COUNT BLOCK STREAMS k 0", false),
            ("XREADGROUP GROUP BLOCK BLOCK STREAMS k >", false),
            (
                "XREADGROUP GROUP g c NOACK CLAIM 5 MAXCOUNT 1 MAXSIZE 1 COUNT 1 STREAMS BLOCK >",
                false,
            ),
            ("XREADGROUP GROUP g c NEWER 1 STREAMS k >", false),
            ("XREADGROUP GROUP BLOCK", false),
        ];
        for (text, expected) in rows {
            assert_eq!(refused(&Raw::new(text)).is_some(), expected, "{text}");
            let mut words = text.split(' ');
            let raw = Raw::new(words.next().unwrap()).args(words);
            assert_eq!(refused(&raw).is_some(), expected, "{text}, in arguments");
        }
        let ids =
            Raw::new("XREADGROUP").args([crate::command::Arg::from("GROUP"), 1.into(), 2.into()]);
        assert_eq!(refused(&ids.clone().arg("STREAMS")), None);
        assert!(refused(&ids.arg(b"block").arg(0)).is_some());
    }
    #[test]
    fn a_name_is_judged_at_compile_time_as_a_request_is_when_it_is_sent() {
        for name in UNFIT.iter().flat_map(|(_, names)| *names) {
            let lower = name.to_ascii_lowercase();
            let rows = [
                name.to_string(),
                lower.clone(),
                format!(" {} x", lower.replace(' ', "  ")),
                format!("{lower}\0x y"),
            ];
            for row in rows {
                assert!(matches!(verdict(&row), Verdict::Unfit(_)), "{row:?}");
            }
        }
        for name in ["", " ", "CLIENT", "script", "Cluster ", "XREAD", "xreadgroup", "XREAD\0x"] {
            assert!(matches!(verdict(name), Verdict::Arguments), "{name:?}");
        }
        for name in
            ["XADD", "CLIENT ID", "CLIENTS", "WAITING", "SCRIPT LOAD", "XREADS", "GET MULTI"]
        {
            assert!(matches!(verdict(name), Verdict::Fit), "{name:?}");
        }
    }

    /// A command of a user's whose name does not say enough.
    struct Vague<const N: usize>(&'static str);

    impl<const N: usize> Command for Vague<N> {
        const NAME: &'static str = match N {
            0 => "",
            1 => "client",
            _ => "XREAD",
        };
        const SAFETY: crate::Safety = crate::Safety::Write;
        type Reply = ();

        fn args(&self, out: &mut impl Args) {
            self.0.split(' ').filter(|word| !word.is_empty()).for_each(|word| out.text(word));
        }

        fn reply(_: crate::resp::Frame) -> Result<(), crate::DecodeError> {
            Ok(())
        }
    }

    #[test]
    fn a_name_that_says_too_little_is_judged_with_its_arguments() {
        assert_eq!(refused(&Vague::<0>("")), Some(EMPTY));
        assert!(refused(&Vague::<0>("SUBSCRIBE c")).is_some());
        assert!(refused(&Vague::<1>("reply off")).is_some());
        assert_eq!(refused(&Vague::<2>("BLOCK 0 STREAMS k 0")), Some(BLOCKING_READ));
        assert_eq!(refused(&Vague::<0>("PING")), None);
        assert_eq!(refused(&Vague::<1>("ID")), None);
        assert_eq!(refused(&Vague::<2>("STREAMS k 0")), None);
        // As of a reference.
        assert_eq!(refused(&&Vague::<0>("")), Some(EMPTY));
    }
}
