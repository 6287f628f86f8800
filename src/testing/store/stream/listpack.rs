//! The size of entries in memory: a node is full at a number of bytes, too. No I/O.
//!
//! A node is one sequence of elements. Each has its encoding, and its length again behind it. An
//! integer is encoded by its value, anything else by its length.

/// The bytes of a node without elements.
pub(super) const EMPTY: usize = 7;

/// The bytes of a small number: a counter or flags.
pub(super) const SMALL: usize = 2;

/// Returns the bytes of a text element.
pub(super) fn text(bytes: &[u8]) -> usize {
    if let Some(number) = super::super::arguments::integer(bytes) {
        return integer(number);
    }
    let len = bytes.len();
    with_length(match len {
        0..64 => 1 + len,
        64..4096 => 2 + len,
        _ => 5 + len,
    })
}

/// Returns the bytes of an integer element.
pub(super) fn integer(number: i64) -> usize {
    with_length(match number {
        0..=127 => 1,
        -4096..=4095 => 2,
        -0x8000..=0x7fff => 3,
        -0x80_0000..=0x7f_ffff => 4,
        -0x8000_0000..=0x7fff_ffff => 5,
        _ => 9,
    })
}

/// Adds the bytes of the length at the end.
const fn with_length(encoded: usize) -> usize {
    encoded
        + match encoded {
            0..128 => 1,
            128..16_384 => 2,
            16_384..2_097_152 => 3,
            2_097_152..268_435_456 => 4,
            _ => 5,
        }
}
