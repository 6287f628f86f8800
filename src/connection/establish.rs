//! One attempt to connect: resolves the name, dials, does the TLS handshake, gets the credentials
//! and does the RESP handshake, all within the connect timeout.
//!
//! A server that closes the connection on the first requests may do so because of them: some
//! proxies do so on HELLO. It is dialled again without HELLO. If that works, a third connection
//! shows whether the disconnect was a rejection, or the server was just starting.

use super::addresses::Tried;
use super::dialler::{Dialler, is_tls};
use super::handshake::{Greeting, Handshake, Next, nothing_left};
use super::handshake_history::{HandshakeStyle, Optional};
use super::renew;
use super::transport::Io;
use crate::config::{Config, Credentials};
use crate::error::{ConnectError, ConnectReason, CredentialsError};
use crate::resp::{Frame, Scanner};
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use tokio::time::{Instant, timeout};

/// The first byte of a TLS alert, which many servers that require TLS send to a plain client.
const TLS_ALERT: u8 = 0x15;

/// The third connection may take the connect timeout divided by this.
const RECHECK_DIVISOR: u32 = 4;

/// A connected socket after a successful handshake.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) io: Io,
    /// Pushes that were read after the last reply.
    pub(super) input: BytesMut,
    pub(super) greeting: Greeting,
    /// The credentials that the server accepted.
    pub(super) credentials: Option<Credentials>,
}

/// The step of an attempt.
#[derive(Debug)]
enum Stage {
    Dialling(Tried),
    TlsHandshake,
    FetchingCredentials,
    Handshake,
}

/// An attempt in progress.
struct Attempt<'a> {
    config: &'a Config,
    dialler: &'a Dialler,
    stage: Stage,
    /// The server closed the connection on the usual requests, without a reply.
    hung_up: bool,
}

/// Connects and does the handshake, within the connect timeout. The address may have to be found
/// first; the server there must be a master.
pub(super) async fn establish(
    config: &Config,
    dialler: &Dialler,
) -> Result<Established, ConnectError> {
    let Some(resolve) = dialler.resolve() else { return establish_at(config, dialler).await };
    let (host, port) =
        resolve.address().await.map_err(|reason| ConnectError::new(&config.address, reason))?;
    let config = config.clone().at_host(&host, port);
    let mut established = establish_at(&config, dialler).await?;
    if established.greeting.is_replica {
        return Err(ConnectError::new(&config.address, ConnectReason::NotMaster));
    }
    established.greeting.peer = Some(Box::new((host, port)));
    Ok(established)
}

async fn establish_at(config: &Config, dialler: &Dialler) -> Result<Established, ConnectError> {
    let stage = Stage::Dialling(Tried::default());
    let mut attempt = Attempt { config, dialler, stage, hung_up: false };
    let ended = timeout(config.connect_timeout, attempt.run()).await;
    let result = ended.unwrap_or_else(|_| Err(attempt.timed_out()));
    if result.is_err() {
        dialler.history(|history| history.failed());
    }
    result.map_err(|reason| ConnectError::new(&config.address, reason))
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<Established, ConnectReason> {
        let now = || Instant::now().into_std();
        let protocol = self.config.protocol;
        let usual = self.dialler.history(|history| history.style(protocol, now()));
        let error = match self.connect(usual).await {
            Err(error) if self.hung_up && usual.0 != HandshakeStyle::Bare => error,
            result => return result,
        };
        if !self.dialler.history(|history| history.may_need_bare()) {
            return Err(error);
        }
        let Ok(bare) = self.connect((HandshakeStyle::Bare, usual.1)).await else {
            return Err(error);
        };
        let doubt = self.config.connect_timeout / RECHECK_DIVISOR;
        if let Ok(Ok(established)) = timeout(doubt, self.connect(usual)).await {
            return Ok(established);
        }
        self.dialler.history(|history| history.needs_bare(now()));
        Ok(bare)
    }

    /// Returns the error of an attempt that timed out.
    fn timed_out(&self) -> ConnectReason {
        let after = self.config.connect_timeout;
        let during = match &self.stage {
            _ if self.hung_up => return ConnectReason::Eof,
            Stage::Dialling(tried) => self.dialler.overdue(self.config, tried),
            Stage::TlsHandshake => {
                let reason = format!("timed out after {after:?}");
                return tls_failed(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            Stage::FetchingCredentials => {
                let reason = format!("timed out after {after:?}");
                return ConnectReason::Credentials(CredentialsError::new(reason));
            }
            Stage::Handshake => format!("{} did not answer the handshake", self.config.address),
        };
        ConnectReason::TimedOut { after, during }
    }

    async fn connect(
        &mut self,
        style: (HandshakeStyle, Optional),
    ) -> Result<Established, ConnectReason> {
        let (config, dialler) = (self.config, self.dialler);
        self.stage = Stage::Dialling(Tried::default());
        let Stage::Dialling(tried) = &self.stage else { return Err(ConnectReason::Eof) };
        let dialled = dialler.dial(config, tried).await?;
        self.stage = Stage::TlsHandshake;
        let secured = dialler.secure(config, dialled).await;
        let mut io = secured.map_err(tls_failed)?;
        self.stage = Stage::FetchingCredentials;
        let credentials = renew::credentials(config).await.map_err(ConnectReason::Credentials)?;
        self.stage = Stage::Handshake;
        let mut scanner = Scanner::new(config.limits);
        let mut input = BytesMut::new();
        let (mut handshake, out) = Handshake::begin(config, credentials.as_ref(), style);
        // A server that closes the connection may have sent a reason, which can still be read.
        let mut unwritten = write_all(&mut io, &out).await.err();
        let mut has_reply = false;
        loop {
            if input.first() == Some(&TLS_ALERT) {
                let reason = "the server requires TLS, which the settings do not ask for";
                return Err(tls_failed(io::Error::new(io::ErrorKind::InvalidInput, reason)));
            }
            let Some(len) = scanner.scan(&input).map_err(ConnectReason::Protocol)? else {
                input.reserve(1024);
                match poll_fn(|cx| io.poll_read(cx, &mut input)).await {
                    Ok(0) => return Err(self.ended(unwritten, has_reply, &mut handshake)),
                    Ok(_) => has_reply = true,
                    Err(error) => return Err(self.ended(Some(error), has_reply, &mut handshake)),
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
        let (worked, refused) = handshake.result();
        dialler.history(|history| {
            history.connected(worked, refused);
            if worked != style.0 {
                history.needs_bare(Instant::now().into_std());
            }
        });
        let greeting = handshake.greeting();
        Ok(Established { io, input, greeting, credentials })
    }

    /// Returns the error of a connection that ended during the handshake.
    fn ended(
        &mut self,
        error: Option<io::Error>,
        has_reply: bool,
        handshake: &mut Handshake<'_>,
    ) -> ConnectReason {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match error {
            // Some servers close with a reset, such as those that require TLS and have not read the
            // request.
            Some(error) if !matches!(error.kind(), BrokenPipe | ConnectionReset) => failed(error),
            _ => {
                self.hung_up |= !has_reply;
                handshake.hung_up()
            }
        }
    }
}

fn tls_failed(error: io::Error) -> ConnectReason {
    ConnectReason::Tls(Arc::new(error))
}

fn failed(error: io::Error) -> ConnectReason {
    if is_tls(&error) { tls_failed(error) } else { ConnectReason::Io(Arc::new(error)) }
}

pub(super) async fn write_all(io: &mut Io, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| io.poll_write(cx, bytes)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => bytes = bytes.get(n..).unwrap_or_default(),
        }
    }
    poll_fn(|cx| io.poll_flush(cx)).await
}
