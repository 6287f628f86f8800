//! The fields of a map, each of which is to be told.

use super::json::{Json, tuple};
use super::meaning::Means;

/// Whether the value is a map that is told by what these lines say, no field left over.
pub(crate) fn told(value: &Json, lines: impl FnOnce(&mut Fields<'_>) -> bool) -> bool {
    Fields::of(value).is_some_and(|mut fields| lines(&mut fields) && fields.0.is_empty())
}

/// The fields of a map by their names, in whichever form the value has them; those that were asked for are taken away.
pub(crate) struct Fields<'a>(Vec<(&'a str, &'a Json)>);

impl<'a> Fields<'a> {
    /// None if it is no map.
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

    /// Whether there is such a field exactly if there is this part, and it means the same.
    pub(crate) fn tell<T>(
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

    /// As [`Fields::tell`], of a field that is there.
    pub(crate) fn mean(&mut self, name: &str, part: &impl Means) -> bool {
        self.tell(name, Some(part), |part, value| part.means(value))
    }

    /// As [`Fields::mean`], and no part is no field.
    pub(crate) fn mean_if_there(&mut self, name: &str, part: &Option<impl Means>) -> bool {
        self.tell(name, part.as_ref(), |part, value| part.means(value))
    }

    /// As [`Fields::mean`], and no part is null or no field.
    pub(crate) fn mean_if_known(&mut self, name: &str, part: &Option<impl Means>) -> bool {
        let null = |(field, value): &(&str, &Json)| *field == name && value.is_null();
        self.0.retain(|field| part.is_some() || !null(field));
        self.mean_if_there(name, part)
    }
}
