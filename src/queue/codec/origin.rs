//! Origin: the fields in front of a dead letter and of a redriven job, which say where it comes
//! from. No I/O.
//!
//! | entry | its first fields, in this order |
//! |---|---|
//! | dead letter | `_id`, `_stream`, `_group`, `_attempt`, `_cause`, `_reason`, `_at`, `_token`; without `_cause` if its cause is unknown |
//! | redriven job | `_id`, `_stream`, `_to`: for this group only |
//! | next job | `_id`, `_from`, `_group`: the job before it; after the fields of a redrive |
//! | job after a delay in the wheel | the same, and `_tried`: the attempts that it had before; `7+copied` if its next job may be there |
//! | job in the wheel | `_wait`, then all fields that it will have |
//!
//! The job's own fields follow. An entry whose first fields are others is not ours, also if one of
//! them is named `_id`: it comes from another producer.

use crate::command::Arg;
use crate::entry::Fields;
use crate::id::EntryId;
use crate::queue::cause::DeadLetterCause;

/// The id of the job's first entry.
const ID: &str = "_id";
/// The stream of the queue.
const STREAM: &str = "_stream";
/// The stream of the job before this one.
const FROM: &str = "_from";
/// The group in which the job failed.
const GROUP: &str = "_group";
const ATTEMPT: &str = "_attempt";
const CAUSE: &str = "_cause";
const REASON: &str = "_reason";
const AT: &str = "_at";
const TOKEN: &str = "_token";

/// The only group that runs the job.
const TO: &str = "_to";

/// The number of attempts before this entry was added.
const TRIED: &str = "_tried";

/// Follows that number if the next job may be there.
const COPIED: &[u8] = b"+copied";

/// The delay of a job in the wheel, in milliseconds.
pub(crate) const WAIT: &str = "_wait";

const ADDRESS: [&str; 3] = [ID, STREAM, TO];
const SOURCE: [&str; 3] = [ID, FROM, GROUP];
const LETTER: [&str; 8] = [ID, STREAM, GROUP, ATTEMPT, CAUSE, REASON, AT, TOKEN];
/// A letter without a cause.
const NO_CAUSE: [&str; 7] = [ID, STREAM, GROUP, ATTEMPT, REASON, AT, TOKEN];

/// The origin of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter<'a> {
    /// The id of the job's first entry.
    pub(crate) id: EntryId,
    pub(crate) stream: &'a [u8],
    pub(crate) group: &'a [u8],
    pub(crate) attempts: u32,
    pub(crate) cause: DeadLetterCause,
    pub(crate) reason: &'a [u8],
    /// The time of the move, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Identifies the copy: each move has its own.
    pub(crate) token: &'a [u8],
}

impl<'a> Letter<'a> {
    /// Returns the origin of a dead letter with these fields, and the job's own fields. `None` if
    /// the entry is not a dead letter of a queue.
    pub(crate) fn split(fields: Fields<'a>) -> Option<(Self, Fields<'a>)> {
        let ([id, stream, group, attempts, cause, reason, at_ms, token], own) =
            leading(fields.clone(), LETTER).or_else(|| {
                let ([id, stream, group, attempts, rest @ ..], own) = leading(fields, NO_CAUSE)?;
                let [reason, at_ms, token] = rest;
                Some(([id, stream, group, attempts, b"", reason, at_ms, token], own))
            })?;
        let letter = Self {
            id: entry_id(id)?,
            stream,
            group,
            attempts: number(attempts)?.try_into().ok()?,
            cause: DeadLetterCause::of(cause),
            reason,
            at_ms: number(at_ms)?,
            token,
        };
        Some((letter, own))
    }

    /// Whether it is a letter of this queue.
    pub(crate) fn is_of(&self, stream: &[u8], group: &[u8]) -> bool {
        self.stream == stream && self.group == group
    }

    /// Returns the fields that go before the job's own.
    pub(crate) fn fields(&self) -> [(&'static str, Arg<'a>); 8] {
        [
            (ID, self.id.into()),
            (STREAM, self.stream.into()),
            (GROUP, self.group.into()),
            (ATTEMPT, self.attempts.into()),
            (CAUSE, self.cause.as_str().into()),
            (REASON, self.reason.into()),
            (AT, self.at_ms.into()),
            (TOKEN, self.token.into()),
        ]
    }
}

/// The origin of a redriven job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    /// The id of the job's first entry.
    pub(crate) id: EntryId,
    /// The only group that runs the job.
    pub(crate) group: &'a [u8],
    /// The number of attempts before this entry was added.
    pub(crate) tried: u32,
}

