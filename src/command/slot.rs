//! The slot of a key in a cluster, and that of all keys of a command. No I/O.
//!
//! A cluster has 16,384 slots, and each slot is on one node. The slot of a key is the CRC16 of its
//! hash tag, or of the whole key. The hash tag is the text between the first `{` and the next `}`,
//! if that is not empty.

#[cfg(feature = "tokio")]
use crate::error::Unsent;
#[cfg(any(test, feature = "tokio"))]
use crate::resp::{Args, Sealed};
#[cfg(any(test, feature = "tokio"))]
use std::io::Write;

/// The number of slots of a cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// The longest id: two numbers of 20 digits, a separator and a prefix.
#[cfg(any(test, feature = "tokio"))]
const MAX_TEXT: usize = 48;

/// Returns the slot of a key in a cluster, from 0 to 16383.
///
/// ```
/// use bourn::command::key_slot;
///
/// assert_eq!(key_slot("orders"), 105);
/// // Keys with the same hash tag have the same slot.
/// assert_eq!(key_slot("{orders}:dead"), key_slot("orders"));
/// ```
#[must_use]
pub fn key_slot(key: impl AsRef<[u8]>) -> u16 {
    slot(key.as_ref())
}

fn slot(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

/// Returns the hash tag of a key, or the whole key.
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', key) else { return key };
    let rest = key.get(open + 1..).unwrap_or_default();
    match memchr::memchr(b'}', rest) {
        None | Some(0) => key,
        Some(close) => rest.get(..close).unwrap_or_default(),
    }
}

/// CRC16 with the polynomial 0x1021 (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let [high, low] = crc.to_be_bytes();
        let rest = TABLE.get(usize::from(high ^ byte)).copied().unwrap_or_default();
        u16::from_be_bytes([low, 0]) ^ rest
    })
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut n: u16 = 0;
    while n < 256 {
        let mut crc = n << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "n is below the length")]
        {
            table[n as usize] = crc;
        }
        n += 1;
    }
    table
};

/// The receiver of keys, which computes their slot.
#[cfg(feature = "tokio")]
#[derive(Debug, Default)]
pub(crate) struct Keys {
    slot: Option<u16>,
    crosses: bool,
    /// The first key, and the first one in another slot: kept on a second pass.
    kept: Option<[Option<Box<[u8]>>; 2]>,
}

#[cfg(feature = "tokio")]
impl Sealed for Keys {}

#[cfg(feature = "tokio")]
impl Args for Keys {
    #[inline]
    fn bytes(&mut self, key: &[u8]) {
        let slot = slot(key);
        let first = *self.slot.get_or_insert(slot);
        self.crosses |= first != slot;
        if let Some([kept, other]) = &mut self.kept {
            if kept.is_none() {
                *kept = Some(key.into());
            } else if first != slot && other.is_none() {
                *other = Some(key.into());
            }
        }
    }

    fn number(&mut self, n: u64) {
        with_text(format_args!("{n}"), |key| self.bytes(key));
    }

    fn id(&mut self, prefix: &str, ms: u64, seq: u64) {
        with_text(format_args!("{prefix}{ms}-{seq}"), |key| self.bytes(key));
    }
}

/// The receiver of keys, which passes each one on.
#[cfg(any(test, feature = "tokio"))]
pub(crate) struct EachKey<F>(pub(crate) F);

#[cfg(any(test, feature = "tokio"))]
impl<F> Sealed for EachKey<F> {}

#[cfg(any(test, feature = "tokio"))]
impl<F: FnMut(&[u8])> Args for EachKey<F> {
    fn bytes(&mut self, key: &[u8]) {
        self.0(key);
    }

    fn number(&mut self, n: u64) {
        with_text(format_args!("{n}"), &mut self.0);
    }

    fn id(&mut self, prefix: &str, ms: u64, seq: u64) {
        with_text(format_args!("{prefix}{ms}-{seq}"), &mut self.0);
    }
}

/// Formats a number or an id on the stack.
#[cfg(any(test, feature = "tokio"))]
fn with_text(text: std::fmt::Arguments<'_>, then: impl FnOnce(&[u8])) {
    let mut place = [0; MAX_TEXT];
    let mut rest = place.as_mut_slice();
    let written = rest.write_fmt(text);
    debug_assert!(written.is_ok(), "{text} takes more than {MAX_TEXT} bytes");
    let left = rest.len();
    then(place.get(..MAX_TEXT - left).unwrap_or_default());
}

/// Returns the slot of all keys that `list` lists; `None` if it lists none.
///
/// # Errors
///
/// [`Unsent::TwoSlots`] if they are in different slots.
#[cfg(feature = "tokio")]
#[inline]
pub(crate) fn slot_of(list: impl Fn(&mut Keys)) -> Result<Option<u16>, Unsent> {
    let mut keys = Keys::default();
    list(&mut keys);
    if keys.crosses { Err(two_slots(list)) } else { Ok(keys.slot) }
}

