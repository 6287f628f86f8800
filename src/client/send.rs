//! One command in flight, and its deadline.

use crate::command::Command;
use crate::connection::{Call, Single};
use crate::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The future of [`Client::send`](super::Client::send), with the command's reply.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XLen;
/// use std::time::Duration;
///
/// let len = client.send(XLen::new("orders")).within(Duration::from_millis(50)).await?;
/// println!("{len}");
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a command is not sent until its future is awaited"]
pub struct Sending<'a, C>(pub(super) Call<'a, Single<C>>);

impl<C: Command> Sending<'_, C> {
    /// Sets the time limit of this command, from the first poll to the reply, instead of
    /// [`Config::command_timeout`](crate::Config::command_timeout). No effect after the first poll.
    ///
    /// Unlike a timeout around the future, the error says whether the command may have run.
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
