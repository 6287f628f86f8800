//! One attempt to connect: resolves the name, dials, shakes hands in TLS, asks for credentials and shakes hands in RESP, all
//! within the connect timeout.
//!
//! A server that hangs up on the first requests may do so because of them: some proxies end a connection at HELLO. It is
//! dialled again and greeted without HELLO. If that works, a third connection shows whether the hang-up was a refusal or a
//! server that was just starting.

use super::addresses::Tried;
use super::handshake::{Greeting, Handshake, Next, nothing_left};
use super::manner::{Manner, Optional};
use super::renew;
use super::transport::{self, Dialler, Io};
use crate::config::{Config, Credentials};
use crate::error::{ConnectError, ConnectReason, CredentialsError};
use crate::resp::{Frame, Scanner};
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use tokio::time::{Instant, timeout};

/// How a TLS alert begins: what many a server that wants TLS says to one who speaks RESP.
const TLS_ALERT: u8 = 0x15;

/// The share of the connect timeout that the third connection may take.
const DOUBT: u32 = 4;

/// A socket on which the hand has been shaken.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) io: Io,
    /// Pushes that were read behind the last answer.
    pub(super) input: BytesMut,
    pub(super) greeting: Greeting,
    /// The credentials that the server accepted.
    pub(super) credentials: Option<Credentials>,
}

/// How far an attempt has come.
#[derive(Debug)]
enum Stage {
    Dialling(Tried),
    Securing,
    Asking,
    Greeting,
}

/// An attempt, as far as it has come.
struct Attempt<'a> {
    config: &'a Config,
    dialler: &'a Dialler,
    stage: Stage,
    /// The server hung up on the usual requests without a word.
    hung_up: bool,
}

/// Dials and shakes hands, within the connect deadline.
pub(super) async fn establish(
    config: &Config,
    dialler: &Dialler,
) -> Result<Established, ConnectError> {
    let stage = Stage::Dialling(Tried::default());
    let mut attempt = Attempt { config, dialler, stage, hung_up: false };
    let ended = timeout(config.connect_timeout, attempt.run()).await;
    let result = ended.unwrap_or_else(|_| Err(attempt.timed_out()));
    if result.is_err() {
        dialler.lessons(|lessons| lessons.failed());
    }
    result.map_err(|reason| ConnectError::new(&config.address, reason))
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<Established, ConnectReason> {
        let now = || Instant::now().into_std();
        let protocol = self.config.protocol;
        let usual = self.dialler.lessons(|lessons| lessons.manner(protocol, now()));
        let error = match self.connect(usual).await {
            Err(error) if self.hung_up && usual.0 != Manner::Bare => error,
            result => return result,
        };
        if !self.dialler.lessons(|lessons| lessons.may_need_bare()) {
            return Err(error);
        }
        let Ok(bare) = self.connect((Manner::Bare, usual.1)).await else { return Err(error) };
        let doubt = self.config.connect_timeout / DOUBT;
        if let Ok(Ok(established)) = timeout(doubt, self.connect(usual)).await {
            return Ok(established);
        }
        self.dialler.lessons(|lessons| lessons.needs_bare(now()));
        Ok(bare)
    }

    /// The error of an attempt whose time is over.
    fn timed_out(&self) -> ConnectReason {
        let after = self.config.connect_timeout;
        let during = match &self.stage {
            _ if self.hung_up => return ConnectReason::Eof,
            Stage::Dialling(tried) => self.dialler.overdue(self.config, tried),
            Stage::Securing => {
                let reason = format!("timed out after {after:?}");
                return no_tls(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            Stage::Asking => {
                let reason = format!("timed out after {after:?}");
                return ConnectReason::Credentials(CredentialsError::new(reason));
            }
            Stage::Greeting => format!("{} did not answer the handshake", self.config.address),
        };
        ConnectReason::TimedOut { after, during }
    }

    async fn connect(&mut self, manner: (Manner, Optional)) -> Result<Established, ConnectReason> {
        let (config, dialler) = (self.config, self.dialler);
        self.stage = Stage::Dialling(Tried::default());
        let Stage::Dialling(tried) = &self.stage else { return Err(ConnectReason::Eof) };
        let dialled = dialler.dial(config, tried).await?;
        self.stage = Stage::Securing;
        let secured = dialler.secure(config, dialled).await;
        let mut io = secured.map_err(no_tls)?;
        self.stage = Stage::Asking;
        let credentials = renew::credentials(config).await.map_err(ConnectReason::Credentials)?;
        self.stage = Stage::Greeting;
        let mut scanner = Scanner::new(config.limits);
        let mut input = BytesMut::new();
        let (mut handshake, out) = Handshake::begin(config, credentials.as_ref(), manner);
        // A server that hangs up may have said why, and it can still be read.
        let mut unwritten = write_all(&mut io, &out).await.err();
        let mut heard = false;
        loop {
            if input.first() == Some(&TLS_ALERT) {
                let reason = "the server requires TLS, which the settings do not ask for";
                return Err(no_tls(io::Error::new(io::ErrorKind::InvalidInput, reason)));
            }
            let Some(len) = scanner.scan(&input).map_err(ConnectReason::Protocol)? else {
                input.reserve(1024);
                match poll_fn(|cx| io.poll_read(cx, &mut input)).await {
                    Ok(0) => return Err(self.ended(unwritten, heard, &mut handshake)),
                    Ok(_) => heard = true,
                    Err(error) => return Err(self.ended(Some(error), heard, &mut handshake)),
                }
                continue;
            };
            let frame = Frame::scanned(input.split_to(len).freeze());
            match handshake.answer(&frame)? {
                Next::Wait => {}
                Next::Send(out) => unwritten = write_all(&mut io, &out).await.err(),
                Next::Done => break,
            }
        }
        nothing_left(Scanner::new(config.limits), &input).map_err(ConnectReason::Protocol)?;
        let (worked, refused) = handshake.learnt();
        dialler.lessons(|lessons| {
            lessons.connected(worked, refused);
            if worked != manner.0 {
                lessons.needs_bare(Instant::now().into_std());
            }
        });
        let greeting = handshake.greeting();
        Ok(Established { io, input, greeting, credentials })
    }

    /// The error of a connection that ended during the handshake.
    fn ended(
        &mut self,
        error: Option<io::Error>,
        heard: bool,
        handshake: &mut Handshake<'_>,
    ) -> ConnectReason {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match error {
            // Some hang up by a reset: those that have not read what was sent to them, as one that wants TLS.
            Some(error) if !matches!(error.kind(), BrokenPipe | ConnectionReset) => failed(error),
            _ => {
                self.hung_up |= !heard;
                handshake.hung_up()
            }
        }
    }
}

fn no_tls(error: io::Error) -> ConnectReason {
    ConnectReason::Tls(Arc::new(error))
}

fn failed(error: io::Error) -> ConnectReason {
    if transport::is_tls(&error) { no_tls(error) } else { ConnectReason::Io(Arc::new(error)) }
}

async fn write_all(io: &mut Io, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| io.poll_write(cx, bytes)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => bytes = bytes.get(n..).unwrap_or_default(),
        }
    }
    poll_fn(|cx| io.poll_flush(cx)).await
}
