//! Asks nodes for the map, one after the other, until one answers.
//!
//! The next node is asked when one has failed, or is silent for 100 ms. The first answer counts,
//! unless it has only a few slots: a node that left a cluster answers too.

use super::map::{Map, now};
use super::topology::Topology;
use crate::command::{ClusterSlots, SlotRange};
use crate::connection::{Call, Single};
use crate::error::{ConnectError, ConnectReason, Error, Unsent};
use crate::random;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The time after which another node is asked as well.
const PATIENCE: Duration = Duration::from_millis(100);

/// The time between two looks at connections that cannot be made.
const LOOK: Duration = Duration::from_millis(10);

/// Returns the places of the nodes in the order in which they are asked: the one that a redirect
/// named, masters and replicas at random, those that are down, and the others.
fn order(map: &Map, hint: Option<usize>) -> Vec<usize> {
    let mut order: Vec<_> = map
        .known()
        .enumerate()
        .map(|(place, node)| {
            let class = if hint == Some(place) {
                0
            } else if node.is_down.load(Relaxed) {
                3
            } else if node.is_master() {
                1
            } else if node.is_listed.load(Relaxed) {
                2
            } else {
                // The nodes of the settings, resolved again, and those that left.
                4
            };
            (class, random::bits(), place)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, place)| place).collect()
}

struct Asked<'a> {
    place: usize,
    call: Call<'a, Single<ClusterSlots>>,
}

struct Asking<'a> {
    map: &'a Map,
    left: std::vec::IntoIter<usize>,
    within: Duration,
    asked: Vec<Asked<'a>>,
    next: Instant,
    timer: Option<u64>,
    doubtful: Option<Topology>,
    error: Option<Error>,
}

/// Returns the view of the first node that answers within this time.
pub(super) async fn ask(
    map: &Map,
    hint: Option<usize>,
    within: Duration,
) -> Result<Topology, Error> {
    let mut asking = Asking {
        map,
        left: order(map, hint).into_iter(),
        within,
        asked: Vec::new(),
        next: now(),
        timer: None,
        doubtful: None,
        error: None,
    };
    poll_fn(|cx| asking.poll(cx)).await
}

impl Asking<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Topology, Error>> {
        loop {
            if let Some(view) = self.answers(cx) {
                return Poll::Ready(Ok(view));
            }
            if (self.asked.is_empty() || now() >= self.next) && self.begin_next() {
                continue;
            }
            if self.asked.is_empty() {
                let error = self.error.take().unwrap_or_else(|| self.silent());
                return Poll::Ready(self.doubtful.take().ok_or(error));
            }
            // All timers of a connection are woken by its tasks, also without a runtime here.
            let at = now() + LOOK;
            match self.map.home().shared().pause(&mut self.timer, at, cx) {
                Poll::Ready(()) => self.timer = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Begins to ask the next node; false if all were asked.
    fn begin_next(&mut self) -> bool {
        let Some(place) = self.left.next() else { return false };
        if let Some(node) = self.map.node(place) {
            let call =
                Call::new(node.shared(), None, Single(ClusterSlots::new())).within(self.within);
            self.asked.push(Asked { place, call });
            self.next = now() + PATIENCE;
        }
        true
    }

    /// Returns the view of a node that has answered, and removes those that failed.
    fn answers(&mut self, cx: &mut Context<'_>) -> Option<Topology> {
        let map = self.map;
        let mut place = 0;
        while let Some(asked) = self.asked.get_mut(place) {
            let node = map.node(asked.place)?;
            let result = match Pin::new(&mut asked.call).poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending if node.shared().is_failing() => {
                    let error = node.shared().connect_error();
                    Err(error.map_or_else(|| self.silent(), |error| (*error).clone().into()))
                }
                Poll::Pending => {
                    place += 1;
                    continue;
                }
            };
            let host = &node.host.name;
            self.asked.remove(place);
            match result {
                Ok(ranges) => {
                    let view = self.view(&ranges, host);
                    if !view.is_doubtful() {
                        return Some(view);
                    }
                    self.doubtful = Some(view);
                }
                Err(error) => self.error = Some(connecting(error)),
            }
        }
        None
    }

    fn view(&self, ranges: &[SlotRange], host: &str) -> Topology {
        Topology::of(ranges, host, self.map.settings.map_address.as_ref())
    }

    fn silent(&self) -> Error {
        let during = "no node of the cluster answered".to_owned();
        let reason = ConnectReason::TimedOut { after: self.within, during };
        ConnectError::new(self.map.publisher.address(), reason).into()
    }
}

/// Returns the error of the connection, if that is the cause.
fn connecting(error: Error) -> Error {
    match error {
        Error::Unsent { reason: Unsent::TimedOut { source: Some(error), .. }, .. } => {
            (*error).clone().into()
        }
        error => error,
    }
}
