//! Turns panics in user code on a connection's task into errors, so that the connection continues.

use crate::config::BoxFuture;
use std::any::Any;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Runs a user function, and returns the text of its panic.
pub(super) fn caught<T>(function: impl FnOnce() -> T) -> Result<T, String> {
    // The user owns any state that the function leaves inconsistent.
    catch_unwind(AssertUnwindSafe(function)).map_err(|panic| text(&*panic))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a text").to_owned()
}

/// A user future. It is ready with the panic's text if it panics when created, polled or dropped.
pub(super) struct Caught<'a, T>(Result<Option<BoxFuture<'a, T>>, String>);

impl<'a, T> Caught<'a, T> {
    pub(super) fn new(make: impl FnOnce() -> BoxFuture<'a, T>) -> Self {
        Self(caught(make).map(Some))
    }
}

impl<T> Future for Caught<'_, T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = match &mut self.0 {
            Ok(Some(future)) => future,
            Ok(None) => return Poll::Pending,
            Err(panic) => return Poll::Ready(Err(std::mem::take(panic))),
        };
        let polled = caught(|| future.as_mut().poll(cx));
        if matches!(polled, Ok(Poll::Pending)) {
            return Poll::Pending;
        }
        // The future is dropped here, where its panic can be caught.
        let future = std::mem::replace(&mut self.0, Ok(None));
        let dropped = caught(|| drop(future));
        Poll::Ready(match (polled, dropped) {
            (Ok(Poll::Ready(value)), Ok(())) => Ok(value),
            (Err(panic), _) | (_, Err(panic)) => Err(panic),
            (Ok(Poll::Pending), Ok(())) => return Poll::Pending,
        })
    }
}

impl<T> Drop for Caught<'_, T> {
    fn drop(&mut self) {
        let future = std::mem::replace(&mut self.0, Ok(None));
        // The panic cannot be reported to a caller.
        let _ = caught(|| drop(future));
    }
}

/// A user stream whose panics are errors.
pub(super) struct Guarded<S>(Option<S>);

impl<S: Unpin> Guarded<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Some(stream))
    }

    fn poll<T>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(stream) = &mut self.get_mut().0 else { return Poll::Pending };
        caught(|| poll(Pin::new(stream))).unwrap_or_else(|panic| {
            Poll::Ready(Err(io::Error::other(format!("the stream panicked: {panic}"))))
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.as_ref().is_some_and(|stream| caught(|| stream.is_write_vectored()).unwrap_or(false))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_shutdown(cx))
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        let stream = self.0.take();
        // The panic cannot be reported to a caller.
        let _ = caught(|| drop(stream));
    }
}
