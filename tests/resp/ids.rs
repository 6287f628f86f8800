//! Entry ids, and their ranges in commands.

use super::fuzz::entry_id::{holds, slow};
use bourn::command::encode;
use bourn::{AddId, EntryId, XAdd, XPendingRange, XRange, XRevRange};
use proptest::prelude::*;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::time::{Duration, UNIX_EPOCH};

/// Numbers near the ends of the range and with the lengths of clock times are frequent.
fn half() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..300u64,
        u64::MAX - 300..=u64::MAX,
        (0..20u32).prop_map(|digits| 10u64.pow(digits) - 1),
        1_000_000_000_000..10_000_000_000_000u64,
    ]
}

fn id() -> impl Strategy<Value = EntryId> {
    (half(), half()).prop_map(EntryId::from)
}

proptest! {
    #[test]
    fn displayed_id_parses_back_to_itself(id in id()) {
        let text = id.to_string();
        prop_assert_eq!(&text, &format!("{}-{}", id.ms(), id.seq()));
        prop_assert_eq!(EntryId::parse(text.as_bytes()), Ok(id));
        prop_assert_eq!(text.parse(), Ok(id));
        prop_assert_eq!(format!("{id:?}"), text.as_str());
        prop_assert_eq!(format!("{id:>50}"), format!("{text:>50}"));
        prop_assert_eq!(EntryId::parse(id.ms().to_string().as_bytes()), Ok(EntryId::new(id.ms(), 0)));
    }

    #[test]
    fn ids_are_ordered_by_time_and_then_by_sequence(a in id(), b in id()) {
        prop_assert_eq!(a.cmp(&b), (a.ms(), a.seq()).cmp(&(b.ms(), b.seq())));
        prop_assert_eq!(a == b, (a.ms(), a.seq()) == (b.ms(), b.seq()));
    }

    #[test]
    fn next_and_previous_are_inverse(id in id()) {
        if let Some(next) = id.next() {
            prop_assert!(next > id);
            prop_assert_eq!(next.prev(), Some(id));
        }
        if let Some(prev) = id.prev() {
            prop_assert!(prev < id);
            prop_assert_eq!(prev.next(), Some(id));
        }
        prop_assert_eq!(id.next().is_none(), id == EntryId::MAX);
        prop_assert_eq!(id.prev().is_none(), id == EntryId::MIN);
    }

    #[test]
    fn thirteen_digit_times_parse_like_any_other(
        ms in 0..10_000_000_000_000u64, seq in half(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut text = format!("{ms:013}-{seq}").into_bytes();
        for (at, byte) in changes {
            // Digits, the characters next to them, and anything else.
            let near = b"0123456789/:-+ ";
            *at.get_mut(&mut text) = near.get(usize::from(byte)).copied().unwrap_or(byte);
        }
        prop_assert_eq!(EntryId::parse(&text).ok(), slow(&text));
    }

    #[test]
    fn any_text_parses_like_its_halves(text in "[0-9+ -]{0,45}", any in any::<Vec<u8>>()) {
        holds(text.as_bytes());
        holds(&any);
    }

    #[test]
    fn time_converts_to_milliseconds(ms in 0..=i64::MAX as u64 / 1_000_000, micros in 0..1000u64) {
        let time = UNIX_EPOCH + Duration::from_millis(ms);
        prop_assert_eq!(EntryId::from_time(time + Duration::from_micros(micros)), EntryId::new(ms, 0));
        prop_assert_eq!(EntryId::new(ms, 7).time(), Some(time));
        prop_assert_eq!(EntryId::from_time(UNIX_EPOCH - Duration::from_millis(ms + 1)), EntryId::MIN);
    }

    #[test]
    fn range_encodes_both_bounds(a in id(), b in id()) {
        let text = |id: EntryId| id.to_string();
        let open = |id: EntryId| format!("({id}");
        let (min, max) = ("-".to_owned(), "+".to_owned());
        written(.., &min, &max)?;
        written(a.., &text(a), &max)?;
        written(..b, &min, &open(b))?;
        written(..=b, &min, &text(b))?;
        written(a..b, &text(a), &open(b))?;
        written(a..=b, &text(a), &text(b))?;
        for (start, first) in [(Unbounded, &min), (Included(a), &text(a)), (Excluded(a), &open(a))] {
            for (end, last) in [(Unbounded, &max), (Included(b), &text(b)), (Excluded(b), &open(b))] {
                written((start, end), first, last)?;
                written((start.as_ref(), end.as_ref()), first, last)?;
            }
        }
    }
}

/// Returns the arguments of a request, all of which are text.
fn args(request: &[u8]) -> Vec<String> {
    let text = String::from_utf8(request.to_vec()).expect("text");
    text.split("\r\n").skip(2).step_by(2).map(str::to_owned).collect()
}

fn written(
    range: impl std::ops::RangeBounds<EntryId> + Clone,
    first: &str,
    last: &str,
) -> Result<(), TestCaseError> {
    let forwards = args(&encode(&XRange::new("s", range.clone())));
    prop_assert_eq!(forwards, ["XRANGE", "s", first, last]);
    // In reverse, the bounds change places.
    let backwards = args(&encode(&XRevRange::new("s", range.clone())));
    prop_assert_eq!(backwards, ["XREVRANGE", "s", last, first]);
    let pending = args(&encode(&XPendingRange::new("s", "g", range, 10)));
    prop_assert_eq!(pending, ["XPENDING", "s", "g", first, last, "10"]);
    Ok(())
}

#[test]
fn invalid_ids_are_refused() {
    let most = u64::MAX;
    let bad = [
        "",
        "-",
        "1-",
        "-1",
        "--1",
        "1--1",
        "1-1-1",
        "+1-1",
        "1-+1",
        "-1-1",
        "1--1",
        " 1-1",
        "1-1 ",
        "1 -1",
        "1- 1",
        "1-1\n",
        "1-1\r",
        "1-1\0",
        "1_0-1",
        "0x1-1",
        "1.0-1",
        "a-1",
        "1-a",
        "*",
        "1-*",
        "$",
        ">",
        "(1-1",
        "18446744073709551616-0",
        "0-18446744073709551616",
        "18446744073709551616",
        "99999999999999999999-0",
        "1700000000000-",
        "170000000000-",
        "1700000000000x1",
        "170000000000x-1",
        "１-1",
        "1\u{2212}1",
    ];
    for text in bad {
        assert!(EntryId::parse(text.as_bytes()).is_err(), "{text:?}");
    }
    let good = [
        ("0-0", EntryId::MIN),
        ("0", EntryId::MIN),
        ("18446744073709551615-18446744073709551615", EntryId::MAX),
        ("18446744073709551615", EntryId::new(most, 0)),
        ("1700000000000", EntryId::new(1_700_000_000_000, 0)),
        ("1700000000000-18446744073709551615", EntryId::new(1_700_000_000_000, most)),
        ("0000000000000-0", EntryId::MIN),
        ("000001-01", EntryId::new(1, 1)),
    ];
    for (text, id) in good {
        assert_eq!(EntryId::parse(text.as_bytes()), Ok(id), "{text:?}");
    }
}

#[test]
fn add_id_encodes_every_variant() {
    let id = |id: AddId| args(&encode(&XAdd::new("s").id(id).field("f", "v")))[2].clone();
    assert_eq!(id(AddId::Auto), "*");
    assert_eq!(id(AddId::AutoSeq { ms: u64::MAX }), "18446744073709551615-*");
    assert_eq!(id(EntryId::new(5, 0).into()), "5-0");
}
