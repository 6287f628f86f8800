//! An entry id parses like its two halves, and prints as it was parsed.

use bourn::EntryId;

/// Runs one input: as text, and its first sixteen bytes as two halves.
///
/// # Panics
///
/// A property does not hold.
pub fn holds(data: &[u8]) {
    let read = EntryId::parse(data);
    assert_eq!(read.ok(), slow(data), "{}", data.escape_ascii());
    if let Ok(id) = read {
        printed(id);
        let text = std::str::from_utf8(data).expect("digits");
        assert_eq!(text.parse(), Ok(id));
    }
    let half = |at: usize| data.get(at..at + 8).and_then(|half| half.try_into().ok());
    if let (Some(ms), Some(seq)) = (half(0), half(8)) {
        let (ms, seq) = (u64::from_le_bytes(ms), u64::from_le_bytes(seq));
        let id = EntryId::new(ms, seq);
        printed(id);
        neighbours(id);
        let other = read.unwrap_or_default();
        assert_eq!(id.cmp(&other), (ms, seq).cmp(&(other.ms(), other.seq())));
    }
}

/// Parses one or two decimal numbers of 64 bits with a `-` between them.
pub fn slow(text: &[u8]) -> Option<EntryId> {
    let text = std::str::from_utf8(text).ok()?;
    let number = |digits: &str| {
        // Rust's own parser accepts a sign.
        if digits.starts_with('+') { None } else { digits.parse::<u64>().ok() }
    };
    match text.split_once('-') {
        Some((ms, seq)) => Some(EntryId::new(number(ms)?, number(seq)?)),
        None => Some(EntryId::new(number(text)?, 0)),
    }
}

fn printed(id: EntryId) {
    let text = id.to_string();
    assert_eq!(text, format!("{}-{}", id.ms(), id.seq()));
    assert_eq!(EntryId::parse(text.as_bytes()), Ok(id));
}

fn neighbours(id: EntryId) {
    let number = |id: EntryId| u128::from(id.ms()) << 64 | u128::from(id.seq());
    assert_eq!(id.next().map(number), number(id).checked_add(1));
    assert_eq!(id.prev().map(number), number(id).checked_sub(1));
}
