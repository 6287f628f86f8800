//! Raw: any command that has no type here, with a value tree for a reply. Pure.
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

use super::arg::Arg;
use super::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame, Value};

/// A command by its name, with any arguments, answered with a [`Value`].
///
/// The words of the name are separated by blanks, as in `CLIENT LIST`, and sent one by one; an argument is sent as it
/// is, blanks and all. Nothing is checked but that the connection, which is shared, stays as it is: what would block it
/// or change it is [refused](crate::Unsent::Refused).
///
/// In a cluster any node is asked: a key among the arguments is not looked for.
///
/// # Errors
///
/// [`Unsent::Refused`](crate::Unsent::Refused) says what to use in the command's place; [`Code::Err`](crate::Code::Err)
/// for a command that the server does not know.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Raw};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// let bytes = client.send(Raw::new("MEMORY USAGE").arg("orders").args(["SAMPLES", "0"])).await?;
/// println!("{:?}", bytes.as_integer());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Raw<'a> {
    name: Arg<'a>,
    args: Vec<Arg<'a>>,
}

impl<'a> Raw<'a> {
    /// The command of this name, without arguments.
    pub fn new(name: impl Into<Arg<'a>>) -> Self {
        Self { name: name.into(), args: Vec::new() }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<Arg<'a>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments, in order.
    pub fn args<A: Into<Arg<'a>>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The words of the name; none if it is a number or an id.
    fn name_words(&self) -> impl Iterator<Item = &[u8]> {
        let name = self.name.as_bytes().unwrap_or_default();
        name.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
    }

    /// All that is sent, as words; `None` for what is a number or an id, and so no word of Redis's.
    fn words(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.name_words().map(Some).chain(self.args.iter().map(Arg::as_bytes))
    }

    fn begins_with(&self, name: &str) -> bool {
        let mut words = self.words();
        name.split(' ').all(|part| is(words.next().flatten(), part))
    }
}

impl Command for Raw<'_> {
    const NAME: &'static str = "";
    const SAFETY: Safety = Safety::Write;
    type Reply = Value;

    fn args(&self, out: &mut impl Args) {
        if self.name.as_bytes().is_none() {
            self.name.list(out);
        }
        self.name_words().for_each(|word| out.bytes(word));
        self.args.iter().for_each(|arg| arg.list(out));
    }

    fn reply(frame: Frame) -> Result<Value, DecodeError> {
        Ok(Value::from(&frame))
    }

    fn refused(&self) -> Option<&'static str> {
        if self.name.as_bytes().is_none() {
            return Some(NUMBER);
        }
        if self.name_words().next().is_none() {
            return Some(EMPTY);
        }
        let name = self.name_words().next();
        if is(name, "XREAD") || is(name, "XREADGROUP") {
            return blocks(self.words().skip(1)).then_some(BLOCKING_READ);
        }
        let unfit = UNFIT.iter().find(|(_, names)| names.iter().any(|name| self.begins_with(name)));
        unfit.map(|(reason, _)| *reason)
    }
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

const EMPTY: &str = "a command needs a name";
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
    use crate::EntryId;
    use crate::command::encode;
    use crate::resp::Limits;

    #[test]
    fn a_name_is_sent_word_by_word_and_an_argument_as_it_is() {
        let rows: [(Raw<'_>, &[&str]); 7] = [
            (Raw::new("PING"), &["PING"]),
            (Raw::new("CLIENT LIST"), &["CLIENT", "LIST"]),
            (Raw::new(b" CLIENT  LIST "), &["CLIENT", "LIST"]),
            (Raw::new("ECHO").arg("a b\r\n"), &["ECHO", "a b\r\n"]),
            (Raw::new("SET").arg("").arg(-7), &["SET", "", "-7"]),
            (
                Raw::new("X").args([1, 2]).args(["a"]).arg(EntryId::new(3, 4)),
                &["X", "1", "2", "a", "3-4"],
            ),
            (Raw::new(7).arg("x"), &["7", "x"]),
        ];
        for (raw, expected) in rows {
            let mut wire = format!("*{}\r\n", expected.len());
            for word in expected {
                wire += &format!("${}\r\n{word}\r\n", word.len());
            }
            assert_eq!(
                encode(&raw).escape_ascii().to_string(),
                wire.as_bytes().escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_reply_of_any_type_is_its_value() {
        for bytes in ["+OK\r\n", ":7\r\n", "_\r\n", "*1\r\n%1\r\n+k\r\n#t\r\n", "$0\r\n\r\n"] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            let (value, _) = Value::parse(bytes.as_bytes(), Limits::default()).unwrap().unwrap();
            assert_eq!(Raw::reply(frame), Ok(value), "{bytes:?}");
        }
    }

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
                assert!(raw.refused().is_some(), "{raw:?}");
            }
        }
        for raw in
            [Raw::new(""), Raw::new(" "), Raw::new("").arg("PING"), Raw::new(7), Raw::new(-7)]
        {
            assert!(raw.refused().is_some(), "{raw:?}");
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
            assert_eq!(Raw::new(text).refused(), None, "{text}");
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
        for (text, refused) in rows {
            assert_eq!(Raw::new(text).refused().is_some(), refused, "{text}");
            let mut words = text.split(' ');
            let raw = Raw::new(words.next().unwrap()).args(words);
            assert_eq!(raw.refused().is_some(), refused, "{text}, in arguments");
        }
        let ids = Raw::new("XREADGROUP").args([Arg::from("GROUP"), 1.into(), 2.into()]);
        assert_eq!(ids.clone().arg("STREAMS").refused(), None);
        assert!(ids.arg(b"block").arg(0).refused().is_some());
    }
}
