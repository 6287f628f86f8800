//! Faults that a test asks for, and when they happen. No I/O.

use bytes::Bytes;
use std::time::Duration;

/// A fault of an in-memory [`Server`](super::Server), for [`Server::inject`](super::Server::inject).
///
/// | constructor | effect |
/// |---|---|
/// | [`error`](Self::error) | a command is refused with this error |
/// | [`disconnect`](Self::disconnect) | the connection ends, and the command does not run |
/// | [`lose_reply`](Self::lose_reply) | the command runs, and the connection ends without the reply |
/// | [`drop_reply`](Self::drop_reply) | the command runs, its reply is left out, the later ones follow |
/// | [`cut_requests`](Self::cut_requests) | the connection ends after some more bytes of requests |
/// | [`cut_replies`](Self::cut_replies) | the connection ends after some more bytes of replies |
/// | [`stall_requests`](Self::stall_requests) | requests arrive late |
/// | [`stall_replies`](Self::stall_replies) | replies arrive late |
/// | [`refuse_connection`](Self::refuse_connection) | a new connection is refused |
///
/// A fault happens once, on any connection, unless a method says otherwise. The first four affect
/// commands: [`on_command`](Self::on_command) chooses which.
///
/// ```
/// # use bourn::{Error, Outcome, Retry, XAdd, testing::{Fault, Server}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let server = Server::new();
/// let client = server.connect(server.config().retry(Retry::Never)).await?;
/// let add = XAdd::new("orders").field("sku", "A-7");
///
/// server.inject(Fault::error("OOM command not allowed when used memory > 'maxmemory'."));
/// let error = client.send(add.clone()).await.unwrap_err();
/// assert_eq!(error.outcome(), Outcome::NotApplied);
///
/// server.inject(Fault::lose_reply().on_command("XADD"));
/// let error = client.send(add).await.unwrap_err();
/// assert_eq!(error.outcome(), Outcome::Unknown);
/// assert_eq!(server.command("XLEN orders").as_integer(), Some(1));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a fault does nothing until it is given to `Server::inject`"]
pub struct Fault {
    pub(super) kind: Kind,
    pub(super) connection: Option<i64>,
    command: Option<String>,
    skip: u64,
    times: u64,
    pub(super) end: End,
}

/// The end of a connection, as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Replies that were sent, then the end of the stream.
    Eof,
    /// An error at once.
    Reset,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Error(Bytes),
    Disconnect,
    LoseReply,
    DropReply,
    CutRequests(u64),
    CutReplies(u64),
    StallRequests(Duration),
    StallReplies(Duration),
    Refuse,
}

impl Fault {
    fn new(kind: Kind) -> Self {
        Self { kind, connection: None, command: None, skip: 0, times: 1, end: End::Eof }
    }

    /// Refuses a command with this error: its code and text, such as `LOADING Redis is loading the
    /// dataset in memory`. The command does not run.
    ///
    /// Without [`on_command`](Self::on_command), the code decides which commands are refused, as
    /// on a real server:
    ///
    /// | code | refused |
    /// |---|---|
    /// | `READONLY`, `NOREPLICAS`, `MISCONF` | writes |
    /// | `OOM` | writes that may need memory |
    /// | `LOADING`, `MASTERDOWN` | all but AUTH, CLIENT, CONFIG, HELLO, INFO, MULTI, EXEC, DISCARD, SELECT and the like |
    /// | `BUSY` | all but AUTH, HELLO, MULTI, DISCARD, RESET and QUIT |
    /// | other | all |
    pub fn error(text: impl AsRef<str>) -> Self {
        Self::new(Kind::Error(Bytes::copy_from_slice(text.as_ref().as_bytes())))
    }

    /// Ends the connection instead of running a command.
    pub fn disconnect() -> Self {
        Self::new(Kind::Disconnect)
    }

    /// Runs a command, and ends the connection instead of replying.
    pub fn lose_reply() -> Self {
        Self::new(Kind::LoseReply)
    }

