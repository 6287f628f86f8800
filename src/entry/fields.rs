//! The fields of an entry: pairs of bytes, in order. No I/O.

use super::head::slice;

/// An iterator over field names and values as bytes, in the order of the entry. A name may occur
/// more than once.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XRange;
/// use std::collections::BTreeMap;
///
/// for entry in &client.send(XRange::new("orders", ..)).await? {
///     let fields: BTreeMap<&[u8], &[u8]> = entry.fields().collect();
///     println!("{} has {} names", entry.id(), fields.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    spans: &'a [u64],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], spans: &'a [u64]) -> Self {
        Self { bytes, spans }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&[name, value], rest) = self.spans.split_first_chunk::<2>()?;
        self.spans = rest;
        Some((slice(self.bytes, name), slice(self.bytes, value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.spans.len() / 2;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl DoubleEndedIterator for Fields<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (rest, &[name, value]) = self.spans.split_last_chunk::<2>()?;
        self.spans = rest;
        Some((slice(self.bytes, name), slice(self.bytes, value)))
    }
}

/// An iterator over the values of one field name, in order.
///
/// ```no_run
/// # async fn f(client: &bourn::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use bourn::XRange;
///
/// for entry in &client.send(XRange::new("orders", ..)).await? {
///     // XADD orders * tag new tag urgent
///     let tags: Vec<&[u8]> = entry.get_all("tag").collect();
///     println!("{} has {} tags", entry.id(), tags.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Values<'a, 'n> {
    pub(super) fields: Fields<'a>,
    pub(super) name: &'n [u8],
}

impl<'a> Iterator for Values<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let name = self.name;
        self.fields.find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}
