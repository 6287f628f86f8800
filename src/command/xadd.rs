//! XADD: adds an entry. Pure.

use super::arg::{Arg, OwnedBytes, Slot};
use super::reply::id;
use super::trim::{Refs, Trim};
use super::{Command, Safety};
use crate::EntryId;
use crate::id::{AddId, IdArg};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Fields that lie in the command itself; more than these cost an allocation.
const INLINE_FIELDS: usize = 4;

/// Adds an entry, and makes the stream if there is none.
///
/// `XADD key [KEEPREF|DELREF|ACKED] [IDMPAUTO pid | IDMP pid iid] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field
/// value [field value ...]` (Redis 5.0). Answers with the new entry's id. An entry needs at least one field.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key holds something else; [`Code::Err`](crate::Code::Err) when the
/// id is not above the last one; [`Code::Oom`](crate::Code::Oom) when the server's memory is used up.
///
/// # Example
/// ```no_run
/// # use bourn::{Client, Error, Trim, XAdd};
/// # async fn f(client: &Client, sku: &str) -> Result<(), Error> {
/// let add = XAdd::new("orders").trim(Trim::max_len(1_000_000).approximate());
/// let id = client.send(add.field("sku", sku).field("count", 3)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct XAdd<'a> {
    key: Arg<'a>,
    refs: Option<Refs>,
    idempotence: Option<Idempotence<'a>>,
    trim: Option<Trim>,
    id: AddId,
    few: [Option<(Slot<'a>, Slot<'a>)>; INLINE_FIELDS],
    more: Vec<(Slot<'a>, Slot<'a>)>,
    owned: OwnedBytes,
}

#[derive(Debug, Clone)]
enum Idempotence<'a> {
    Named { producer: Arg<'a>, iid: Arg<'a> },
    Auto { producer: Arg<'a> },
}

impl<'a> XAdd<'a> {
    /// An entry for this stream, with an id of the server's making.
    #[inline]
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        Self {
            key: key.into(),
            refs: None,
            idempotence: None,
            trim: None,
            id: AddId::Auto,
            few: [None; INLINE_FIELDS],
            more: Vec::new(),
            owned: OwnedBytes::new(),
        }
    }

    /// Adds nothing if there is no stream (Redis 6.2); the reply is then `None`.
    pub fn no_mk_stream(self) -> XAddNoMkStream<'a> {
        XAddNoMkStream(self)
    }

    /// What trimming does to groups that refer to what it removes (Redis 8.2).
    ///
    /// With [`Refs::Delete`] or [`Refs::Acked`] an approximate trim is exact on Redis 8.6 and later, and removes nothing on
    /// Redis 8.2.
    pub fn refs(self, refs: Refs) -> Self {
        Self { refs: Some(refs), ..self }
    }

    /// `IDMP`: adds the entry only if this producer has not added one with this `iid` of late; otherwise the reply is the id
    /// of that one (Redis 8.6). So it may safely be sent again. Only with an id of the server's making.
    ///
    /// The server remembers 100 of them for each producer, for 100 seconds, unless set otherwise.
    pub fn idmp(self, producer: impl Into<Arg<'a>>, iid: impl Into<Arg<'a>>) -> Self {
        let named = Idempotence::Named { producer: producer.into(), iid: iid.into() };
        Self { idempotence: Some(named), ..self }
    }

    /// `IDMPAUTO`: as [`XAdd::idmp`], with the iid made by the server from the fields and values (Redis 8.6).
    ///
    /// The server compares fields without their order: `a 1 b 2` and `b 2 a 1` are one entry. `a 2 b 1` is another one.
    pub fn idmp_auto(self, producer: impl Into<Arg<'a>>) -> Self {
        Self { idempotence: Some(Idempotence::Auto { producer: producer.into() }), ..self }
    }

    /// Trims the stream after adding.
    pub fn trim(self, trim: Trim) -> Self {
        Self { trim: Some(trim), ..self }
    }

    /// The new entry's id, in place of one that the server makes.
    pub fn id(self, id: impl Into<AddId>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// Adds a field. A name may come more than once; the order is kept.
    ///
    /// [`Arg`] lists the types that a name and a value can have, and their texts.
    #[inline]
    pub fn field(mut self, name: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>) -> Self {
        self.push((name.into(), value.into()));
        self
    }

    /// More fields, in order.
    #[inline]
    pub fn fields<N, V>(mut self, fields: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Arg<'a>>,
        V: Into<Arg<'a>>,
    {
        // Not by `field`, which would move the whole command for each.
        fields.into_iter().for_each(|(name, value)| self.push((name.into(), value.into())));
        self
    }

    /// Adds the fields of a serde struct or map, each as a field of the entry (feature `serde`).
    ///
    /// [`Entry::record`](crate::Entry::record) reads it back. Texts, numbers and booleans are as [`Arg`] writes them, `None` is
    /// no field, and what has parts, such as a list, is its JSON.
    ///
    /// ```
    /// # use bourn::{CodecError, XAdd, command::encode};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Order {
    ///     sku: String,
    ///     count: u32,
    ///     note: Option<String>,
    /// }
    ///
    /// let order = Order { sku: "A-7".into(), count: 3, note: None };
    /// let add = XAdd::new("orders").record(&order)?;
    /// assert_eq!(encode(&add), encode(&XAdd::new("orders").field("sku", "A-7").field("count", 3)));
    /// # Ok::<_, CodecError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The value is not a struct or a map, or a part of it cannot be written.
    #[cfg(feature = "serde")]
    pub fn record<T>(mut self, record: &T) -> Result<Self, crate::record::CodecError>
    where
        T: serde::Serialize + ?Sized,
    {
        crate::record::serialize(record, &mut self)?;
        Ok(self)
    }

    #[inline]
    fn push(&mut self, (name, value): (Arg<'a>, Arg<'a>)) {
        let field = (self.owned.keep(name), self.owned.keep(value));
        match self.few.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(field),
            None => self.more.push(field),
        }
    }

    #[inline]
    fn list(&self, no_mk_stream: bool, out: &mut impl Args) {
        self.key.list(out);
        if no_mk_stream {
            out.text("NOMKSTREAM");
        }
        if let Some(refs) = self.refs {
            refs.list(out);
        }
        match &self.idempotence {
            Some(Idempotence::Named { producer, iid }) => {
                out.text("IDMP");
                producer.list(out);
                iid.list(out);
            }
            Some(Idempotence::Auto { producer }) => {
                out.text("IDMPAUTO");
                producer.list(out);
            }
            None => {}
        }
        if let Some(trim) = &self.trim {
            trim.list(out);
        }
        self.id.arg(out);
        for field in &self.few {
            let Some((name, value)) = field else { return };
            self.owned.list(name, out);
            self.owned.list(value, out);
        }
        for (name, value) in &self.more {
            self.owned.list(name, out);
            self.owned.list(value, out);
        }
    }
}

