//! Raw: any command without a type of its own; the reply is a value tree. No I/O.

use super::arg::Arg;
use super::unfit::EMPTY;
use super::{Command, Safety};
use crate::error::Refusal;
use crate::resp::{Args, DecodeError, Frame, Value};

/// A command given by name and arguments; the reply is a [`Value`].
///
/// The name is split at spaces, as in `CLIENT LIST`, and each word is sent as one argument.
/// Arguments are sent unchanged, spaces included. The only check protects the shared connection: a
/// command that would block or change it is [refused](crate::Unsent::Refused).
///
/// In a cluster, name each key with [`Raw::key`]: arguments are not searched for keys. A command
/// without a key is sent to any node.
///
/// # Errors
///
/// [`Unsent::Refused`](crate::Unsent::Refused) names the alternative to use;
/// [`Code::Err`](crate::Code::Err) when the server does not know the command.
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
    /// The places of the arguments that are keys.
    keys: Vec<usize>,
}

impl<'a> Raw<'a> {
    /// Creates a command with this name and no arguments.
    pub fn new(name: impl Into<Arg<'a>>) -> Self {
        Self { name: name.into(), args: Vec::new(), keys: Vec::new() }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<Arg<'a>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an argument that is a key. In a cluster the command is sent to the node of its keys.
    ///
    /// ```no_run
    /// # use bourn::{Client, Error, Raw};
    /// # async fn f(client: &Client) -> Result<(), Error> {
    /// client.send(Raw::new("MEMORY USAGE").key("orders")).await?;
    /// # Ok(()) }
    /// ```
    pub fn key(mut self, key: impl Into<Arg<'a>>) -> Self {
        self.keys.push(self.args.len());
        self.arg(key)
    }

    /// Adds several arguments, in order.
    pub fn args<A: Into<Arg<'a>>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Returns the words of the name; none if it is a number or an id.
    fn name_words(&self) -> impl Iterator<Item = &[u8]> {
        let name = self.name.as_bytes().unwrap_or_default();
        name.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
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

    fn keys(&self, out: &mut impl Args) {
        self.keys.iter().filter_map(|key| self.args.get(*key)).for_each(|key| key.list(out));
    }

    fn reply(frame: Frame) -> Result<Value, DecodeError> {
        Ok(Value::from(&frame))
    }

    fn refused(&self) -> Option<&'static str> {
        // Without a name, the first argument would be sent as the name.
        self.name_words().next().is_none().then_some(EMPTY)
    }

    fn refusal(&self) -> Refusal {
        match self.name_words().next().map(Refusal::of_bytes) {
            Some(Refusal::Script) => Refusal::Script,
            _ => Refusal::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EntryId;
    use crate::command::encode;
    use crate::resp::Limits;

    #[test]
    fn name_is_split_into_words_and_arguments_are_not() {
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
    fn replies_of_every_type_decode_to_their_value() {
        for bytes in ["+OK\r\n", ":7\r\n", "_\r\n", "*1\r\n%1\r\n+k\r\n#t\r\n", "$0\r\n\r\n"] {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            let (value, _) = Value::parse(bytes.as_bytes(), Limits::default()).unwrap().unwrap();
            assert_eq!(Raw::reply(frame), Ok(value), "{bytes:?}");
        }
    }

    #[test]
    fn scripts_are_recognized_by_the_first_word_of_the_name() {
        for name in ["EVAL", "evalsha", " fcall_ro", "EVAL script 0"] {
            assert_eq!(Raw::new(name).refusal(), Refusal::Script, "{name}");
        }
        for name in ["GET", "SCRIPT LOAD", ""] {
            assert_eq!(Raw::new(name).refusal(), Refusal::Unclear, "{name}");
        }
    }
}
