//! Several commands in one round trip: a tuple of different ones, or many of one type.

use crate::command::{self, Command, EachKey, Safety, slot_of};
use crate::connection::{Failed, Replies, ServerLookup, Size, decode, error, measure, name};
use crate::error::{Error, Refusal, Unsent};
use crate::resp::{Frame, Measure};
use crate::server::Features;
use std::ops::Range;
use std::time::Duration;

/// Commands that are sent together.
///
/// Implemented for tuples of up to twelve commands and for vectors. Sealed.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{XAdd, XLen};
///
/// // A tuple of commands: each has its own result.
/// let commands = (XAdd::new("orders").field("sku", "A-7"), XLen::new("orders"));
/// let (added, len) = client.send_all(commands).await;
/// println!("{} of {}", added?, len?);
/// # Ok(()) }
/// ```
pub trait Batch: sealed::Sealed {
    /// The results, in the order of the commands.
    type Results;

    #[doc(hidden)]
    fn measure_each(&self, add: &mut dyn FnMut(Result<Measure, Unsent>));

    #[doc(hidden)]
    fn write_some(&self, which: &Range<usize>, measures: &[Measure], out: &mut Vec<u8>) -> bool;

    #[doc(hidden)]
    fn only_reads(&self) -> bool;

    #[doc(hidden)]
    fn name_each(&self, add: &mut dyn FnMut(Named));

    #[doc(hidden)]
    fn slot_each(&self, add: &mut dyn FnMut(Result<Option<u16>, Unsent>));

    #[doc(hidden)]
    fn key_each(&self, add: &mut dyn FnMut(&[u8]));

    #[doc(hidden)]
    fn results(&self, next: Next<'_>, server: ServerLookup<'_>) -> Self::Results;
}

