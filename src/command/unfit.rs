//! Commands that would block or change a shared connection, and are refused. No I/O.
//!
//! The name of a typed command is checked at compile time, the name of a [`Raw`](super::Raw) when
//! it is sent: [`refused`].
//!
//! | refused | because |
//! |---|---|
//! | XREAD and XREADGROUP with BLOCK, BLPOP and similar, WAIT, WAITAOF | it would block other callers' commands |
//! | SUBSCRIBE, MONITOR, PSYNC and similar, CLIENT TRACKING, SCRIPT DEBUG | the server would send data other than replies |
//! | CLIENT REPLY | other callers would get no replies |
//! | MULTI, EXEC, DISCARD, WATCH, UNWATCH | other callers' commands would become part of the transaction |
//! | HELLO, AUTH, SELECT, CLIENT SETNAME and similar, READONLY, ASKING and similar | it would change the connection |
//! | QUIT, RESET, POST, HOST: | the connection would close or be reset |
//!
//! Names and options are compared as in the server: case-insensitively, and only up to a NUL, which
//! ends a C string.

use super::{Command, request};
use crate::resp::{Args, Sealed};

/// Returns the reason why a command may not be sent; `None` if it may.
///
/// An unfit name does not compile. If the name is not sufficient (`XREAD`, `CLIENT`, an empty one),
/// the arguments of each request are checked.
#[inline]
pub(crate) fn refused<C: Command>(command: &C) -> Option<&'static str> {
    let listed = const {
        match verdict(C::NAME) {
            Verdict::Fit => false,
            Verdict::Arguments => !C::LISTING.is_checked(),
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

/// Returns the reason why a request of these words must not be sent. A number or an id is not a
/// keyword.
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

/// The first bytes of each argument. No keyword is longer.
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

/// The result of checking a name alone.
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

/// The part of an unfit command's words that a name contains.
enum Likeness {
    None,
    /// The name ends before the command does: its arguments continue it.
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
        // A server ignores everything after a NUL.
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

/// Whether a word equals this keyword.
fn is(word: Option<&[u8]>, name: &str) -> bool {
    // Servers compare C strings, which end at a NUL: Redis 8.10 accepts "XREAD\0?" as XREAD.
    let word = word.and_then(|word| word.split(|byte| *byte == 0).next());
    word.is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether BLOCK is among the options of a read, which end at STREAMS. An option's value does not
/// count.
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
            // The number of values of an unknown option is not known: any BLOCK after it may be
            // meant.
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
    "it would block other callers' commands: leave out BLOCK, or use a typed read with a `Reader`";

/// The reason of a refusal, and the commands by their first words.
const UNFIT: [(&str, &[&str]); 13] = [
    (
        "it would block other callers' commands: use the command without the B, which never blocks",
        &["BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP"],
    ),
    (
        "it would block other callers' commands: send a `Wait` or `WaitAof` with a `Reader`",
        &["WAIT", "WAITAOF"],
    ),
    (
        "the server would send push messages, which bourn does not read: use another client",
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
        "other callers would never get their replies: to ignore a reply, drop its future",
        &["CLIENT REPLY"],
    ),
    (
        "it would include other callers' commands in the transaction: use `Client::transact`",
        &["MULTI", "EXEC", "DISCARD"],
    ),
    (
        "it would also watch for other callers' transactions: use a script (EVAL)",
        &["WATCH", "UNWATCH"],
    ),
    (
        "it would change the connection until the next reconnect: set it in the `Config`, or send \
         the typed command with a `Reader`",
        &["HELLO", "AUTH", "CLIENT SETNAME"],
    ),
    (
        "it would change the connection until the next reconnect: set it in the `Config`",
        &["SELECT", "CLIENT SETINFO"],
    ),
    (
        "it would change the connection until the next reconnect: send `ClientNoEvict` with a \
         `Reader`",
        &["CLIENT NO-EVICT"],
    ),
    (
        "it would change the connection until the next reconnect: bourn has no command for it",
        &["CLIENT NO-TOUCH", "CLIENT CAPA", "CLIENT IMPORT-SOURCE"],
    ),
    (
        "it would change what other callers' commands may do: connect to the node that has the key",
        &["READONLY", "READWRITE", "ASKING"],
    ),
    (
        "it would close the connection for all callers: drop the `Client` to close it",
        // A server treats POST and HOST: as an attack over HTTP and closes the connection.
        &["QUIT", "RESET", "POST", "HOST:"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Raw;

    /// Every command that blocks, changes or ends a connection, on any server.
    const REFUSED: [&str; 46] = [
        "BLPOP",
        "BRPOP",
        "BRPOPLPUSH",
        "BLMOVE",
        "BLMPOP",
        "BZPOPMIN",
        "BZPOPMAX",
        "BZMPOP",
        "WAIT",
        "WAITAOF",
        "SUBSCRIBE",
        "PSUBSCRIBE",
        "SSUBSCRIBE",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE",
        "SUNSUBSCRIBE",
        "CLIENT TRACKING",
        "CLIENT CACHING",
        "MONITOR",
        "SYNC",
        "PSYNC",
        "REPLCONF",
        "CLUSTER SYNCSLOTS",
        "SCRIPT DEBUG",
        "CLIENT REPLY",
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH",
        "UNWATCH",
        "HELLO",
        "AUTH",
        "CLIENT SETNAME",
        "SELECT",
        "CLIENT SETINFO",
        "CLIENT NO-EVICT",
        "CLIENT NO-TOUCH",
        "CLIENT CAPA",
        "CLIENT IMPORT-SOURCE",
        "READONLY",
        "READWRITE",
        "ASKING",
        "QUIT",
        "RESET",
        "POST",
        "HOST:",
    ];

    #[test]
    fn commands_that_block_or_change_the_connection_are_refused_in_any_spelling() {
        for name in REFUSED {
            let lower = name.to_ascii_lowercase();
            let nul = format!("{lower}\0x");
            let (head, tail) = name.split_once(' ').unwrap_or((name, "x"));
            let (shared, owned) = (bytes::Bytes::from(head), tail.as_bytes().to_vec());
            let rows = [
                Raw::new(name),
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
    fn commands_that_leave_the_connection_unchanged_are_not_refused() {
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
    fn raw_reads_with_block_are_refused() {
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
    fn compile_time_and_run_time_checks_agree() {
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

    /// A user-defined command whose name is not sufficient.
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
    fn insufficient_names_are_checked_with_their_arguments() {
        assert_eq!(refused(&Vague::<0>("")), Some(EMPTY));
        assert!(refused(&Vague::<0>("SUBSCRIBE c")).is_some());
        assert!(refused(&Vague::<1>("reply off")).is_some());
        assert_eq!(refused(&Vague::<2>("BLOCK 0 STREAMS k 0")), Some(BLOCKING_READ));
        assert_eq!(refused(&Vague::<0>("PING")), None);
        assert_eq!(refused(&Vague::<1>("ID")), None);
        assert_eq!(refused(&Vague::<2>("STREAMS k 0")), None);
        // A reference is checked alike.
        assert_eq!(refused(&&Vague::<0>("")), Some(EMPTY));
    }
}
