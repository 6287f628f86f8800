//! XGROUP HELP: lists the server's forms of XGROUP. No I/O.

use crate::command::reply::lines;
use crate::command::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Lists the forms of XGROUP that the server supports.
///
/// `XGROUP HELP` (Redis 5.0). Returns lines of text for people, which differ between versions. To
/// check for a feature, use [`Server::supports`](crate::Server::supports).
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XGroupHelp};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// println!("{}", client.send(XGroupHelp::new()).await?.join("\n"));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct XGroupHelp(());

impl XGroupHelp {
    /// Creates an XGROUP HELP command.
    pub fn new() -> Self {
        Self(())
    }
}

impl Command for XGroupHelp {
    const NAME: &'static str = "XGROUP HELP";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Vec<String>;

    fn args(&self, _: &mut impl Args) {}

    fn reply(frame: Frame) -> Result<Vec<String>, DecodeError> {
        lines(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};
    use crate::resp::Limits;

    #[test]
    fn xgroup_help_has_no_arguments_and_no_key() {
        assert_eq!(encode(&XGroupHelp::new()), encode(&Raw::new("XGROUP HELP")));
        assert!(listed_keys(&XGroupHelp::new()).is_empty());
    }

    #[test]
    fn help_lines_are_strings_of_any_kind() {
        let rows: [(&[u8], Option<&[&str]>); 9] = [
            (b"*0\r\n", Some(&[])),
            (
                b"*3\r\n+CREATE <key>\r\n+    Create.\r\n+\r\n",
                Some(&["CREATE <key>", "    Create.", ""]),
            ),
            (b"*2\r\n$4\r\nHELP\r\n=8\r\ntxt:HELP\r\n", Some(&["HELP", "HELP"])),
            (b"*1\r\n+\xff\r\n", Some(&["\u{fffd}"])),
            (b"*1\r\n:1\r\n", None),
            (b"*1\r\n$-1\r\n", None),
            (b"*-1\r\n", None),
            (b"_\r\n", None),
            (b"+HELP\r\n", None),
        ];
        for (bytes, expected) in rows {
            let frame = Frame::parse(bytes, Limits::default()).unwrap();
            let lines = XGroupHelp::reply(frame).ok();
            let expected = expected.map(|lines| lines.iter().map(ToString::to_string).collect());
            assert_eq!(lines, expected, "{}", bytes.escape_ascii());
        }
    }
}
