//! The handshake: the first requests on a connection, and the decisions from their replies. No I/O.
//!
//! The usual handshake is one round trip: `HELLO 3 AUTH user password SETNAME name`,
//! `CLIENT SETINFO` and `SELECT` are sent together. The name is in HELLO because a busy server
//! accepts only HELLO. If HELLO is rejected (servers before 6.0, proxies, users that may not run
//! it), a second round trip follows in RESP2: `AUTH`, `CLIENT SETNAME`, `SELECT`.
//! [`HandshakeStyle`] lists the other requests.
//!
//! | request | reply | consequence |
//! |---|---|---|
//! | HELLO | a map | RESP3 is used |
//! | | `NOPROTO`, `NOPERM`, `ERR` or no code; `NOAUTH` if there are credentials | RESP2 |
//! | | another error | the connection fails |
//! | AUTH user password | `ERR wrong number of arguments` | AUTH password: no users before 6.0 |
//! | AUTH, SELECT | `OK`, or the connection fails | |
//! | READONLY, if replicas are read | `OK`, or the connection fails | |
//! | CLIENT SETNAME | `OK`; an error if the command is unknown | no name is set |
//! | CLIENT SETINFO | `OK` or an error | not sent again after an error |
//! | CLIENT ID, INFO, PING | anything, except `NOAUTH` without credentials | it is alive |
//!
//! Any other reply is an error: an unexpected line would shift all replies after it.

use super::handshake_history::{HandshakeStyle, Optional};
use super::host::Host;
use crate::command::hello::{self, HelloReply};
use crate::config::{Config, Credentials};
use crate::error::{Code, ConnectReason, ServerError};
use crate::resp::{DecodeError, Frame, ProtocolError, Scanner};
use crate::server::Server;
use std::collections::VecDeque;
use std::sync::Arc;

/// A request whose reply is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandshakeStep {
    Hello,
    Auth,
    SetName,
    SetInfo,
    Select,
    ReadOnly,
    ClientId,
    Info,
    Ping,
}

/// The round trip that follows the current one, whose remaining replies are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fallback {
    /// HELLO was rejected.
    Resp2,
    /// AUTH accepts only a password.
    PasswordOnly,
}

/// The server's description of itself, and the connection's id.
#[derive(Debug, Clone, Default)]
pub(super) struct Greeting {
    pub(super) server: Option<Arc<Server>>,
    pub(super) id: Option<i64>,
    /// The server reported that it is a replica.
    pub(super) is_replica: bool,
    /// The address that was found before the attempt.
    pub(super) peer: Option<Box<Host>>,
}

/// A handshake in progress.
#[derive(Debug)]
pub(super) struct Handshake<'a> {
    config: &'a Config,
    credentials: Option<&'a Credentials>,
    style: HandshakeStyle,
    /// Optional requests to leave out.
    skip: Optional,
    refused: Optional,
    asked: VecDeque<HandshakeStep>,
    fallback: Option<Fallback>,
    /// The server has sent a reply.
    has_reply: bool,
    greeting: Greeting,
    failed: Option<ConnectReason>,
    /// The first error reply of the server, unless it lacks an optional command.
    refusal: Option<Box<ServerError>>,
}

/// The next step after a reply.
#[derive(Debug)]
pub(super) enum Next {
    /// More replies are outstanding.
    Wait,
    /// Send these bytes.
    Send(Vec<u8>),
    /// The connection is ready.
    Done,
}

impl<'a> Handshake<'a> {
    /// Begins a handshake, and returns the bytes to send first.
    pub(super) fn begin(
        config: &'a Config,
        credentials: Option<&'a Credentials>,
        (style, skip): (HandshakeStyle, Optional),
    ) -> (Self, Vec<u8>) {
        let mut handshake = Self {
            config,
            credentials,
            style,
            skip,
            refused: Optional::default(),
            asked: VecDeque::new(),
            fallback: None,
            has_reply: false,
            greeting: Greeting::default(),
            failed: None,
            refusal: None,
        };
        let out = handshake.requests(true);
        (handshake, out)
    }

    /// Returns the server's description of itself.
    pub(super) fn greeting(self) -> Greeting {
        self.greeting
    }

    /// Returns the style that worked, and the optional requests that the server rejected.
    pub(super) fn result(&self) -> (HandshakeStyle, Optional) {
        (self.style, self.refused)
    }

