//! Connects, hands the socket to the driver, connects again.
//!
//! The name is resolved, the socket dialled and the hand shaken, in TLS and in RESP, within one deadline. Between attempts a
//! random time passes. What callers queue meanwhile waits for the next socket, each request within its own deadline.

use super::backoff::Backoff;
use super::call::Patience;
use super::driver::{Alarm, Driver};
use super::events::Event;
use super::handshake::{Handshake, Next};
use super::outbox::Shared;
use super::renew::{self, Renewal};
use super::transport::{self, Dialler, Io};
use crate::command::hello::HelloReply;
use crate::config::{Config, Credentials};
use crate::error::{ConnectError, CredentialsError, Disconnect};
use crate::resp::{Frame, Scanner};
use bytes::BytesMut;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::time::{Instant, sleep, timeout};

/// How a TLS alert begins: what many a server that wants TLS says to one who speaks RESP.
const TLS_ALERT: u8 = 0x15;

/// A socket on which the hand has been shaken.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) io: Io,
    /// What was read behind the last answer.
    pub(super) input: BytesMut,
    pub(super) hello: Option<HelloReply>,
    /// What the server let us in with.
    pub(super) credentials: Option<Credentials>,
}

/// How far an attempt has come.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Dialling,
    Securing,
    Asking,
    Greeting,
}

/// Dials and shakes hands, within the connect deadline.
pub(super) async fn establish(
    config: &Config,
    dialler: &Dialler,
) -> Result<Established, ConnectError> {
    let after = config.connect_timeout;
    let mut stage = Stage::Dialling;
    let attempt = timeout(after, dial_and_greet(config, dialler, &mut stage)).await;
    attempt.unwrap_or_else(|_| {
        Err(match stage {
            Stage::Securing => {
                let reason = format!("the TLS handshake had no end within {after:?}");
                no_tls(config, io::Error::new(io::ErrorKind::TimedOut, reason))
            }
            Stage::Asking => {
                let reason = format!("nobody said them within {after:?}");
                ConnectError::Credentials(CredentialsError::new(reason))
            }
            Stage::Dialling | Stage::Greeting => ConnectError::TimedOut { after },
        })
    })
}

fn no_tls(config: &Config, error: io::Error) -> ConnectError {
    ConnectError::Tls { address: config.address.to_string(), source: Arc::new(error) }
}

async fn dial_and_greet(
    config: &Config,
    dialler: &Dialler,
    stage: &mut Stage,
) -> Result<Established, ConnectError> {
    let failed = |error: io::Error| {
        if transport::is_tls(&error) {
            return no_tls(config, error);
        }
        ConnectError::Io { address: config.address.to_string(), source: Arc::new(error) }
    };
    // Some say it by a reset: those that have not read what was sent to them, as one that wants TLS.
    let hung_up = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ConnectError::Eof,
        _ => failed(error),
    };
    let dialled = dialler.dial(config).await.map_err(failed)?;
    *stage = Stage::Securing;
    let mut io = dialler.secure(config, dialled).await.map_err(|error| no_tls(config, error))?;
    *stage = Stage::Asking;
    let credentials = renew::credentials(config).await.map_err(ConnectError::Credentials)?;
    *stage = Stage::Greeting;
    let mut scanner = Scanner::new(config.limits);
    let mut input = BytesMut::new();
    let (mut handshake, out) = Handshake::begin(config, credentials.as_ref());
    // A server that hangs up may have said why, and it can still be read.
    let mut unwritten = write_all(&mut io, &out).await.err();
    loop {
        let frame = loop {
            if input.first() == Some(&TLS_ALERT) {
                let reason = "the server speaks TLS only, which the settings do not ask for";
                return Err(no_tls(config, io::Error::new(io::ErrorKind::InvalidInput, reason)));
            }
            if let Some(len) = scanner.scan(&input).map_err(ConnectError::Protocol)? {
                break Frame::scanned(input.split_to(len).freeze());
            }
            input.reserve(1024);
            match poll_fn(|cx| io.poll_read(cx, &mut input)).await {
                Ok(0) => return Err(unwritten.map_or(ConnectError::Eof, hung_up)),
                Ok(_) => {}
                Err(error) => return Err(hung_up(error)),
            }
        };
        match handshake.answer(&frame)? {
            Next::Wait => {}
            Next::Send(out) => unwritten = write_all(&mut io, &out).await.err(),
            Next::Done(hello) => return Ok(Established { io, input, hello, credentials }),
        }
    }
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

