//! A large batch, sent in pieces, so that commands of other tasks can run between them.
//!
//! A server answers in order: a PING behind 10 MB of XADD waits for all of it. So only a few pieces
//! are in flight at a time. The number is adjusted by measured time. While a piece takes little
//! longer than the fastest one did, the network and not the server limits throughput. One more
//! piece in flight then delays other commands little.

use super::batch::{Batch, Measured, frames};
use crate::command::Safety;
use crate::connection::{Call, Connection, Failed, Replies, Request, ServerLookup, Size, error};
use crate::error::Unsent;
use crate::resp::Frame;
use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// The maximum size of a piece, unless it is a single command.
pub(super) const PIECE_BYTES: usize = 64 << 10;

/// The minimum number of pieces in flight.
const LEAST_IN_FLIGHT: usize = 4;

#[derive(Debug)]
pub(super) struct Pieces<'a, B> {
    connection: &'a Connection,
    all: Arc<Measured<B>>,
    time: Duration,
    deadline: Option<Option<Instant>>,
    /// The commands that are in no piece yet.
    left: Range<usize>,
    in_flight: VecDeque<PieceInFlight<'a, B>>,
    most_in_flight: usize,
    fastest: Duration,
    /// The results of the pieces, in order.
    results: Vec<PieceResult>,
}

#[derive(Debug)]
struct PieceInFlight<'a, B> {
    call: Call<'a, Piece<B>>,
    since: Instant,
    /// The result, if it arrived before that of an earlier piece.
    result: Option<PieceResult>,
}

/// The result of one piece.
#[derive(Debug)]
struct PieceResult {
    commands: usize,
    frames: std::vec::IntoIter<Frame>,
    failure: Failed,
    waited: Duration,
}

impl<'a, B: Batch> Pieces<'a, B> {
    pub(super) fn new(connection: &'a Connection, all: Measured<B>) -> Self {
        let left = 0..all.measures.as_ref().map_or(0, Vec::len);
        Self {
            connection,
            all: Arc::new(all),
            time: connection.shared().timeout(),
            deadline: None,
            left,
            in_flight: VecDeque::new(),
            most_in_flight: LEAST_IN_FLIGHT,
            fastest: Duration::MAX,
            results: Vec::new(),
        }
    }

    pub(super) fn within(&mut self, time: Duration) {
        if self.deadline.is_none() {
            self.time = time;
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<B::Results> {
        let time = self.time;
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now().checked_add(time));
        loop {
            // Oldest first: pieces that are sent again keep their order.
            for piece in self.in_flight.iter_mut().filter(|piece| piece.result.is_none()) {
                if let Poll::Ready(result) = Pin::new(&mut piece.call).poll(cx) {
                    piece.result = Some(result);
                }
            }
            while let Some(result) =
                self.in_flight.front_mut().and_then(|piece| piece.result.take())
            {
                if let Some(piece) = self.in_flight.pop_front() {
                    self.learn(piece.since.elapsed());
                }
                self.results.push(result);
            }
            if self.in_flight.len() >= self.most_in_flight {
                return Poll::Pending;
            }
            let Some(piece) = self.cut() else {
                if self.in_flight.is_empty() {
                    return Poll::Ready(self.results());
                }
                return Poll::Pending;
            };
            let call = self.connection.call(piece).until(deadline, time);
            self.in_flight.push_back(PieceInFlight { call, since: Instant::now(), result: None });
        }
    }

    /// Adds or removes one piece in flight, depending on the time that a piece took.
    fn learn(&mut self, took: Duration) {
        self.fastest = self.fastest.min(took);
        if took < self.fastest.saturating_mul(3) / 2 {
            self.most_in_flight += 1;
        } else if took > self.fastest.saturating_mul(3) {
            self.most_in_flight = (self.most_in_flight - 1).max(LEAST_IN_FLIGHT);
        }
    }

    /// Takes the next piece of the commands that are left.
    fn cut(&mut self) -> Option<Piece<B>> {
        let start = self.left.next()?;
        let bytes = |end| self.all.size_of(&(start..end)).map_or(0, |size| size.bytes);
        let mut end = start + 1;
        // The sizes are measured already: this only adds numbers.
        let mut sum = bytes(end);
        while end < self.left.end {
            sum += self.all.size_of(&(end..end + 1)).map_or(0, |size| size.bytes);
            if sum > PIECE_BYTES {
                break;
            }
            end += 1;
        }
        self.left.start = end;
        Some(Piece { all: Arc::clone(&self.all), which: start..end })
    }

    fn results(&mut self) -> B::Results {
        let mut pieces = std::mem::take(&mut self.results).into_iter();
        let mut piece = pieces.next();
        let mut next = |command, safety| {
            if piece.as_ref().is_some_and(|piece| piece.commands == 0) {
                piece = pieces.next();
            }
            let Some(PieceResult { commands, frames, failure, waited }) = &mut piece else {
                return Err(error(command, None, Duration::ZERO, (safety, 0)));
            };
            *commands -= 1;
            let place = (safety, *commands as u64);
            frames.next().ok_or_else(|| error(command, failure.clone(), *waited, place))
        };
        self.all.batch.results(&mut next, &|| self.connection.shared().server())
    }
}

/// Some commands of a batch, as one request.
#[derive(Debug)]
struct Piece<B> {
    all: Arc<Measured<B>>,
    which: Range<usize>,
}

impl<B: Batch> Request for Piece<B> {
    type Output = PieceResult;
    type Measure = ();

    fn safety(&self) -> Safety {
        if self.all.batch.only_reads() { Safety::ReadOnly } else { Safety::Write }
    }

    fn measure(&self) -> Result<(Size, ()), Unsent> {
        Ok((self.all.size_of(&self.which)?, ()))
    }

    fn write(&self, (): &(), out: &mut Vec<u8>) -> bool {
        self.all.write_some(&self.which, out)
    }

    fn finish(
        &self,
        replies: Replies,
        failure: Failed,
        waited: Duration,
        _: ServerLookup<'_>,
    ) -> PieceResult {
        PieceResult {
            commands: self.which.len(),
            frames: frames(replies).into_iter(),
            failure,
            waited,
        }
    }
}