#[cfg(feature = "serde")]
impl crate::record::Sink for XAdd<'_> {
    fn write(
        &mut self,
        name: &[u8],
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, crate::record::CodecError>,
    ) -> Result<(), crate::record::CodecError> {
        let mut text = Vec::new();
        if value(&mut text).map_err(|error| error.in_field(name))? {
            self.push((name.to_vec().into(), text.into()));
        }
        Ok(())
    }
}

impl Command for XAdd<'_> {
    const NAME: &'static str = "XADD";
    const SAFETY: Safety = Safety::Write;
    type Reply = EntryId;

    #[inline]
    fn args(&self, out: &mut impl Args) {
        self.list(false, out);
    }

    fn safety(&self) -> Safety {
        if self.idempotence.is_some() { Safety::Windowed } else { Self::SAFETY }
    }

    fn needs(&self) -> Features {
        let idempotence = match &self.idempotence {
            Some(Idempotence::Named { .. }) => Feature::Idmp.into(),
            Some(Idempotence::Auto { .. }) => Feature::IdmpAuto.into(),
            None => Features::NONE,
        };
        let trim = self.trim.map_or(Features::NONE, |trim| trim.needs());
        idempotence
            .union(trim)
            .union(Refs::needs(self.refs))
            .and_if(matches!(self.id, AddId::AutoSeq { .. }), Feature::AutoSeq)
    }

    #[inline]
    fn reply(frame: Frame) -> Result<EntryId, DecodeError> {
        match frame.short_bulk() {
            Some(text) => id(text),
            None => id(frame.cursor().string(ID)?),
        }
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_bytes()
    }
}

/// [`XAdd`] that makes no stream: `XADD key NOMKSTREAM ...` (Redis 6.2).
///
/// Answers with `None` if there is no stream, and has then added nothing.
#[derive(Debug, Clone)]
#[must_use]
pub struct XAddNoMkStream<'a>(XAdd<'a>);

impl Command for XAddNoMkStream<'_> {
    const NAME: &'static str = "XADD";
    const SAFETY: Safety = Safety::Write;
    type Reply = Option<EntryId>;

    fn args(&self, out: &mut impl Args) {
        self.0.list(true, out);
    }

    fn safety(&self) -> Safety {
        self.0.safety()
    }

    fn needs(&self) -> Features {
        self.0.needs().and(Feature::NoMkStream)
    }

    fn reply(frame: Frame) -> Result<Option<EntryId>, DecodeError> {
        frame.cursor().string_or_null(ID)?.map(id).transpose()
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.key.as_bytes()
    }
}

const ID: &str = "an entry id";
