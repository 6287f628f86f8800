//! One command on its way, and its deadline.

use crate::command::Command;
use crate::connection::{Call, One};
use crate::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The reply to come of [`Client::send`](super::Client::send).
#[derive(Debug)]
#[must_use = "a command is not sent before its future is awaited"]
pub struct Sending<'a, C>(pub(super) Call<'a, One<C>>);

impl<C: Command> Sending<'_, C> {
    /// Sets the time that this command has, in place of [`Config::command_timeout`](crate::Config::command_timeout): from the first
    /// poll to the reply. Without effect once it was polled.
    ///
    /// Unlike a time-out around the future, this one says in its error whether the command may have run.
    ///
    /// ```no_run
    /// # use bourn::{Client, Error, Ping};
    /// # use std::time::Duration;
    /// # async fn f(client: &Client) -> Result<(), Error> {
    /// client.send(Ping::new()).within(Duration::from_millis(200)).await?;
    /// # Ok(()) }
    /// ```
    pub fn within(self, time: Duration) -> Self {
        Self(self.0.within(time))
    }
}

impl<C: Command> Future for Sending<'_, C> {
    type Output = Result<C::Reply, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}