/// A command's name, the features it needs, and the outcome that an error reply to it means.
pub(super) type Named = (&'static str, Features, Refusal);

/// The next command's reply: the command's name and its safety go in.
type Next<'a> = &'a mut dyn FnMut(&'static str, Safety) -> Result<Frame, Error>;

/// Types that can be sent as a batch: a tuple of commands, or anything that iterates over commands.
///
/// `Kind` distinguishes the two. It is always inferred.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XAdd;
///
/// // An iterator of commands of one type: a vector of results.
/// let skus = ["A-7", "B-2", "C-9"];
/// for added in client.send_all(skus.map(|sku| XAdd::new("orders").field("sku", sku))).await {
///     println!("{}", added?);
/// }
/// # Ok(()) }
/// ```
pub trait IntoBatch<Kind> {
    /// The collected commands.
    type Batch: Batch;

    /// Collects the commands.
    fn into_batch(self) -> Self::Batch;
}

/// Marks a batch that is a tuple.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{Ping, TupleKind, XLen};
///
/// let (pong, len) = client.send_all::<TupleKind, _>((Ping::new(), XLen::new("orders"))).await;
/// pong?;
/// println!("{}", len?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub enum TupleKind {}

/// Marks a batch that is an iterator.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::{IntoBatch, IterKind, XLen};
///
/// // A function that takes commands of one type.
/// async fn lengths<'a>(
///     client: &bourn::Client,
///     keys: impl IntoIterator<Item = &'a str>,
/// ) -> Vec<Result<u64, bourn::Error>> {
///     let commands: Vec<_> = keys.into_iter().map(XLen::new).collect();
///     client.send_all::<IterKind, _>(commands).await
/// }
/// println!("{:?}", lengths(client, ["orders", "returns"]).await);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub enum IterKind {}

mod sealed {
    #[expect(unnameable_types, reason = "sealed: implemented for tuples and vectors only")]
    pub trait Sealed {}
}

impl<C: Command> sealed::Sealed for Vec<C> {}

impl<C: Command> Batch for Vec<C> {
    type Results = Vec<Result<C::Reply, Error>>;

    fn measure_each(&self, add: &mut dyn FnMut(Result<Measure, Unsent>)) {
        self.iter().for_each(|command| add(measure(command)));
    }

    fn write_some(&self, which: &Range<usize>, measures: &[Measure], out: &mut Vec<u8>) -> bool {
        let (commands, measures) = (self.get(which.clone()), measures.get(which.clone()));
        let (Some(commands), Some(measures)) = (commands, measures) else { return false };
        commands
            .iter()
            .zip(measures)
            .all(|(command, measure)| command::write(command, measure, out))
    }

    fn only_reads(&self) -> bool {
        self.iter().all(|command| command.safety() == Safety::ReadOnly)
    }

    fn name_each(&self, add: &mut dyn FnMut(Named)) {
        self.iter().for_each(|command| add((name::<C>(), command.needs(), command.refusal())));
    }

    fn slot_each(&self, add: &mut dyn FnMut(Result<Option<u16>, Unsent>)) {
        self.iter().for_each(|command| add(slot_of(|keys| command.keys(keys))));
    }

    fn key_each(&self, add: &mut dyn FnMut(&[u8])) {
        self.iter().for_each(|command| command.keys(&mut EachKey(&mut *add)));
    }

    fn results(&self, next: Next<'_>, server: ServerLookup<'_>) -> Self::Results {
        let result =
            |c: &C| next(name::<C>(), c.safety()).and_then(|frame| decode(c, frame, server));
        self.iter().map(result).collect()
    }
}

impl<C: Command, I: IntoIterator<Item = C>> IntoBatch<IterKind> for I {
    type Batch = Vec<C>;

    fn into_batch(self) -> Vec<C> {
        self.into_iter().collect()
    }
}

macro_rules! tuple {
    ($($command:ident $value:ident),+) => {
        impl<$($command: Command),+> sealed::Sealed for ($($command,)+) {}

        impl<$($command: Command),+> Batch for ($($command,)+) {
            type Results = ($(Result<$command::Reply, Error>,)+);

            fn measure_each(&self, add: &mut dyn FnMut(Result<Measure, Unsent>)) {
                let ($($value,)+) = self;
                $(add(measure($value));)+
            }

            fn write_some(
                &self,
                which: &Range<usize>,
                measures: &[Measure],
                out: &mut Vec<u8>,
            ) -> bool {
                let ($($value,)+) = self;
                let mut measures = measures.iter().enumerate();
                $(measures.next().is_some_and(|(nth, measure)| {
                    !which.contains(&nth) || command::write($value, measure, out)
                }))&&+
            }

            fn only_reads(&self) -> bool {
                let ($($value,)+) = self;
                $($value.safety() == Safety::ReadOnly)&&+
            }

            fn name_each(&self, add: &mut dyn FnMut(Named)) {
                let ($($value,)+) = self;
                $(add((name::<$command>(), $value.needs(), $value.refusal()));)+
            }

            fn slot_each(&self, add: &mut dyn FnMut(Result<Option<u16>, Unsent>)) {
                let ($($value,)+) = self;
                $(add(slot_of(|keys| $value.keys(keys)));)+
            }

            fn key_each(&self, add: &mut dyn FnMut(&[u8])) {
                let ($($value,)+) = self;
                $($value.keys(&mut EachKey(&mut *add));)+
            }

            fn results(&self, next: Next<'_>, server: ServerLookup<'_>) -> Self::Results {
                let ($($value,)+) = self;
                ($(next(name::<$command>(), $value.safety())
                    .and_then(|frame| decode($value, frame, server)),)+)
            }
        }

        impl<$($command: Command),+> IntoBatch<TupleKind> for ($($command,)+) {
            type Batch = Self;

            fn into_batch(self) -> Self {
                self
            }
        }
    };
}

tuple!(A a);
tuple!(A a, B b);
tuple!(A a, B b, C c);
tuple!(A a, B b, C c, D d);
tuple!(A a, B b, C c, D d, E e);
tuple!(A a, B b, C c, D d, E e, F f);
tuple!(A a, B b, C c, D d, E e, F f, G g);
tuple!(A a, B b, C c, D d, E e, F f, G g, H h);
tuple!(A a, B b, C c, D d, E e, F f, G g, H h, I i);
tuple!(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j);
tuple!(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k);
tuple!(A a, B b, C c, D d, E e, F f, G g, H h, I i, J j, K k, L l);

/// The commands of a batch with their sizes, or the reason why they cannot be sent.
#[derive(Debug)]
pub(super) struct Measured<B> {
    pub(super) batch: B,
    pub(super) measures: Result<Vec<Measure>, Unsent>,
}

impl<B: Batch> Measured<B> {
    pub(super) fn new(batch: B) -> Self {
        let mut measures = Ok(Vec::new());
        batch.measure_each(&mut |measure| match (&mut measures, measure) {
            (Ok(all), Ok(measure)) => all.push(measure),
            (Ok(_), Err(unsent)) => measures = Err(unsent),
            (Err(_), _) => {}
        });
        Self { batch, measures }
    }

    /// Returns the number of commands, and the sum of their bytes.
    pub(super) fn size(&self) -> Result<Size, Unsent> {
        let measures = self.measures.as_ref().map_err(Unsent::clone)?;
        self.size_of(&(0..measures.len()))
    }

    /// Returns the same for a range of the commands.
    pub(super) fn size_of(&self, which: &Range<usize>) -> Result<Size, Unsent> {
        let measures = self.measures.as_ref().map_err(Unsent::clone)?;
        let bytes = measures.get(which.clone()).unwrap_or_default().iter();
        let bytes = bytes.map(Measure::request_bytes).fold(0, usize::saturating_add);
        Ok(Size { replies: which.len(), bytes })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> bool {
        let all = 0..self.measures.as_ref().map_or(0, Vec::len);
        self.write_some(&all, out)
    }

    /// Writes a range of the commands.
    pub(super) fn write_some(&self, which: &Range<usize>, out: &mut Vec<u8>) -> bool {
        self.measures.as_ref().is_ok_and(|measures| self.batch.write_some(which, measures, out))
    }

    /// Returns each command's result: from the replies in order, and from the failure where those
    /// end.
    pub(super) fn results(
        &self,
        frames: Vec<Frame>,
        failure: Failed,
        waited: Duration,
        server: ServerLookup<'_>,
    ) -> B::Results {
        let mut frames = frames.into_iter();
        let mut behind = self.measures.as_ref().map_or(0, Vec::len) as u64;
        let mut next = |command, safety| {
            behind = behind.saturating_sub(1);
            let failed = || error(command, failure.clone(), waited, (safety, behind));
            frames.next().ok_or_else(failed)
        };
        self.batch.results(&mut next, server)
    }

    /// Returns each command's [`Named`], in order.
    pub(super) fn named(&self) -> Vec<Named> {
        let mut named = Vec::new();
        self.batch.name_each(&mut |each| named.push(each));
        named
    }
}

/// Returns the replies as a list.
pub(super) fn frames(replies: Replies) -> Vec<Frame> {
    match replies {
        Replies::None => Vec::new(),
        Replies::Single(frame) => vec![frame],
        Replies::Many(frames) => frames,
    }
}