    /// Runs a command, and leaves its reply out. The next reply takes its place, as with a broken
    /// proxy.
    pub fn drop_reply() -> Self {
        Self::new(Kind::DropReply)
    }

    /// Ends the connection that brings the next request byte after these. The server runs the
    /// requests that are complete by then.
    pub fn cut_requests(bytes: u64) -> Self {
        Self::new(Kind::CutRequests(bytes))
    }

    /// Ends the connection that takes the next reply byte after these.
    pub fn cut_replies(bytes: u64) -> Self {
        Self::new(Kind::CutReplies(bytes))
    }

    /// Holds back requests for a time, on the connections that are open or opened meanwhile. Then
    /// they arrive. [`Duration::MAX`] is for ever.
    pub fn stall_requests(time: Duration) -> Self {
        Self::new(Kind::StallRequests(time))
    }

    /// Holds back replies for a time. Otherwise as [`stall_requests`](Self::stall_requests).
    pub fn stall_replies(time: Duration) -> Self {
        Self::new(Kind::StallReplies(time))
    }

    /// Refuses a new connection.
    pub fn refuse_connection() -> Self {
        Self::new(Kind::Refuse)
    }

    /// Limits the fault to the connection with this id, as in
    /// [`Client::connection_id`](crate::Client::connection_id).
    pub fn on_connection(mut self, id: i64) -> Self {
        self.connection = Some(id);
        self
    }

    /// Limits the fault to a command: `XADD`, or `XGROUP CREATE`.
    pub fn on_command(mut self, name: &str) -> Self {
        self.command = Some(name.to_ascii_lowercase().replace(' ', "|"));
        self
    }

    /// Lets the first commands or connections pass that the fault would affect.
    pub fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Repeats the fault. The default is 1.
    pub fn times(mut self, count: u64) -> Self {
        self.times = count;
        self
    }

    /// Ends the connection with an error, where the default is the end of the stream. Replies that
    /// the client has not read are lost.
    pub fn reset(mut self) -> Self {
        self.end = End::Reset;
        self
    }

    fn is_of(&self, connection: i64) -> bool {
        self.connection.is_none_or(|id| id == connection)
    }

    /// Whether it affects this command.
    fn affects(&self, command: &Named<'_>) -> bool {
        let Named { name, write, deny_oom, while_loading, while_busy } = *command;
        if let Some(own) = &self.command {
            let parent = name.split('|').next().unwrap_or_default();
            return own == name || own == parent;
        }
        let Kind::Error(text) = &self.kind else { return true };
        match text.split(|byte| *byte == b' ').next().unwrap_or_default() {
            b"READONLY" | b"NOREPLICAS" | b"MISCONF" => write,
            b"OOM" => deny_oom,
            b"LOADING" | b"MASTERDOWN" => !while_loading,
            b"BUSY" => !while_busy,
            _ => true,
        }
    }
}

/// A command that is about to run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    /// In lower case: `xadd`, `xgroup|create`.
    pub(super) name: &'a str,
    pub(super) write: bool,
    pub(super) deny_oom: bool,
    /// Allowed while the server loads its data.
    pub(super) while_loading: bool,
    /// Allowed while a script runs.
    pub(super) while_busy: bool,
}

