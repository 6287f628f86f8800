//! New credentials on a live connection: AUTH, in the pipeline between other commands.
//!
//! AUTH is sent like any other request, so no command has to wait for it. It belongs to one
//! connection and is dropped with it, because the next connection asks for credentials itself.
//!
//! | result | action |
//! |---|---|
//! | the server accepts them | they are the current credentials |
//! | the server rejects them | the connection is closed; the next one asks again |
//! | provider fails, no reply, no capacity | retried after a random delay up to `reconnect_max` |

use super::driver::Driver;
use super::enqueue::{Enqueue, Patience};
use super::event::Event;
use super::outbox::{Shared, Size};
use super::panics::Caught;
use super::pipeline::{Failed, Failure, Replies};
use super::request::{Request, ServerLookup};
use crate::command::{Auth, encode_dedicated};
use crate::config::{BoxFuture, Config, Credentials, CredentialsProvider, Provider};
use crate::error::{
    Code, ConnectError, ConnectReason, CredentialsError, Disconnect, ServerError, Unsent,
};
use crate::random;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Returns the credentials for a new connection; `None` if there are none.
///
/// A user without a password has the empty one. Servers accept any password for a user with
/// `nopass`, and reject other users. Without AUTH the connection would be the default user's.
pub(super) async fn credentials(config: &Config) -> Result<Option<Credentials>, CredentialsError> {
    match (&config.credentials, &config.user, &config.password) {
        (Some(provider), ..) => ask(provider).await.map(Some),
        (None, user, Some(password)) => {
            Ok(Some(Credentials { user: user.clone(), password: password.clone() }))
        }
        (None, Some(user), None) => Ok(Some(Credentials::new("").user(user.as_str()))),
        (None, None, None) => Ok(None),
    }
}

/// Asks a provider; its panic is an error.
async fn ask(Provider(provider): &Provider) -> Result<Credentials, CredentialsError> {
    Caught::new(|| provider.credentials()).await.unwrap_or_else(|panic| {
        Err(CredentialsError::new(format!("the credentials provider panicked: {panic}")))
    })
}

/// Renews the credentials of one connection.
pub(super) struct Renewal<'a> {
    shared: &'a Arc<Shared>,
    config: &'a Config,
    patience: Patience,
    provider: &'a Provider,
    used: Credentials,
}

/// The result of a renewal.
enum RenewalOutcome {
    Accepted(Credentials),
    /// The credentials are unchanged.
    Same,
    Refused(Box<ServerError>),
    NoCredentials,
    /// No reply, or no capacity.
    Unanswered,
    /// The connection is ending.
    Closing,
}

impl<'a> Renewal<'a> {
    /// Creates the renewal for a connection with these credentials; `None` without a provider.
    pub(super) fn of(
        shared: &'a Arc<Shared>,
        config: &'a Config,
        patience: Patience,
        used: Option<Credentials>,
    ) -> Option<Self> {
        let provider = config.credentials.as_ref()?;
        Some(Self { shared, config, patience, provider, used: used? })
    }

    /// Drives the connection to its end, and renews the credentials meanwhile.
    pub(super) async fn drive(self, mut driver: Driver) -> Disconnect {
        // Dropped before the driver: an unsent AUTH is then discarded, and not kept for the next
        // connection.
        let mut renewal = pin!(self.run());
        poll_fn(|cx| {
            let end = Pin::new(&mut driver).poll(cx);
            if end.is_pending() {
                let _ = renewal.as_mut().poll(cx);
            }
            end
        })
        .await
    }

    async fn run(mut self) -> Infallible {
        loop {
            let Provider(provider) = self.provider;
            let changed = Caught::new(|| provider.changed(&self.used)).await;
            // All results of a renewal are handled here.
            let outcome =
                if changed.is_ok() { self.renew().await } else { RenewalOutcome::NoCredentials };
            match outcome {
                RenewalOutcome::Accepted(credentials) => self.used = credentials,
                RenewalOutcome::Refused(error) if is_credentials(&error) => {
                    let reason = ConnectReason::Refused(error.clone());
                    let rejected = ConnectError::new(&self.config.address, reason);
                    let event = Event::CredentialsRejected { error: Arc::new(rejected) };
                    self.shared.events().emit(event);
                    self.shared.leave(Disconnect::Credentials(error));
                    pending().await
                }
                RenewalOutcome::Closing => pending().await,
                // A provider that repeatedly announces new credentials is not asked in a tight
                // loop.
                RenewalOutcome::Same
                | RenewalOutcome::NoCredentials
                | RenewalOutcome::Unanswered
                | RenewalOutcome::Refused(_) => {
                    sleep(self.config.reconnect_max.mul_f64(random::fraction())).await;
                }
            }
        }
    }

    async fn renew(&self) -> RenewalOutcome {
        let asked = timeout(self.config.connect_timeout, ask(self.provider)).await;
        let Ok(Ok(credentials)) = asked else { return RenewalOutcome::NoCredentials };
        if credentials == self.used {
            return RenewalOutcome::Same;
        }
        let password = credentials.password.reveal();
        let mut auth = Auth::new(password);
        // As in HELLO. A server without HELLO has no users either.
        let default = self.shared.server().map(|_| "default");
        if let Some(user) = credentials.user.as_deref().or(default) {
            auth = auth.user(user);
        }
        let request = EncodedRequest(encode_dedicated(&auth));
        let mut enqueue = Enqueue::new(Arc::clone(self.shared), self.patience);
        let mut ticket = match poll_fn(|cx| enqueue.poll(&request, cx)).await {
            Ok(ticket) => ticket,
            Err(Unsent::Closed) => return RenewalOutcome::Closing,
            Err(_) => return RenewalOutcome::Unanswered,
        };
        match poll_fn(|cx| ticket.poll(cx)).await {
            (Replies::Single(frame), None) => match frame.error() {
                None => RenewalOutcome::Accepted(credentials),
                Some(text) => {
                    let secret = Some(password.as_bytes());
                    RenewalOutcome::Refused(Box::new(ServerError::without(secret, "AUTH", text)))
                }
            },
            (_, Some(failure)) if matches!(*failure, Failure::Lost(..)) => RenewalOutcome::Closing,
            _ => RenewalOutcome::Unanswered,
        }
    }
}

/// Whether the credentials were rejected, and not AUTH temporarily.
fn is_credentials(error: &ServerError) -> bool {
    matches!(error.code(), Code::WrongPass | Code::NoAuth | Code::NoPerm)
}

/// A request that is already encoded.
struct EncodedRequest(Vec<u8>);

impl Request for EncodedRequest {
    type Output = ();
    type Measure = ();

    fn measure(&self) -> Result<(Size, ()), Unsent> {
        Ok((Size { replies: 1, bytes: self.0.len() }, ()))
    }

    fn write(&self, (): &(), out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.0);
        true
    }

    fn finish(&self, _: Replies, _: Failed, _: Duration, _: ServerLookup<'_>) {}
}

/// Returns the credentials that were sent last, also after the sender was dropped.
impl CredentialsProvider for watch::Receiver<Credentials> {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        let last = self.borrow().clone();
        Box::pin(async { Ok(last) })
    }

    fn changed<'a>(&'a self, used: &'a Credentials) -> BoxFuture<'a, ()> {
        let mut receiver = self.clone();
        Box::pin(async move {
            if receiver.wait_for(|last| last != used).await.is_err() {
                pending().await
            }
        })
    }
}
