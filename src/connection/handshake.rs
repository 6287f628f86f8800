//! The first requests on a connection, and what their answers decide. Pure.
//!
//! One round trip in the usual case: `HELLO 3 AUTH user password SETNAME name`, `CLIENT SETINFO` and `SELECT` go out
//! together. The name is in HELLO because a busy server takes HELLO and nothing else. Where HELLO is refused (servers
//! before 6.0, proxies, users that may not run it) a second round trip follows in RESP2: `AUTH`, `CLIENT SETNAME`,
//! `SELECT`. [`Manner`] says which requests there are besides.
//!
//! | request | answer | |
//! |---|---|---|
//! | HELLO | a map | the protocol is spoken |
//! | | `NOPROTO`, `NOPERM`, `ERR` or no code; `NOAUTH` although there are credentials | RESP2 |
//! | | another error | the connection is refused |
//! | AUTH user password | `ERR wrong number of arguments` | AUTH password: the server has no users (before 6.0) |
//! | AUTH, SELECT | `OK`, or the connection is refused | |
//! | CLIENT SETNAME | `OK`; an error if the command is unknown | without a name |
//! | CLIENT SETINFO | `OK` or an error | not sent again after an error |
//! | CLIENT ID, INFO, PING | anything, but `NOAUTH` without credentials | the connection is alive |
//!
//! Any other answer is an error: a line that does not belong there would shift all replies behind it.

use super::manner::{Manner, Optional};
use crate::command::hello::{self, HelloReply};
use crate::config::{Config, Credentials};
use crate::error::{Code, ConnectReason, ServerError};
use crate::resp::{DecodeError, Frame, ProtocolError, Scanner};
use crate::server::Server;
use std::collections::VecDeque;
use std::sync::Arc;

/// A request whose answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Hello,
    Auth,
    SetName,
    SetInfo,
    Select,
    ClientId,
    Info,
    Ping,
}

/// The round trip that follows the one under way, whose other answers no longer count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// HELLO was refused.
    Resp2,
    /// AUTH takes a password only.
    Password,
}

/// What a server says about itself and the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Greeting {
    pub(super) server: Option<Arc<Server>>,
    pub(super) id: Option<i64>,
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Handshake<'a> {
    config: &'a Config,
    credentials: Option<&'a Credentials>,
    manner: Manner,
    /// Optional requests to leave out.
    skip: Optional,
    refused: Optional,
    asked: VecDeque<Asked>,
    again: Option<Again>,
    /// The server has answered something.
    heard: bool,
    greeting: Greeting,
    failed: Option<ConnectReason>,
    /// The first error that the server answered with.
    refusal: Option<Box<ServerError>>,
}

/// The consequence of an answer.
#[derive(Debug)]
pub(super) enum Next {
    /// More answers are to come.
    Wait,
    /// These bytes are to be sent.
    Send(Vec<u8>),
    /// The connection can be used.
    Done,
}

impl<'a> Handshake<'a> {
    /// Begins, and returns the bytes to send first.
    pub(super) fn begin(
        config: &'a Config,
        credentials: Option<&'a Credentials>,
        (manner, skip): (Manner, Optional),
    ) -> (Self, Vec<u8>) {
        let mut handshake = Self {
            config,
            credentials,
            manner,
            skip,
            refused: Optional::default(),
            asked: VecDeque::new(),
            again: None,
            heard: false,
            greeting: Greeting::default(),
            failed: None,
            refusal: None,
        };
        let out = handshake.requests(true);
        (handshake, out)
    }

    /// What the server said about itself.
    pub(super) fn greeting(self) -> Greeting {
        self.greeting
    }

    /// The manner that worked, and the optional requests that the server refused.
    pub(super) fn learnt(&self) -> (Manner, Optional) {
        (self.manner, self.refused)
    }

    /// The error of a server that hangs up: the reason that it gave before, if it gave one.
    pub(super) fn hung_up(&mut self) -> ConnectReason {
        self.refusal.take().map_or(ConnectReason::Eof, ConnectReason::Refused)
    }