/// Makes the first connection: tries for as long as the settings say, unless the error does not pass by itself.
pub(super) async fn first(config: &Config, dialler: &Dialler) -> Result<Established, ConnectError> {
    let deadline = Instant::now().checked_add(config.wait_for_server);
    let mut backoff = Backoff::new(config.reconnect_min, config.reconnect_max);
    loop {
        let error = match establish(config, dialler).await {
            Ok(established) => return Ok(established),
            Err(error) => error,
        };
        let after = backoff.delay(fastrand::f64());
        let late = deadline.is_some_and(|deadline| Instant::now() + after >= deadline);
        if late || error.is_permanent() {
            return Err(error);
        }
        sleep(after).await;
    }
}

/// Keeps a connection up until it is closed.
pub(super) async fn run(
    end: End,
    config: Arc<Config>,
    dialler: Dialler,
    patience: Patience,
    first: Option<Established>,
) {
    let shared = Arc::clone(&end.0);
    let mut backoff = Backoff::new(config.reconnect_min, config.reconnect_max);
    let mut next = first;
    // A lazy client has not tried yet.
    let mut at_once = next.is_none();
    loop {
        if next.is_none() {
            let connecting = reconnect(&shared, &config, &dialler, &mut backoff, at_once);
            next = while_open(&shared, connecting).await;
            at_once = false;
            if let Some(established) = &next {
                // Who hears of the connection finds its id and its server.
                shared.greeted(established.hello.clone());
                shared.events().tell(Event::Connected { server: shared.server() });
            }
            shared.drop_abandoned();
        }
        let Some(Established { io, input, credentials, .. }) = next.take() else { break };
        backoff.connected(Instant::now().into_std());
        let driver = Driver::new(io, Arc::clone(&shared), input, &config);
        // Most have nothing to renew: for them the driver is polled with nothing in between.
        let reason = match Renewal::of(&shared, &config, patience, credentials) {
            Some(renewal) => renewal.drive(driver).await,
            None => driver.await,
        };
        backoff.disconnected(Instant::now().into_std());
        shared.events().tell(Event::Disconnected { reason: reason.clone() });
        if matches!(reason, Disconnect::Closed) {
            break;
        }
    }
    drop(end);
}

async fn reconnect(
    shared: &Shared,
    config: &Config,
    dialler: &Dialler,
    backoff: &mut Backoff,
    mut at_once: bool,
) -> Established {
    loop {
        if !std::mem::take(&mut at_once) {
            let after = backoff.delay(fastrand::f64());
            shared.events().tell(Event::Reconnecting { after });
            sleep(after).await;
        }
        match establish(config, dialler).await {
            Ok(established) => return established,
            Err(error) => {
                if error.is_permanent() {
                    backoff.slow();
                }
                let error = Arc::new(error);
                shared.not_connected(Arc::clone(&error));
                shared.events().tell(if error.is_credentials() {
                    Event::CredentialsRejected { error }
                } else {
                    Event::ConnectFailed { error }
                });
            }
        }
    }
}

/// Goes on until the future is ready or the connection is closed; callers whose time is over are told meanwhile.
async fn while_open<T>(shared: &Arc<Shared>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut alarm = Alarm::new(Arc::clone(shared), None);
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        shared.sleep(cx);
        loop {
            match alarm.poll(cx) {
                Some(Disconnect::Closed) => return Poll::Ready(None),
                // There is no connection to give up; what is asked of the alarm still holds.
                Some(_) => {}
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// However the task ends, also with its runtime and before it has begun, everyone who waits is told.
pub(super) struct End(pub(super) Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
        self.0.events().end();
    }
}