    /// Returns the error of a server that closed the connection: the reason it sent before, if
    /// there is one.
    pub(super) fn hung_up(&mut self) -> ConnectReason {
        self.refusal.take().map_or(ConnectReason::Eof, ConnectReason::Refused)
    }

    fn ask(&mut self, asked: HandshakeStep, out: &mut Vec<u8>, args: &[&[u8]]) {
        self.asked.push_back(asked);
        hello::write_request(out, args);
    }

    /// Returns the requests of one round trip; `user` is whether AUTH names the user.
    fn requests(&mut self, user: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if self.style == HandshakeStyle::Hello {
            self.hello(&mut out);
        } else {
            self.identity(user, &mut out);
        }
        let set_info = self.config.client_info && !self.skip.has(Optional::SET_INFO);
        if set_info && self.style != HandshakeStyle::Bare {
            self.ask(
                HandshakeStep::SetInfo,
                &mut out,
                &[b"CLIENT", b"SETINFO", b"LIB-NAME", b"bourn"],
            );
            let version = env!("CARGO_PKG_VERSION").as_bytes();
            self.ask(
                HandshakeStep::SetInfo,
                &mut out,
                &[b"CLIENT", b"SETINFO", b"LIB-VER", version],
            );
        }
        if self.config.database > 0 {
            let database = self.config.database.to_string();
            self.ask(HandshakeStep::Select, &mut out, &[b"SELECT", database.as_bytes()]);
        }
        if self.config.reads_from_replica {
            self.ask(HandshakeStep::ReadOnly, &mut out, &[b"READONLY"]);
        }
        if self.style == HandshakeStyle::Plain {
            if !self.skip.has(Optional::CLIENT_ID) {
                self.ask(HandshakeStep::ClientId, &mut out, &[b"CLIENT", b"ID"]);
            }
            if !self.skip.has(Optional::INFO) {
                self.ask(HandshakeStep::Info, &mut out, &[b"INFO", b"server"]);
            }
        }
        // At least one reply is required: otherwise a socket that no process serves would count as
        // connected.
        let nothing = self.asked.iter().all(|asked| *asked == HandshakeStep::SetInfo);
        if !self.has_reply && (nothing || self.style == HandshakeStyle::Bare) {
            self.ask(HandshakeStep::Ping, &mut out, &[b"PING"]);
        }
        out
    }

    fn hello(&mut self, out: &mut Vec<u8>) {
        let config = self.config;
        let mut args: Vec<&[u8]> = vec![b"HELLO", b"3"];
        if let Some(Credentials { user, password }) = self.credentials {
            let user = user.as_deref().unwrap_or("default");
            args.extend([b"AUTH", user.as_bytes(), password.reveal().as_bytes()]);
        }
        if let Some(name) = &config.client_name {
            args.extend([b"SETNAME", name.as_bytes()]);
        }
        self.ask(HandshakeStep::Hello, out, &args);
    }

    /// Writes the requests that replace HELLO's options.
    fn identity(&mut self, user: bool, out: &mut Vec<u8>) {
        let config = self.config;
        if let Some(credentials) = self.credentials {
            let mut args: Vec<&[u8]> = vec![b"AUTH"];
            args.extend(credentials.user.as_deref().filter(|_| user).map(str::as_bytes));
            args.push(credentials.password.reveal().as_bytes());
            self.ask(HandshakeStep::Auth, out, &args);
        }
        if let Some(name) = &config.client_name {
            self.ask(HandshakeStep::SetName, out, &[b"CLIENT", b"SETNAME", name.as_bytes()]);
        }
    }

    /// Returns a server's error, with every occurrence of the password removed.
    fn error(&self, command: &'static str, text: &[u8]) -> ServerError {
        let secret = self.credentials.map(|credentials| credentials.password.reveal().as_bytes());
        ServerError::without(secret, command, text)
    }

