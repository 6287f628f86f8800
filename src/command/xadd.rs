//! XADD: adds an entry. No I/O.

use super::arg::{Arg, OwnedBytes, Slot};
use super::reply::id;
use super::trim::{Refs, Trim};
use super::{Command, Safety};
use crate::EntryId;
use crate::id::{AddId, IdArg};
use crate::resp::{Args, DecodeError, Frame};
use crate::server::{Feature, Features};

/// Number of fields stored in the command itself; further ones cost an allocation.
const INLINE_FIELDS: usize = 4;

/// Adds an entry, and creates the stream if it does not exist.
///
/// `XADD key [KEEPREF|DELREF|ACKED] [IDMPAUTO pid | IDMP pid iid] [MAXLEN|MINID [=|~] threshold
/// [LIMIT count]] *|id field value [field value ...]` (Redis 5.0). Returns the id of the new entry.
/// An entry needs at least one field.
///
/// # Errors
///
/// [`Code::WrongType`](crate::Code::WrongType) when the key is not a stream;
/// [`Code::Err`](crate::Code::Err) when the id is not above the last one;
/// [`Code::Oom`](crate::Code::Oom) when the server is out of memory.
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
    key: Slot<'a>,
    refs: Option<Refs>,
    idempotence: Option<Idempotence<'a>>,
    trim: Option<Trim>,
    id: AddId,
    few: [Option<(Slot<'a>, Slot<'a>)>; INLINE_FIELDS],
    more: Vec<(Slot<'a>, Slot<'a>)>,
    owned: OwnedBytes,
}

#[derive(Debug, Clone, Copy)]
enum Idempotence<'a> {
    Named { producer: Slot<'a>, iid: Slot<'a> },
    Auto { producer: Slot<'a> },
}

impl<'a> XAdd<'a> {
    /// Creates an XADD to this stream, with an id that the server generates.
    #[inline]
    pub fn new(key: impl Into<Arg<'a>>) -> Self {
        let mut owned = OwnedBytes::new();
        let key = owned.keep(key.into());
        Self {
            key,
            refs: None,
            idempotence: None,
            trim: None,
            id: AddId::Auto,
            few: [None; INLINE_FIELDS],
            more: Vec::new(),
            owned,
        }
    }

    /// Adds nothing if the stream does not exist (Redis 6.2); the reply is then `None`.
    pub fn no_mk_stream(self) -> XAddNoMkStream<'a> {
        XAddNoMkStream(self)
    }

    /// Sets how trimming treats references from consumer groups to removed entries (Redis 8.2).
    ///
    /// With [`Refs::Delete`] or [`Refs::Acked`] an approximate trim is exact on Redis 8.6 and
    /// later, and removes nothing on Redis 8.2.
    pub fn refs(self, refs: Refs) -> Self {
        Self { refs: Some(refs), ..self }
    }

    /// Makes XADD idempotent: `IDMP` (Redis 8.6).
    ///
    /// If this producer has recently added an entry with the same `iid`, no entry is added and the
    /// reply is the id of the existing one. Such an XADD can be retried safely. It requires an id
    /// that the server generates.
    ///
    /// The server remembers 100 iids for each producer, for 100 seconds, unless configured
    /// otherwise.
    pub fn idmp(mut self, producer: impl Into<Arg<'a>>, iid: impl Into<Arg<'a>>) -> Self {
        let (producer, iid) = (self.owned.keep(producer.into()), self.owned.keep(iid.into()));
        Self { idempotence: Some(Idempotence::Named { producer, iid }), ..self }
    }

    /// Makes XADD idempotent, with an iid that the server computes from fields and values:
    /// `IDMPAUTO` (Redis 8.6).
    ///
    /// It works as [`XAdd::idmp`]. The order of fields does not matter: `a 1 b 2` and `b 2 a 1` are
    /// the same entry, `a 2 b 1` is another.
    pub fn idmp_auto(mut self, producer: impl Into<Arg<'a>>) -> Self {
        let producer = self.owned.keep(producer.into());
        Self { idempotence: Some(Idempotence::Auto { producer }), ..self }
    }

    /// Whether the server may recognise the entry, and add no other.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_idmp(&self) -> bool {
        self.idempotence.is_some()
    }

    /// Trims the stream after adding the entry.
    pub fn trim(self, trim: Trim) -> Self {
        Self { trim: Some(trim), ..self }
    }

    /// Sets the id of the new entry. By default the server generates it.
    pub fn id(self, id: impl Into<AddId>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// Adds a field. A name may occur more than once; the order is kept.
    ///
    /// [`Arg`] lists the types that a name and a value can have, and their text form.
    #[inline]
    pub fn field(mut self, name: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>) -> Self {
        self.push((name.into(), value.into()));
        self
    }

    /// Adds several fields, in order.
    #[inline]
    pub fn fields<N, V>(mut self, fields: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Arg<'a>>,
        V: Into<Arg<'a>>,
    {
        // Calling `field` would move the whole command for each field.
        fields.into_iter().for_each(|(name, value)| self.push((name.into(), value.into())));
        self
    }

    /// Adds the fields of a serde struct or map, each as a field of the entry (feature `serde`).
    ///
    /// [`Entry::record`](crate::Entry::record) reads it back. Texts, numbers and booleans have the
    /// text form of [`Arg`]. `None` adds no field. Compound values, such as lists, are encoded as
    /// JSON.
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
    /// let same = XAdd::new("orders").field("sku", "A-7").field("count", 3);
    /// assert_eq!(encode(&add), encode(&same));
    /// # Ok::<_, CodecError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The value is not a struct or map, or a part of it cannot be serialized.
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
        self.owned.list(&self.key, out);
        if no_mk_stream {
            out.text("NOMKSTREAM");
        }
        if let Some(refs) = self.refs {
            refs.list(out);
        }
        match &self.idempotence {
            Some(Idempotence::Named { producer, iid }) => {
                out.text("IDMP");
                self.owned.list(producer, out);
                self.owned.list(iid, out);
            }
            Some(Idempotence::Auto { producer }) => {
                out.text("IDMPAUTO");
                self.owned.list(producer, out);
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

    fn keys(&self, out: &mut impl Args) {
        self.owned.list(&self.key, out);
    }
}

/// An [`XAdd`] that does not create the stream: `XADD key NOMKSTREAM ...` (Redis 6.2).
///
/// The reply is `None` if the stream does not exist; nothing is then added.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XAdd;
///
/// // `None`: there is no such stream, and none was created.
/// let added = client.send(XAdd::new("orders").field("sku", "A-7").no_mk_stream()).await?;
/// println!("{added:?}");
/// # Ok(()) }
/// ```
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

    fn keys(&self, out: &mut impl Args) {
        self.0.owned.list(&self.0.key, out);
    }
}

const ID: &str = "an entry id";
