//! XINFO HELP: lists the server's forms of XINFO. No I/O.

use crate::command::reply::lines;
use crate::command::{Command, Safety};
use crate::resp::{Args, DecodeError, Frame};

/// Lists the forms of XINFO that the server supports.
///
/// `XINFO HELP` (Redis 5.0). Returns lines of text for people, which differ between versions. Bytes
/// that are not UTF-8 are replaced.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, XInfoHelp};
/// # async fn f(client: &Client) -> Result<(), Error> {
/// println!("{}", client.send(XInfoHelp::new()).await?.join("\n"));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct XInfoHelp(());

impl XInfoHelp {
    /// Creates an XINFO HELP command.
    pub fn new() -> Self {
        Self(())
    }
}

impl Command for XInfoHelp {
    const NAME: &'static str = "XINFO HELP";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = Vec<String>;

    fn args(&self, _: &mut impl Args) {}

    fn reply(frame: Frame) -> Result<Vec<String>, DecodeError> {
        lines(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::reply;
    use super::*;
    use crate::command::slot::listed_keys;
    use crate::command::{Raw, encode};

    #[test]
    fn xinfo_help_reply_is_lines() {
        assert_eq!(encode(&XInfoHelp::new()), encode(&Raw::new("XINFO HELP")));
        assert!(listed_keys(&XInfoHelp::new()).is_empty());
        let rows = [
            (
                "*2\r\n+HELP\r\n+    Print this help.\r\n",
                Some(vec!["HELP", "    Print this help."]),
            ),
            ("*1\r\n$4\r\nHELP\r\n", Some(vec!["HELP"])),
            ("*0\r\n", Some(vec![])),
            ("*1\r\n:1\r\n", None),
            ("*1\r\n_\r\n", None),
            ("+HELP\r\n", None),
            ("_\r\n", None),
        ];
        for (bytes, expected) in rows {
            let lines = reply::<XInfoHelp>(bytes).ok();
            let expected = expected.map(|lines| lines.into_iter().map(String::from).collect());
            assert_eq!(lines, expected, "{bytes:?}");
        }
    }
}