impl<'a> Address<'a> {
    /// Returns the address of an entry of `stream` with these fields, and the job's own fields.
    /// `None` if the entry has none, or has that of another stream: it was copied here by others.
    pub(crate) fn split(fields: Fields<'a>, stream: &[u8]) -> Option<(Self, Fields<'a>)> {
        let ([id, at, group], own) = leading(fields, ADDRESS)?;
        let id = entry_id(id).filter(|_| at == stream)?;
        let tried = leading(own.clone(), [TRIED]).and_then(|([tried], own)| {
            let tried = number(tried.strip_suffix(COPIED).unwrap_or(tried))?;
            Some((tried.try_into().ok()?, own))
        });
        let (tried, own) = tried.unwrap_or((0, own));
        Some((Self { id, group, tried }, own))
    }

    /// Returns the fields that go before the job's own. `id` is the id as text.
    pub(crate) fn fields(
        id: &'a str,
        stream: &'a [u8],
        group: &'a [u8],
    ) -> [(&'a [u8], &'a [u8]); 3] {
        let [first, second, third] = ADDRESS.map(str::as_bytes);
        [(first, id.as_bytes()), (second, stream), (third, group)]
    }

    /// As [`fields`](Self::fields), without attempts before, in an entry of `stream`.
    pub(crate) fn args(&self, stream: &'a [u8]) -> [(&'static str, Arg<'a>); 3] {
        let [id, at, to] = ADDRESS;
        [(id, self.id.into()), (at, stream.into()), (to, self.group.into())]
    }
}

/// The job that was acknowledged when this one was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source<'a> {
    /// The id of the job's first entry.
    pub(crate) id: EntryId,
    pub(crate) stream: &'a [u8],
    pub(crate) group: &'a [u8],
}

impl<'a> Source<'a> {
    /// Returns the source of an entry of `stream` with these fields; `None` if it has none.
    pub(crate) fn of(fields: Fields<'a>, stream: &[u8]) -> Option<Self> {
        let own = Address::split(fields.clone(), stream).map_or(fields, |(_, own)| own);
        let ([id, stream, group], _) = leading(own, SOURCE)?;
        Some(Self { id: entry_id(id)?, stream, group })
    }

    /// Returns the fields that go before the job's own.
    pub(crate) fn args(&self) -> [(&'static str, Arg<'a>); 3] {
        let [id, from, group] = SOURCE;
        [(id, self.id.into()), (from, self.stream.into()), (group, self.group.into())]
    }
}

/// Returns the name and the value of the field after an address: [`attempts_text`].
pub(crate) fn tried(text: &[u8]) -> (&'static [u8], &[u8]) {
    (TRIED.as_bytes(), text)
}

/// Returns the value for a job that had this many attempts, and whose next job may be there.
pub(crate) fn attempts_text(attempts: u32, is_copied: bool) -> Vec<u8> {
    let copied = if is_copied { COPIED } else { &[] };
    [attempts.to_string().as_bytes(), copied].concat()
}

/// Whether the next job of a job of `stream` may have been there before its entry was added.
pub(crate) fn was_copied(fields: Fields<'_>, stream: &[u8]) -> bool {
    let has_tried = attempts_before(fields.clone(), stream) > 0;
    let rest = leading(fields, ADDRESS).filter(|_| has_tried).map(|(_, rest)| rest);
    rest.and_then(|rest| leading(rest, [TRIED])).is_some_and(|([text], _)| text.ends_with(COPIED))
}

/// Returns the number of attempts that a job of `stream` had before its entry was added.
pub(crate) fn attempts_before(fields: Fields<'_>, stream: &[u8]) -> u32 {
    Address::split(fields, stream).map_or(0, |(address, _)| address.tried)
}

/// Returns the fields of a job in the wheel without its delay. `None` if it is not such a job.
pub(crate) fn without_wait(fields: Fields<'_>) -> Option<Fields<'_>> {
    leading(fields, [WAIT]).map(|(_, rest)| rest)
}

/// Returns the id of the job's first entry, and the job's own fields, of an entry of `stream`.
pub(crate) fn of_job<'a>(fields: Fields<'a>, id: EntryId, stream: &[u8]) -> (EntryId, Fields<'a>) {
    Address::split(fields.clone(), stream).map_or((id, fields), |(to, own)| (to.id, own))
}