    /// Processes the next reply.
    pub(super) fn answer(&mut self, frame: &Frame) -> Result<Next, ConnectReason> {
        if frame.is_push() {
            return Ok(Next::Wait);
        }
        self.has_reply = true;
        match (self.asked.pop_front(), frame.error()) {
            // Sent without a request when there are too many clients.
            (None, Some(text)) => {
                return Err(ConnectReason::Refused(Box::new(self.error("HELLO", text))));
            }
            (None, None) => return Err(ConnectReason::Protocol(ProtocolError::Unasked)),
            _ if self.fallback.is_some() => {}
            (Some(asked), Some(text)) => self.refused(asked, text)?,
            (Some(asked), None) => self.accepted(asked, frame).map_err(ConnectReason::Decode)?,
        }
        if !self.asked.is_empty() {
            return Ok(Next::Wait);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(fallback) = self.fallback.take() else { return Ok(Next::Done) };
        if fallback == Fallback::Resp2 {
            self.style = HandshakeStyle::Bare;
        }
        let out = self.requests(fallback != Fallback::PasswordOnly);
        Ok(if out.is_empty() { Next::Done } else { Next::Send(out) })
    }

    /// Processes an error reply.
    fn refused(&mut self, asked: HandshakeStep, text: &[u8]) -> Result<(), ConnectReason> {
        let command = asked.command();
        let error = Box::new(self.error(command, text));
        // Without credentials NOAUTH is meant literally; some proxies send it for every unknown
        // command.
        let locked = *error.code() == Code::NoAuth && self.credentials.is_none();
        let is_optional = matches!(
            asked,
            HandshakeStep::SetInfo
                | HandshakeStep::SetName
                | HandshakeStep::ClientId
                | HandshakeStep::Info
        );
        // No server closes the connection because it lacks an optional command.
        if !(is_optional && is_unknown(&error)) {
            self.refusal.get_or_insert_with(|| error.clone());
        }
        match asked {
            HandshakeStep::Hello if self.refuses_hello(&error) => {
                self.fallback = Some(Fallback::Resp2);
                return Ok(());
            }
            HandshakeStep::Hello => return Err(ConnectReason::Refused(error)),
            HandshakeStep::Auth if self.knows_no_users(&error) => {
                self.fallback = Some(Fallback::PasswordOnly);
                return Ok(());
            }
            HandshakeStep::SetName if is_unknown(&error) => return Ok(()),
            HandshakeStep::SetInfo => self.refuses(Optional::SET_INFO, &error),
            HandshakeStep::ClientId if !locked => self.refuses(Optional::CLIENT_ID, &error),
            HandshakeStep::Info if !locked => self.refuses(Optional::INFO, &error),
            HandshakeStep::Ping if !locked => {}
            _ => {
                self.failed.get_or_insert(ConnectReason::Refused(error));
            }
        }
        Ok(())
    }

    /// Processes a reply that is not an error.
    fn accepted(&mut self, asked: HandshakeStep, frame: &Frame) -> Result<(), DecodeError> {
        match asked {
            HandshakeStep::Hello => {
                let HelloReply { server, id, role, .. } = hello::reply(frame)?;
                let is_replica = role.is_some_and(|role| role != "master");
                let server = Some(Arc::new(server));
                self.greeting = Greeting { server, id, is_replica, peer: None };
            }
            HandshakeStep::Auth
            | HandshakeStep::SetName
            | HandshakeStep::SetInfo
            | HandshakeStep::Select
            | HandshakeStep::ReadOnly => {
                is_text(frame, "OK")?;
            }
            HandshakeStep::Ping => is_text(frame, "PONG")?,
            // A proxy may reply with any single line.
            HandshakeStep::ClientId => self.greeting.id = frame.cursor().integer("an id").ok(),
            HandshakeStep::Info => {
                let server = frame.cursor().string("INFO's text").ok().and_then(server_of);
                self.greeting.server = server.map(Arc::new);
            }
        }
        Ok(())
    }

    /// Records a rejected optional request, unless the error is transient.
    fn refuses(&mut self, optional: Optional, error: &ServerError) {
        if !error.code().is_retryable() && *error.code() != Code::NoAuth {
            self.refused.add(optional);
        }
    }

    /// Whether a server that replied to HELLO with this error may still accept AUTH and RESP2.
    fn refuses_hello(&self, error: &ServerError) -> bool {
        match error.code() {
            Code::NoProto | Code::NoPerm => true,
            Code::NoAuth => self.credentials.is_some(),
            Code::Err => !error.is_too_many(),
            Code::Other(code) => code.is_empty() || is_unknown(error),
            _ => false,
        }
    }

    /// Whether AUTH accepts no user: servers before 6.0 have none, so only the password is sent.
    fn knows_no_users(&self, error: &ServerError) -> bool {
        let named = self.credentials.is_some_and(|credentials| credentials.user.is_some());
        named && *error.code() == Code::Err && contains(error.message(), b"wrong number of arg")
    }
}

impl HandshakeStep {
    fn command(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Auth => "AUTH",
            Self::SetName => "CLIENT SETNAME",
            Self::SetInfo => "CLIENT SETINFO",
            Self::Select => "SELECT",
            Self::ReadOnly => "READONLY",
            Self::ClientId => "CLIENT ID",
            Self::Info => "INFO",
            Self::Ping => "PING",
        }
    }
}

