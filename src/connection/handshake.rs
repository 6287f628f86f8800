//! The first words on a connection: what is sent, and what the answers decide. Pure.
//!
//! One round trip in the usual case: `HELLO 3 AUTH user password SETNAME name`, `CLIENT SETINFO` and `SELECT` go out
//! together. Where HELLO is refused (servers before 6.0, some proxies) a second one follows in RESP2: `AUTH`, `CLIENT
//! SETNAME`, `SELECT`. The name is in HELLO because a busy server takes HELLO and nothing else.

use crate::command::hello::{self, HelloReply};
use crate::config::{Config, Credentials, Protocol};
use crate::error::{Code, ConnectError, ServerError};
use crate::resp::Frame;

/// What is waited for, in the order of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Hello,
    Auth,
    SetName,
    SetInfo,
    Select,
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Handshake<'a> {
    config: &'a Config,
    credentials: Option<&'a Credentials>,
    asked: std::collections::VecDeque<Asked>,
    /// HELLO was refused; what else was sent with it is answered, and then said again in RESP2.
    fall_back: bool,
    hello: Option<HelloReply>,
    failed: Option<ConnectError>,
}

/// What an answer leads to.
#[derive(Debug)]
pub(super) enum Next {
    /// More answers are to come.
    Wait,
    /// These bytes are to be sent.
    Send(Vec<u8>),
    /// The connection can be used. What the server said about itself, if it knows HELLO.
    Done(Option<HelloReply>),
}

impl<'a> Handshake<'a> {
    /// Begins, and what is to be sent first.
    pub(super) fn begin(
        config: &'a Config,
        credentials: Option<&'a Credentials>,
    ) -> (Self, Vec<u8>) {
        let mut handshake = Self {
            config,
            credentials,
            asked: [].into(),
            fall_back: false,
            hello: None,
            failed: None,
        };
        let mut out = Vec::new();
        handshake.hello(&mut out);
        handshake.rest(&mut out);
        (handshake, out)
    }

    fn ask(&mut self, asked: Asked, out: &mut Vec<u8>, args: &[&[u8]]) {
        self.asked.push_back(asked);
        hello::write_request(out, args);
    }

    fn hello(&mut self, out: &mut Vec<u8>) {
        let config = self.config;
        let protocol: &[u8] = match config.protocol {
            Protocol::Auto => b"3",
            Protocol::Resp2 => b"2",
        };
        let mut args: Vec<&[u8]> = vec![b"HELLO", protocol];
        if let Some(Credentials { user, password }) = self.credentials {
            let user = user.as_deref().unwrap_or("default");
            args.extend([b"AUTH", user.as_bytes(), password.reveal().as_bytes()]);
        }
        if let Some(name) = &config.client_name {
            args.extend([b"SETNAME", name.as_bytes()]);
        }
        self.ask(Asked::Hello, out, &args);
    }

    fn rest(&mut self, out: &mut Vec<u8>) {
        self.ask(Asked::SetInfo, out, &[b"CLIENT", b"SETINFO", b"LIB-NAME", b"bourn"]);
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        self.ask(Asked::SetInfo, out, &[b"CLIENT", b"SETINFO", b"LIB-VER", version]);
        self.select(out);
    }

    fn select(&mut self, out: &mut Vec<u8>) {
        if self.config.database > 0 {
            let database = self.config.database.to_string();
            self.ask(Asked::Select, out, &[b"SELECT", database.as_bytes()]);
        }
    }

    fn in_resp2(&mut self) -> Vec<u8> {
        let config = self.config;
        let mut out = Vec::new();
        if let Some(Credentials { user, password }) = self.credentials {
            let mut args: Vec<&[u8]> = vec![b"AUTH"];
            args.extend(user.as_deref().map(str::as_bytes));
            args.push(password.reveal().as_bytes());
            self.ask(Asked::Auth, &mut out, &args);
        }
        if let Some(name) = &config.client_name {
            let args = [b"CLIENT".as_slice(), b"SETNAME", name.as_bytes()];
            self.ask(Asked::SetName, &mut out, &args);
        }
        // A server that does not know HELLO does not know SETINFO either.
        self.select(&mut out);
        out
    }

    /// A server's error, without the password wherever in it that may stand.
    fn error(&self, command: &'static str, text: &[u8]) -> ServerError {
        let secret = self.credentials.map(|credentials| credentials.password.reveal().as_bytes());
        ServerError::without(secret, command, text)
    }

    /// Takes the next answer.
    pub(super) fn answer(&mut self, frame: &Frame) -> Result<Next, ConnectError> {
        if frame.is_push() {
            return Ok(Next::Wait);
        }
        let asked = self.asked.pop_front();
        match (asked, frame.error()) {
            (Some(Asked::Hello), Some(text)) => {
                let error = self.error("HELLO", text);
                if refuses_hello(&error) {
                    self.fall_back = true;
                } else {
                    return Err(ConnectError::Refused(Box::new(error)));
                }
            }
            (Some(Asked::Hello), None) => {
                self.hello = Some(hello::reply(frame).map_err(ConnectError::Decode)?);
            }
            // Servers before 7.2 do not know it, a busy one does not take it, and a user may not be allowed to.
            (Some(Asked::SetInfo), _) | (Some(_), None) => {}
            (Some(_), Some(_)) if self.fall_back => {}
            (Some(asked), Some(text)) => {
                let command = match asked {
                    Asked::Auth => "AUTH",
                    Asked::Select => "SELECT",
                    _ => "CLIENT SETNAME",
                };
                let error = ConnectError::Refused(Box::new(self.error(command, text)));
                self.failed.get_or_insert(error);
            }
            // Sent unasked when there are too many clients.
            (None, Some(text)) => {
                return Err(ConnectError::Refused(Box::new(self.error("HELLO", text))));
            }
            (None, None) => {
                return Err(ConnectError::Protocol(crate::resp::ProtocolError::Unasked));
            }
        }
        if !self.asked.is_empty() {
            return Ok(Next::Wait);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if std::mem::take(&mut self.fall_back) {
            let out = self.in_resp2();
            if !out.is_empty() {
                return Ok(Next::Send(out));
            }
        }
        Ok(Next::Done(self.hello.take()))
    }
}

/// Whether a server that said this to HELLO can still be talked to in RESP2.
fn refuses_hello(error: &ServerError) -> bool {
    let unknown = error.message().to_ascii_lowercase().windows(15).any(|w| w == b"unknown command");
    *error.code() == Code::NoProto || (*error.code() == Code::Err && unknown)
}