/// The faults that have not happened yet.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push(fault);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the fault that this command meets.
    pub(super) fn meet(&mut self, connection: i64, command: &Named<'_>) -> Option<(Kind, End)> {
        let affects = |fault: &Fault| {
            let of_command = matches!(
                fault.kind,
                Kind::Error(_) | Kind::Disconnect | Kind::LoseReply | Kind::DropReply
            );
            of_command && fault.is_of(connection) && fault.affects(command)
        };
        self.take(affects)
    }

    /// Whether a new connection is refused.
    pub(super) fn refuse(&mut self) -> bool {
        self.take(|fault| fault.kind == Kind::Refuse).is_some()
    }

    /// Counts bytes of requests. Returns how many of them pass before the connection ends.
    pub(super) fn count_requests(&mut self, connection: i64, len: usize) -> Option<(usize, End)> {
        self.count(connection, len, |kind| match kind {
            Kind::CutRequests(left) => Some(left),
            _ => None,
        })
    }

    /// Counts bytes of replies, like [`Faults::count_requests`].
    pub(super) fn count_replies(&mut self, connection: i64, len: usize) -> Option<(usize, End)> {
        self.count(connection, len, |kind| match kind {
            Kind::CutReplies(left) => Some(left),
            _ => None,
        })
    }

    fn count(
        &mut self,
        connection: i64,
        len: usize,
        left: fn(&mut Kind) -> Option<&mut u64>,
    ) -> Option<(usize, End)> {
        let mut cut = None;
        for (index, fault) in self.0.iter_mut().enumerate() {
            if !fault.is_of(connection) {
                continue;
            }
            let end = fault.end;
            let Some(left) = left(&mut fault.kind) else { continue };
            match usize::try_from(*left).ok().filter(|left| *left < len) {
                Some(passed) if cut.is_none() => cut = Some((index, passed, end)),
                // It counts the bytes of the connections that follow.
                _ => *left = left.saturating_sub(len as u64),
            }
        }
        let (index, passed, end) = cut?;
        drop(self.0.remove(index));
        Some((passed, end))
    }

    fn take(&mut self, affects: impl Fn(&Fault) -> bool) -> Option<(Kind, End)> {
        let mut met = None;
        for (index, fault) in self.0.iter_mut().enumerate() {
            if !affects(fault) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times -= 1;
            met = Some((index, fault.kind.clone(), fault.end));
            break;
        }
        let (index, kind, end) = met?;
        if self.0.get(index).is_some_and(|fault| fault.times == 0) {
            drop(self.0.remove(index));
        }
        Some((kind, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: Named<'_> = Named {
        name: "xadd",
        write: true,
        deny_oom: true,
        while_loading: false,
        while_busy: false,
    };
    const HELLO: Named<'_> = Named {
        name: "hello",
        write: false,
        deny_oom: false,
        while_loading: true,
        while_busy: true,
    };

    fn faults(fault: Fault) -> Faults {
        let mut faults = Faults::default();
        faults.add(fault);
        faults
    }

    #[test]
    fn error_affects_the_commands_that_a_server_refuses_with_it() {
        for (text, hello, add) in [
            ("READONLY a", false, true),
            ("OOM a", false, true),
            ("LOADING a", false, true),
            ("BUSY a", false, true),
            ("ERR a", true, true),
        ] {
            let met = |command| faults(Fault::error(text)).meet(1, &command).is_some();
            assert_eq!((met(HELLO), met(ADD)), (hello, add), "{text}");
        }
        let named = Fault::error("LOADING a").on_command("hello");
        assert!(faults(named).meet(1, &HELLO).is_some(), "a named command is always affected");
    }

    #[test]
    fn fault_is_skipped_and_repeated_as_asked() {
        let mut faults = faults(Fault::disconnect().on_connection(7).skip(1).times(2));
        let met = [7, 8, 7, 7, 7].map(|connection| faults.meet(connection, &ADD).is_some());
        assert_eq!(met, [false, false, true, true, false]);
    }

    #[test]
    fn subcommand_is_named_with_and_without_its_command() {
        let create = Named { name: "xgroup|create", ..ADD };
        for (name, met) in [("XGROUP CREATE", true), ("xgroup", true), ("XGROUP DESTROY", false)] {
            let mut faults = faults(Fault::drop_reply().on_command(name));
            assert_eq!(faults.meet(1, &create).is_some(), met, "{name}");
        }
    }

    #[test]
    fn bytes_are_counted_over_the_connections() {
        let mut faults = faults(Fault::cut_replies(10).reset());
        assert_eq!(faults.count_replies(1, 4), None);
        assert_eq!(faults.count_requests(1, 100), None);
        assert_eq!(faults.count_replies(2, 6), None);
        assert_eq!(faults.count_replies(1, 1), Some((0, End::Reset)));
        assert_eq!(faults.count_replies(1, 100), None);
    }
}