    fn ask(&mut self, asked: Asked, out: &mut Vec<u8>, args: &[&[u8]]) {
        self.asked.push_back(asked);
        hello::write_request(out, args);
    }

    /// One round trip in the manner of this handshake; `user` is whether AUTH names the user.
    fn requests(&mut self, user: bool) -> Vec<u8> {
        let mut out = Vec::new();
        if self.manner == Manner::Hello {
            self.hello(&mut out);
        } else {
            self.identity(user, &mut out);
        }
        let set_info = self.config.client_info && !self.skip.has(Optional::SET_INFO);
        if set_info && self.manner != Manner::Bare {
            self.ask(Asked::SetInfo, &mut out, &[b"CLIENT", b"SETINFO", b"LIB-NAME", b"bourn"]);
            let version = env!("CARGO_PKG_VERSION").as_bytes();
            self.ask(Asked::SetInfo, &mut out, &[b"CLIENT", b"SETINFO", b"LIB-VER", version]);
        }
        if self.config.database > 0 {
            let database = self.config.database.to_string();
            self.ask(Asked::Select, &mut out, &[b"SELECT", database.as_bytes()]);
        }
        if self.manner == Manner::Plain {
            if !self.skip.has(Optional::CLIENT_ID) {
                self.ask(Asked::ClientId, &mut out, &[b"CLIENT", b"ID"]);
            }
            if !self.skip.has(Optional::INFO) {
                self.ask(Asked::Info, &mut out, &[b"INFO", b"server"]);
            }
        }
        // Something has to be answered, or a socket that nobody serves would pass for a connection.
        let nothing = self.asked.iter().all(|asked| *asked == Asked::SetInfo);
        if !self.heard && (nothing || self.manner == Manner::Bare) {
            self.ask(Asked::Ping, &mut out, &[b"PING"]);
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
        self.ask(Asked::Hello, out, &args);
    }

    /// What HELLO says with its options.
    fn identity(&mut self, user: bool, out: &mut Vec<u8>) {
        let config = self.config;
        if let Some(credentials) = self.credentials {
            let mut args: Vec<&[u8]> = vec![b"AUTH"];
            args.extend(credentials.user.as_deref().filter(|_| user).map(str::as_bytes));
            args.push(credentials.password.reveal().as_bytes());
            self.ask(Asked::Auth, out, &args);
        }
        if let Some(name) = &config.client_name {
            self.ask(Asked::SetName, out, &[b"CLIENT", b"SETNAME", name.as_bytes()]);
        }
    }

    /// A server's error, without the password wherever in it that may stand.
    fn error(&self, command: &'static str, text: &[u8]) -> ServerError {
        let secret = self.credentials.map(|credentials| credentials.password.reveal().as_bytes());
        ServerError::without(secret, command, text)
    }

    /// Takes the next answer.
    pub(super) fn answer(&mut self, frame: &Frame) -> Result<Next, ConnectReason> {
        if frame.is_push() {
            return Ok(Next::Wait);
        }
        self.heard = true;
        match (self.asked.pop_front(), frame.error()) {
            // Sent unasked when there are too many clients.
            (None, Some(text)) => {
                return Err(ConnectReason::Refused(Box::new(self.error("HELLO", text))));
            }
            (None, None) => return Err(ConnectReason::Protocol(ProtocolError::Unasked)),
            _ if self.again.is_some() => {}
            (Some(asked), Some(text)) => self.refused(asked, text)?,
            (Some(asked), None) => self.taken(asked, frame).map_err(ConnectReason::Decode)?,
        }
        if !self.asked.is_empty() {
            return Ok(Next::Wait);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(again) = self.again.take() else { return Ok(Next::Done) };
        if again == Again::Resp2 {
            self.manner = Manner::Bare;
        }
        let out = self.requests(again != Again::Password);
        Ok(if out.is_empty() { Next::Done } else { Next::Send(out) })
    }

    /// Takes an answer that is an error.
    fn refused(&mut self, asked: Asked, text: &[u8]) -> Result<(), ConnectReason> {
        let command = asked.command();
        let error = Box::new(self.error(command, text));
        self.refusal.get_or_insert_with(|| error.clone());
        // Without credentials it is meant as it is said; a proxy says it of all that it does not know.
        let locked = *error.code() == Code::NoAuth && self.credentials.is_none();
        match asked {
            Asked::Hello if self.refuses_hello(&error) => {
                self.again = Some(Again::Resp2);
                return Ok(());
            }
            Asked::Hello => return Err(ConnectReason::Refused(error)),
            Asked::Auth if self.knows_no_users(&error) => {
                self.again = Some(Again::Password);
                return Ok(());
            }
            Asked::SetName if is_unknown(&error) => return Ok(()),
            Asked::SetInfo => self.refuses(Optional::SET_INFO, &error),
            Asked::ClientId if !locked => self.refuses(Optional::CLIENT_ID, &error),
            Asked::Info if !locked => self.refuses(Optional::INFO, &error),
            Asked::Ping if !locked => {}
            _ => {
                self.failed.get_or_insert(ConnectReason::Refused(error));
            }
        }
        Ok(())
    }

    /// Takes an answer that is no error.
    fn taken(&mut self, asked: Asked, frame: &Frame) -> Result<(), DecodeError> {
        match asked {
            Asked::Hello => {
                let HelloReply { server, id, .. } = hello::reply(frame)?;
                self.greeting = Greeting { server: Some(Arc::new(server)), id };
            }
            Asked::Auth | Asked::SetName | Asked::SetInfo | Asked::Select => {
                is_text(frame, "OK")?;
            }
            Asked::Ping => is_text(frame, "PONG")?,
            // A proxy may answer with anything that is one line.
            Asked::ClientId => self.greeting.id = frame.cursor().integer("an id").ok(),
            Asked::Info => {
                let server = frame.cursor().string("INFO's text").ok().and_then(server_of);
                self.greeting.server = server.map(Arc::new);
            }
        }
        Ok(())
    }

    /// A server that cannot answer now may answer the next time.
    fn refuses(&mut self, optional: Optional, error: &ServerError) {
        if !error.code().is_retryable() && *error.code() != Code::NoAuth {
            self.refused.add(optional);
        }
    }

    /// Whether a server that said this to HELLO may still take AUTH and RESP2.
    fn refuses_hello(&self, error: &ServerError) -> bool {
        match error.code() {
            Code::NoProto | Code::NoPerm => true,
            Code::NoAuth => self.credentials.is_some(),
            Code::Err => !error.is_too_many(),
            Code::Other(code) => code.is_empty() || is_unknown(error),
            _ => false,
        }
    }

    /// Whether AUTH takes no user: servers before 6.0 have none, so the password is all there is to say.
    fn knows_no_users(&self, error: &ServerError) -> bool {
        let named = self.credentials.is_some_and(|credentials| credentials.user.is_some());
        named && *error.code() == Code::Err && contains(error.message(), b"wrong number of arg")
    }
}

impl Asked {
    fn command(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Auth => "AUTH",
            Self::SetName => "CLIENT SETNAME",
            Self::SetInfo => "CLIENT SETINFO",
            Self::Select => "SELECT",
            Self::ClientId => "CLIENT ID",
            Self::Info => "INFO",
            Self::Ping => "PING",
        }
    }
}

/// Checks that nothing but pushes was read behind the last answer: anything else would be taken for a reply.
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

/// Checks that an answer is this text. Another one is not quoted: it may have a password in it.
fn is_text(frame: &Frame, expected: &'static str) -> Result<(), DecodeError> {
    match frame.cursor().string(expected)? {
        text if text == expected.as_bytes() => Ok(()),
        _ => Err(DecodeError::new(expected, "another text")),
    }
}

/// The name and version in the reply to INFO.
fn server_of(info: &[u8]) -> Option<Server> {
    let info = std::str::from_utf8(info).ok()?;
    let value = |name| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let valkey = value("valkey_version").map(|version| Server::new("valkey", version));
    valkey.or_else(|| value("redis_version").map(|version| Server::new("redis", version)))
}

/// Whether the server does not know what it was asked.
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
    fn info_names_the_server() {
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
    fn only_pushes_may_follow_the_last_answer() {
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