/// Checks that only pushes were read after the last reply: anything else would count as a reply.
pub(super) fn nothing_left(mut scanner: Scanner, mut input: &[u8]) -> Result<(), ProtocolError> {
    while let Some(first) = input.first() {
        if *first != b'>' {
            return Err(ProtocolError::Unasked);
        }
        let Some(len) = scanner.scan(input)? else { break };
        input = input.get(len..).unwrap_or_default();
    }
    Ok(())
}

/// Checks that a reply is this text. Another text is not quoted, because it may contain a password.
fn is_text(frame: &Frame, expected: &'static str) -> Result<(), DecodeError> {
    match frame.cursor().string(expected)? {
        text if text == expected.as_bytes() => Ok(()),
        _ => Err(DecodeError::new(expected, "another text")),
    }
}

/// Parses the name and version in the reply to INFO.
fn server_of(info: &[u8]) -> Option<Server> {
    let info = std::str::from_utf8(info).ok()?;
    let value = |name| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let valkey = value("valkey_version").map(|version| Server::new("valkey", version));
    valkey.or_else(|| value("redis_version").map(|version| Server::new("redis", version)))
}

/// Whether the server does not know the command.
fn is_unknown(error: &ServerError) -> bool {
    let said: [&[u8]; 4] =
        [b"unknown command", b"unknown subcommand", b"unsupported", b"not supported"];
    said.iter().any(|said| contains(error.message(), said))
}

/// Whether a text contains these lower-case words, in any case.
fn contains(text: &[u8], words: &[u8]) -> bool {
    text.to_ascii_lowercase().windows(words.len()).any(|window| window == words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_reply_names_the_server() {
        let rows = [
            (
                "# Server\r\nredis_version:8.10.2\r\nredis_mode:standalone\r\n",
                Some(("redis", "8.10.2")),
            ),
            (
                "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n",
                Some(("valkey", "9.1.2")),
            ),
            ("OK", None),
            ("", None),
        ];
        for (info, expected) in rows {
            let expected = expected.map(|(name, version)| Server::new(name, version));
            assert_eq!(server_of(info.as_bytes()), expected, "{info:?}");
        }
    }

    #[test]
    fn refused_optional_command_is_no_reason_for_the_end_of_a_connection() {
        let config = Config::tcp("127.0.0.1", 6379).client_name("me");
        let reason = |step, text: &[u8]| {
            let style = (HandshakeStyle::Plain, Optional::default());
            let (mut handshake, _) = Handshake::begin(&config, None, style);
            let _ = handshake.refused(step, text);
            handshake.hung_up()
        };
        let unknown = b"ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.";
        for step in [HandshakeStep::SetInfo, HandshakeStep::ClientId, HandshakeStep::Info] {
            assert!(matches!(reason(step, unknown), ConnectReason::Eof), "{step:?}");
        }
        let full = reason(HandshakeStep::SetInfo, b"ERR max number of clients reached");
        assert!(matches!(full, ConnectReason::Refused(_)), "{full:?}");
    }

    #[test]
    fn only_pushes_may_follow_the_last_reply() {
        let rows: [(&[u8], bool); 7] = [
            (b"", true),
            (b">2\r\n+a\r\n+b\r\n", true),
            (b">2\r\n+a\r\n+b\r\n>2\r\n+a", true),
            (b">", true),
            (b"+OK\r\n", false),
            (b"*", false),
            (b">2\r\n+a\r\n+b\r\n:1\r\n", false),
        ];
        for (input, fine) in rows {
            let scanner = Scanner::new(crate::resp::Limits::default());
            assert_eq!(nothing_left(scanner, input).is_ok(), fine, "{input:?}");
        }
    }
}
