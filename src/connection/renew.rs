//! New credentials on a live connection: AUTH, in the pipeline between the commands of others.
//!
//! It is a request as any other, so nothing has to stop for it. It belongs to one connection: when that ends it is given up,
//! for the next connection asks for credentials itself.
//!
//! | what comes of it | what is done |
//! |---|---|
//! | the server takes them | they are what is used from now on |
//! | the server refuses them | the connection is given up; the next one asks again |
//! | the provider fails or panics, no reply, no room | tried again after a random time, up to the longest wait between two connects |

use super::call::{Asked, Enqueue, Patience, Request};
use super::driver::Driver;
use super::events::Event;
use super::outbox::{Shared, Size};
use super::panics::Caught;
use super::pipeline::{Failed, Failure, Replies};
use crate::command::{Auth, encode_dedicated};
use crate::config::{BoxFuture, Config, Credentials, CredentialsProvider, Provider};
use crate::error::{
    Code, ConnectError, ConnectReason, CredentialsError, Disconnect, ServerError, Unsent,
};
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// The credentials for a new connection; `None` where there are none.
///
/// A user without a password has the empty one. Servers take any password for a user with `nopass`, and refuse the others:
/// without AUTH the connection would be the default user's.
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

/// Asks a provider; a panic of it is an error.
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

/// What came of new credentials.
enum Outcome {
    Taken(Credentials),
    /// They are those that are used.
    Same,
    Refused(Box<ServerError>),
    NotSaid,
    /// No reply, or no room.
    Unanswered,
    /// The connection is ending.
    Over,
}

impl<'a> Renewal<'a> {
    /// For a connection that these credentials were used for; `None` if nobody is to be asked for others.
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
        // Dropped before the driver: what was not sent is then given up, and not kept for the next connection.
        let mut renewing = pin!(self.go_on());
        poll_fn(|cx| {
            let end = Pin::new(&mut driver).poll(cx);
            if end.is_pending() {
                let _ = renewing.as_mut().poll(cx);
            }
            end
        })
        .await
    }

    async fn go_on(mut self) -> Infallible {
        loop {
            let Provider(provider) = self.provider;
            let changed = Caught::new(|| provider.changed(&self.used)).await;
            // The one place where it is known how a renewal ended.
            let outcome = if changed.is_ok() { self.renew().await } else { Outcome::NotSaid };
            match outcome {
                Outcome::Taken(credentials) => self.used = credentials,
                Outcome::Refused(error) if is_credentials(&error) => {
                    let reason = ConnectReason::Refused(error.clone());
                    let rejected = ConnectError::new(&self.config.address, reason);
                    let event = Event::CredentialsRejected { error: Arc::new(rejected) };
                    self.shared.events().tell(event);
                    self.shared.leave(Disconnect::Credentials(error));
                    pending().await
                }
                Outcome::Over => pending().await,
                // Whoever says again and again that there are new ones is not asked in a tight loop.
                Outcome::Same | Outcome::NotSaid | Outcome::Unanswered | Outcome::Refused(_) => {
                    sleep(self.config.reconnect_max.mul_f64(fastrand::f64())).await;
                }
            }
        }
    }

    async fn renew(&self) -> Outcome {
        let asked = timeout(self.config.connect_timeout, ask(self.provider)).await;
        let Ok(Ok(credentials)) = asked else { return Outcome::NotSaid };
        if credentials == self.used {
            return Outcome::Same;
        }
        let password = credentials.password.reveal();
        let mut auth = Auth::new(password);
        // As in HELLO; a server that knows no HELLO knows no users either.
        let default = self.shared.server().map(|_| "default");
        if let Some(user) = credentials.user.as_deref().or(default) {
            auth = auth.user(user);
        }
        let request = Said(encode_dedicated(&auth));
        let mut enqueue = Enqueue::new(Arc::clone(self.shared), self.patience);
        let mut ticket = match poll_fn(|cx| enqueue.poll(&request, cx)).await {
            Ok(ticket) => ticket,
            Err(Unsent::Closed) => return Outcome::Over,
            Err(_) => return Outcome::Unanswered,
        };
        match poll_fn(|cx| ticket.poll(cx)).await {
            (Replies::One(frame), None) => match frame.error() {
                None => Outcome::Taken(credentials),
                Some(text) => {
                    let secret = Some(password.as_bytes());
                    Outcome::Refused(Box::new(ServerError::without(secret, "AUTH", text)))
                }
            },
            (_, Some(failure)) if matches!(*failure, Failure::Lost(..)) => Outcome::Over,
            _ => Outcome::Unanswered,
        }
    }
}

/// Whether it is the credentials that were refused, and not AUTH for now.
fn is_credentials(error: &ServerError) -> bool {
    matches!(error.code(), Code::WrongPass | Code::NoAuth | Code::NoPerm)
}

/// A request in its own bytes.
struct Said(Vec<u8>);

impl Request for Said {
    type Output = ();
    type Measure = ();

    fn measure(&self) -> Result<(Size, ()), Unsent> {
        Ok((Size { replies: 1, bytes: self.0.len(), latest: u64::MAX }, ()))
    }

    fn write(&self, (): &(), out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.0);
        true
    }

    fn finish(&self, _: Replies, _: Failed, _: Duration, _: Asked<'_>) {}
}

/// What was sent last. When nobody can send any more, that stays.
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