#[cfg(feature = "tokio")]
#[cold]
fn two_slots(list: impl Fn(&mut Keys)) -> Unsent {
    let mut keys = Keys { kept: Some([None, None]), ..Keys::default() };
    list(&mut keys);
    let [first, other] = keys.kept.unwrap_or_default().map(Option::unwrap_or_default);
    Unsent::TwoSlots { first, other }
}

/// Returns the keys that a command lists.
#[cfg(test)]
pub(crate) fn listed_keys<C: super::Command>(command: &C) -> Vec<String> {
    let mut listed = Vec::new();
    let list = |key: &[u8]| listed.push(String::from_utf8_lossy(key).into_owned());
    command.keys(&mut EachKey(list));
    listed
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "tokio")]
    use crate::{
        Command, Del, EntryId, Exists, GroupFrom, Raw, ReadFrom, Unlink, XAdd, XLen, XRead,
        XReadGroup,
    };
    use proptest::prelude::*;

    #[test]
    fn slots_are_those_of_the_servers() {
        // From CLUSTER KEYSLOT of Redis 7.0 and Valkey 9.1.
        let rows = [
            ("", 0),
            ("123456789", 12_739),
            ("foo", 12_182),
            ("orders", 105),
            ("{orders}:dead", 105),
            ("a{orders}b{c}", 105),
            ("{user1000}.following", 3_443),
            ("{}orders", 2_209),
            ("foo{{bar}}zap", 4_015),
            ("foo{bar", 15_278),
            ("foo}bar{", 11_073),
        ];
        for (key, expected) in rows {
            assert_eq!(key_slot(key), expected, "{key:?}");
        }
    }

    /// CRC16 bit by bit, without a table.
    fn slot_by_bits(bytes: &[u8]) -> u16 {
        let mut crc = 0_u16;
        for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)) {
            let carry = crc >> 15 != u16::from(bit);
            crc = (crc << 1) ^ if carry { 0x1021 } else { 0 };
        }
        crc % SLOTS
    }

    #[cfg(feature = "tokio")]
    fn slot_of_keys(command: &impl Command) -> Result<Option<u16>, String> {
        slot_of(|keys| command.keys(keys)).map_err(|unsent| unsent.to_string())
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn every_kind_of_key_is_hashed_as_the_text_that_is_sent() {
        let id = EntryId::new(u64::MAX, u64::MAX);
        assert_eq!(slot_of_keys(&XLen::new(12_345)), Ok(Some(key_slot("12345"))));
        assert_eq!(slot_of_keys(&XLen::new(-7)), Ok(Some(key_slot("-7"))));
        assert_eq!(slot_of_keys(&XLen::new(id)), Ok(Some(key_slot(id.to_string()))));
        let add = XAdd::new(String::from("orders")).field("k", "v");
        assert_eq!(slot_of_keys(&add), Ok(Some(105)));
        assert_eq!(slot_of_keys(&add.no_mk_stream()), Ok(Some(105)));
        assert_eq!(slot_of_keys(&Raw::new("PING")), Ok(None));
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn keys_in_two_slots_are_refused_with_both_named() {
        let group = XReadGroup::new("g", "c").stream("{a}1", GroupFrom::New);
        let read = XRead::new().stream("{a}1", ReadFrom::End).stream("{a}2", ReadFrom::End);
        assert_eq!(slot_of_keys(&read), Ok(Some(key_slot("a"))));
        let rows = [
            slot_of_keys(&read.stream("b", ReadFrom::End)),
            slot_of_keys(&group.stream("{a}2", GroupFrom::New).stream("b", GroupFrom::New)),
            slot_of_keys(&Del::new("{a}1").and("b")),
            slot_of_keys(&Unlink::new("{a}1").and("{a}2").and("b").and("c")),
            slot_of_keys(&Exists::new("{a}1").and("b")),
            slot_of_keys(&Raw::new("COPY").key("{a}1").key("b")),
        ];
        for row in rows {
            let text = row.unwrap_err();
            assert!(text.contains("\"{a}1\"") && text.contains("\"b\""), "{text}");
        }
    }

    proptest! {
        #[test]
        fn table_agrees_with_the_bitwise_computation(key in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(crc16(&key) % SLOTS, slot_by_bits(&key));
        }

        #[test]
        fn keys_with_the_same_tag_share_a_slot(tag in "[a-z0-9]{1,20}", rest in "[a-z{}]{0,20}") {
            prop_assert_eq!(key_slot(format!("{{{tag}}}{rest}")), key_slot(&tag));
        }
    }
}
