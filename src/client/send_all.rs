//! Sends a batch: as one request, or a large one in pieces.

use super::batch::{Batch, Measured, frames};
use super::pieces::{PIECE_BYTES, Pieces};
use super::scatter::Scatter;
use crate::cluster::{Kind, Link};
use crate::command::Safety;
use crate::connection::{Call, Failed, Replies, Request, ServerLookup, Size};
use crate::error::Unsent;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A batch without a transaction around it.
#[derive(Debug)]
pub(super) struct Pipelined<B>(Measured<B>);

impl<B: Batch> Request for Pipelined<B> {
    type Output = B::Results;
    type Measure = ();

    /// All of them are sent again, or none. For a batch that writes, a refusal of the second
    /// attempt would not prove that the first one has not run.
    fn safety(&self) -> Safety {
        if self.0.batch.only_reads() { Safety::ReadOnly } else { Safety::Write }
    }

    fn is_empty(&self) -> bool {
        self.0.measures.as_ref().is_ok_and(Vec::is_empty)
    }

    fn measure(&self) -> Result<(Size, ()), Unsent> {
        Ok((self.0.size()?, ()))
    }

    fn write(&self, (): &(), out: &mut Vec<u8>) -> bool {
        self.0.write(out)
    }

    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        waited: Duration,
        server: ServerLookup<'_>,
    ) -> B::Results {
        self.0.results(frames(replies), failure, waited, server)
    }
}

/// The future of [`Client::send_all`](super::Client::send_all), with its results.
///
/// It owns the commands and does not borrow what they were made from, so it can be sent to another
/// task.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XAdd;
/// use std::time::Duration;
///
/// let adds: Vec<_> = (0..10_000).map(|n| XAdd::new("orders").field("n", n)).collect();
/// let results = client.send_all(adds).within(Duration::from_secs(30)).await;
/// println!("{} were added", results.iter().filter(|result| result.is_ok()).count());
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a batch is not sent until its future is awaited"]
pub struct SendAll<'a, B>(How<'a, B>);

#[derive(Debug)]
enum How<'a, B> {
    /// Sent as one request.
    Whole(Call<'a, Pipelined<B>>),
    /// Sent in pieces, so that commands of other tasks can run between them.
    Pieces(Box<Pieces<'a, B>>),
    /// Sent to the nodes of a cluster, to each its part.
    Scatter(Box<Scatter<'a, B>>),
}

impl<'a, B: Batch> SendAll<'a, B> {
    pub(super) fn new(link: &'a Link, batch: B) -> Self {
        let measured = Measured::new(batch);
        let connection = match link.kind() {
            Kind::One(connection) => connection,
            Kind::Cluster(cluster) => {
                return Self(How::Scatter(Box::new(Scatter::new(cluster, measured))));
            }
        };
        Self(match measured.size() {
            Ok(size) if size.bytes > PIECE_BYTES => {
                How::Pieces(Box::new(Pieces::new(connection, measured)))
            }
            _ => How::Whole(connection.call(Pipelined(measured))),
        })
    }

    /// Sets the time limit of the batch, as [`Sending::within`](super::Sending::within) does for a
    /// command.
    pub fn within(self, time: Duration) -> Self {
        Self(match self.0 {
            How::Whole(call) => How::Whole(call.within(time)),
            How::Pieces(mut pieces) => {
                pieces.within(time);
                How::Pieces(pieces)
            }
            How::Scatter(mut scatter) => {
                scatter.within(time);
                How::Scatter(scatter)
            }
        })
    }
}

impl<B: Batch> Future for SendAll<'_, B> {
    type Output = B::Results;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B::Results> {
        match &mut self.get_mut().0 {
            How::Whole(call) => Pin::new(call).poll(cx),
            How::Pieces(pieces) => pieces.poll(cx),
            How::Scatter(scatter) => scatter.poll(cx),
        }
    }
}