/// Returns a key that is unique to a job of this stream and group, and the same after a redrive. That
/// of a next job names the job before it: another copy of it has the same key.
pub(crate) fn idempotency_key(
    fields: Fields<'_>,
    id: EntryId,
    stream: &[u8],
    group: &[u8],
) -> String {
    let source = Source::of(fields.clone(), stream);
    let (stream_text, group) = (stream.escape_ascii(), group.escape_ascii());
    match source {
        Some(Source { id, stream: from, group: by }) => {
            let (from, by) = (from.escape_ascii(), by.escape_ascii());
            format!("{stream_text}/{group}/{from}/{by}/{id}")
        }
        None => format!("{stream_text}/{group}/{}", of_job(fields, id, stream).0),
    }
}

/// Returns the IDMP producer id for entries that `kind` of operation adds for this queue. The
/// server remembers ids by the producer's name alone, also where several queues add to one stream.
pub(crate) fn producer_id(kind: &str, stream: &[u8], group: &[u8]) -> Vec<u8> {
    // With the length no two pairs of names give the same id.
    [format!("bourn-{kind}/{}/", stream.len()).as_bytes(), stream, b"/", group].concat()
}

/// Returns the values of the first fields and the fields after them; `None` if their names are not
/// these, in this order.
pub(super) fn leading<'a, const N: usize>(
    mut fields: Fields<'a>,
    names: [&str; N],
) -> Option<([&'a [u8]; N], Fields<'a>)> {
    let mut values = [[].as_slice(); N];
    for (name, value) in names.into_iter().zip(&mut values) {
        let field = fields.next().filter(|(found, _)| *found == name.as_bytes())?;
        *value = field.1;
    }
    Some((values, fields))
}

/// Returns the id if the text is exactly as ids are written here.
fn entry_id(text: &[u8]) -> Option<EntryId> {
    EntryId::parse(text).ok().filter(|id| id.to_string().as_bytes() == text)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{XAdd, encode};
    use crate::queue::codec::tests::entry;

    const FIELDS: [(&str, &str); 9] = [
        ("_id", "1-2"),
        ("_stream", "email"),
        ("_group", "workers"),
        ("_attempt", "3"),
        ("_cause", "timed-out"),
        ("_reason", "timeout"),
        ("_at", "1700000000000"),
        ("_token", "0a"),
        ("user_id", "123"),
    ];

    #[test]
    fn letter_is_recognised_by_all_its_fields_in_their_order() {
        let letter = Letter {
            id: EntryId::new(1, 2),
            stream: b"email",
            group: b"workers",
            attempts: 3,
            cause: DeadLetterCause::TimedOut,
            reason: b"timeout",
            at_ms: 1_700_000_000_000,
            token: b"0a",
        };
        let found = entry(FIELDS);
        let (split, own) = Letter::split(found.fields()).expect("a letter");
        assert_eq!(split, letter);
        assert!(own.eq([(b"user_id".as_slice(), b"123".as_slice())]));
        let add = |fields: Vec<_>| encode(&XAdd::new("dead").fields(fields));
        assert_eq!(
            add(letter.fields().to_vec()),
            add(FIELDS[..8].iter().map(|(name, value)| (*name, (*value).into())).collect())
        );

        let without = |place: usize| {
            let mut fields = FIELDS.to_vec();
            fields.remove(place);
            fields
        };
        let with = |place: usize, value| {
            let mut fields = FIELDS.to_vec();
            fields[place].1 = value;
            fields
        };
        let mut swapped = FIELDS.to_vec();
        swapped.swap(0, 1);
        let mut behind = FIELDS.to_vec();
        behind.rotate_right(1);
        let mut rows: Vec<(&str, Vec<(&str, &str)>)> = vec![
            ("another order", swapped),
            ("a field in front", behind),
            ("an id in another form", with(0, "1")),
            ("no id", with(0, "65a1f0c2e4b0")),
            ("no number of attempts", with(3, "many")),
            ("too many attempts", with(3, "4294967296")),
            ("no time", with(6, "now")),
            ("only an id", vec![("_id", "1-2"), ("a", "1")]),
        ];
        let all_but_cause = (0..8).filter(|place| *place != 4);
        rows.extend(all_but_cause.map(|place| ("a field is missing", without(place))));
        for (row, fields) in rows {
            let found = entry(fields);
            assert_eq!(Letter::split(found.fields()).map(|(letter, _)| letter), None, "{row}");
        }
        // Those of earlier versions, and of later ones, whose cause has no name here.
        for fields in [without(4), with(4, "other")] {
            let found = entry(fields);
            let (split, own) = Letter::split(found.fields()).expect("a letter");
            assert_eq!(split, Letter { cause: DeadLetterCause::Unknown, ..letter });
            assert_eq!(own.len(), 1);
        }
    }

    #[test]
    fn address_holds_in_its_own_stream_only() {
        let fields = Address::fields("1-2", b"email", b"mail").to_vec();
        let with_own = |fields: &[(&[u8], &[u8])]| {
            entry(fields.iter().copied().chain([(b"a".as_slice(), b"1".as_slice())]))
        };
        let id = EntryId::new(7, 0);
        let found = with_own(&fields);
        let expected = Address { id: EntryId::new(1, 2), group: b"mail", tried: 0 };
        let (address, own) = Address::split(found.fields(), b"email").expect("an address");
        assert!(address == expected && own.eq([(b"a".as_slice(), b"1".as_slice())]));
        assert_eq!(of_job(found.fields(), id, b"email").0, expected.id);

        let mut no_id = fields.clone();
        no_id[0].1 = b"bob";
        let rows: [(&str, &[(&[u8], &[u8])], &[u8]); 3] = [
            ("another stream", &fields, b"other"),
            ("no id", &no_id, b"email"),
            ("a field is missing", &fields[..2], b"email"),
        ];
        for (row, fields, stream) in rows {
            let found = with_own(fields);
            assert!(Address::split(found.fields(), stream).is_none(), "{row}");
            let (first, own) = of_job(found.fields(), id, stream);
            assert!(first == id && own.len() == fields.len() + 1, "{row}");
        }
    }

    #[test]
    fn attempts_before_are_read_directly_after_an_address() {
        let address = Address::fields("1-2", b"email", b"mail").to_vec();
        let with = |more: &[(&'static [u8], &'static [u8])]| {
            entry(address.iter().copied().chain(more.iter().copied()))
        };
        let own: (&[u8], &[u8]) = (b"a", b"1");
        let rows: [(&str, &[(&[u8], &[u8])], u32, bool, usize); 6] = [
            ("a number", &[tried(b"7"), own], 7, false, 1),
            ("a number and a copy", &[tried(b"7+copied"), own], 7, true, 1),
            ("no number", &[tried(b"x"), own], 0, false, 2),
            ("only a copy", &[tried(b"+copied"), own], 0, false, 2),
            ("behind another field", &[own, tried(b"7")], 0, false, 2),
            ("none", &[own], 0, false, 1),
        ];
        assert_eq!(attempts_text(7, true), b"7+copied");
        assert_eq!(attempts_text(7, false), b"7");
        for (row, more, expected, is_copied, left) in rows {
            let found = with(more);
            assert_eq!(was_copied(found.fields(), b"email"), is_copied, "{row}");
            assert!(!was_copied(found.fields(), b"other"), "{row}");
            assert_eq!(attempts_before(found.fields(), b"email"), expected, "{row}");
            assert_eq!(attempts_before(found.fields(), b"other"), 0, "{row}");
            let (_, own) = of_job(found.fields(), EntryId::MIN, b"email");
            assert_eq!(own.len(), left, "{row}");
        }
        assert_eq!(attempts_before(entry([tried(b"7")]).fields(), b"email"), 0, "no address");
        let waiting = entry([(WAIT.as_bytes(), b"500".as_slice()), own]);
        assert!(without_wait(waiting.fields()).is_some_and(|rest| rest.eq([own])));
        assert!(without_wait(entry([own]).fields()).is_none());
    }

    #[test]
    fn next_job_has_the_key_of_the_job_before_it_also_after_a_redrive() {
        let source = [("_id", "1-2"), ("_from", "email"), ("_group", "mail"), ("a", "1")];
        let redriven = [("_id", "7-0"), ("_stream", "next"), ("_to", "g")];
        let redriven: Vec<_> = redriven.into_iter().chain(source).collect();
        let key = |fields: &[(&str, &str)]| {
            let found = entry(fields.iter().copied());
            idempotency_key(found.fields(), EntryId::new(9, 0), b"next", b"g")
        };
        assert_eq!(key(&source), "next/g/email/mail/1-2");
        assert_eq!(key(&redriven), "next/g/email/mail/1-2");
        assert_eq!(key(&redriven[..3]), "next/g/7-0");
        assert_eq!(key(&source[1..]), "next/g/9-0", "a field is missing");
    }

    #[test]
    fn producer_ids_of_different_queues_differ() {
        let names = [("a", "b/c"), ("a/b", "c"), ("a", "b"), ("x", "b"), ("b", "a"), ("", "a/b")];
        for (place, one) in names.iter().enumerate() {
            for other in &names[..place] {
                let id = |(stream, group): &(&str, &str)| {
                    producer_id("then", stream.as_bytes(), group.as_bytes())
                };
                assert_ne!(id(one), id(other), "{one:?} {other:?}");
            }
        }
        assert_ne!(producer_id("then", b"a", b"b"), producer_id("dead", b"a", b"b"));
    }
}
