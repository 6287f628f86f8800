//! The fields of a map, each of which must be compared.

use super::json::{Json, tuple};
use super::meaning::Means;

/// Whether the value is a map and `lines` matches all its fields, with none left over.
pub(crate) fn matches_all(value: &Json, lines: impl FnOnce(&mut Fields<'_>) -> bool) -> bool {
    Fields::of(value).is_some_and(|mut fields| lines(&mut fields) && fields.0.is_empty())
}

/// The fields of a map by name, in either form; compared fields are removed.
pub(crate) struct Fields<'a>(Vec<(&'a str, &'a Json)>);

impl<'a> Fields<'a> {
    /// Returns `None` if it is not a map.
    fn of(value: &'a Json) -> Option<Self> {
        if let Some(pairs) = value["map"].as_array() {
            let pair = |pair| tuple(pair).and_then(|[name, part]| Some((name.as_str()?, part)));
            return pairs.iter().map(pair).collect::<Option<_>>().map(Self);
        }
        if let Some(object) = value.as_object() {
            return Some(Self(object.iter().map(|(name, part)| (name.as_str(), part)).collect()));
        }
        // The flat array of RESP2.
        let pairs = value.as_array()?.chunks(2);
        let pair = |pair: &'a [Json]| {
            let [name, part] = pair else { return None };
            Some((name.as_str()?, part))
        };
        pairs.map(pair).collect::<Option<_>>().map(Self)
    }

    /// Whether field and part are both present and equal, or both absent.
    pub(crate) fn matches<T>(
        &mut self,
        name: &str,
        part: Option<T>,
        same: impl FnOnce(T, &Json) -> bool,
    ) -> bool {
        let place = self.0.iter().position(|(field, _)| *field == name);
        match (place.map(|place| self.0.remove(place)), part) {
            (Some((_, value)), Some(part)) => same(part, value),
            (field, part) => field.is_none() && part.is_none(),
        }
    }

    /// Like [`Fields::matches`], for a field that is always there.
    pub(crate) fn mean(&mut self, name: &str, part: &impl Means) -> bool {
        self.matches(name, Some(part), |part, value| part.means(value))
    }

    /// Like [`Fields::mean`]; `None` means that the field is absent.
    pub(crate) fn mean_if_there(&mut self, name: &str, part: &Option<impl Means>) -> bool {
        self.matches(name, part.as_ref(), |part, value| part.means(value))
    }

    /// Like [`Fields::mean`]; `None` means that the field is null or absent.
    pub(crate) fn mean_if_known(&mut self, name: &str, part: &Option<impl Means>) -> bool {
        let null = |(field, value): &(&str, &Json)| *field == name && value.is_null();
        self.0.retain(|field| part.is_some() || !null(field));
        self.mean_if_there(name, part)
    }
}
