//! Encoding of requests: arguments are listed once to measure, once to write. No I/O.
//!
//! A request is an array of bulk strings whose header has the count. So a command lists its
//! arguments twice. The first pass counts and measures them; the second writes them directly to the
//! connection's buffer.

/// The receiver of a command's arguments.
///
/// Every method adds one argument. A command must list the same arguments each time. The trait is
/// sealed: only this crate implements it.
///
/// ```
/// use bourn::resp::{Args, Measure};
///
/// // A command lists its arguments; here they are counted.
/// fn ping(args: &mut impl Args) {
///     args.bytes(b"PING");
///     args.bytes(b"hello");
/// }
/// let mut measure = Measure::default();
/// ping(&mut measure);
/// assert_eq!((measure.count, measure.longest), (2, 5));
/// ```
pub trait Args: Sealed {
    /// Adds an argument of arbitrary bytes.
    fn bytes(&mut self, arg: &[u8]);

    /// Adds a decimal number.
    fn number(&mut self, n: u64);

    /// Adds an entry id, `ms-seq`, after a prefix: empty, or `(` for an exclusive one.
    fn id(&mut self, prefix: &str, ms: u64, seq: u64);

    /// Adds a text argument.
    #[inline(always)]
    fn text(&mut self, arg: &str) {
        self.bytes(arg.as_bytes());
    }
}

/// Seals [`Args`], so that methods can be added.
#[expect(unnameable_types, reason = "sealed")]
pub trait Sealed {}

impl Sealed for Measure {}
impl Sealed for Writer<'_> {}

/// Counts the arguments and their bytes on the wire.
///
/// ```
/// use bourn::resp::{Args, Measure};
///
/// let mut measure = Measure::default();
/// measure.bytes(b"PING");
/// assert_eq!(measure.request_bytes(), b"*1\r\n$4\r\nPING\r\n".len());
/// ```
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// The number of arguments.
    pub count: usize,
    /// Size of all arguments on the wire in bytes, each with its header; without the header of the
    /// request.
    pub bytes: usize,
    /// Size of the longest argument.
    pub longest: usize,
}

impl Measure {
    #[inline]
    fn add(&mut self, len: usize) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(len).saturating_add(digits(len as u64) + 5);
        self.longest = self.longest.max(len);
    }

    /// Returns the size of the request in bytes, with its header.
    #[must_use]
    pub fn request_bytes(&self) -> usize {
        self.bytes.saturating_add(3 + digits(self.count as u64))
    }
}

impl Args for Measure {
    #[inline]
    fn bytes(&mut self, arg: &[u8]) {
        self.add(arg.len());
    }

    fn number(&mut self, n: u64) {
        self.add(digits(n));
    }

    fn id(&mut self, prefix: &str, ms: u64, seq: u64) {
        self.add(prefix.len() + digits(ms) + 1 + digits(seq));
    }
}

/// Appends requests to a buffer.
///
/// ```
/// use bourn::resp::{Args, Measure, Writer};
///
/// let mut measure = Measure::default();
/// measure.bytes(b"PING");
/// let mut out = Vec::new();
/// Writer::begin(&mut out, &measure).bytes(b"PING");
/// assert_eq!(out, b"*1\r\n$4\r\nPING\r\n");
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    count: usize,
}

impl<'a> Writer<'a> {
    /// Begins a request with the measured number of arguments and bytes.
    pub fn begin(out: &'a mut Vec<u8>, measure: &Measure) -> Self {
        out.reserve(measure.request_bytes());
        header(out, b'*', measure.count);
        Self { out, count: 0 }
    }

    /// Returns the number of arguments written so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Args for Writer<'_> {
    #[inline]
    fn bytes(&mut self, arg: &[u8]) {
        self.count += 1;
        header(self.out, b'$', arg.len());
        self.out.extend_from_slice(arg);
        self.out.extend_from_slice(b"\r\n");
    }

    fn number(&mut self, n: u64) {
        let mut text = [0; MAX_DIGITS];
        self.bytes(decimal(n, &mut text));
    }

    fn id(&mut self, prefix: &str, ms: u64, seq: u64) {
        self.count += 1;
        header(self.out, b'$', prefix.len() + digits(ms) + 1 + digits(seq));
        self.out.extend_from_slice(prefix.as_bytes());
        if (1_000_000_000_000..10_000_000_000_000).contains(&ms) {
            let [_, _, _, a, b, c, d, e] = eight_digits(ms / 100_000_000);
            let [f, g, h, i, j, k, l, m] = eight_digits(ms % 100_000_000);
            self.out.extend_from_slice(&[a, b, c, d, e, f, g, h, i, j, k, l, m, b'-']);
        } else {
            self.out.extend_from_slice(decimal(ms, &mut [0; MAX_DIGITS]));
            self.out.push(b'-');
        }
        match seq {
            0..=9 => self.out.extend_from_slice(&[digit(seq), b'\r', b'\n']),
            10..=99 => {
                self.out.extend_from_slice(&[digit(seq / 10), digit(seq % 10), b'\r', b'\n']);
            }
            _ => {
                self.out.extend_from_slice(decimal(seq, &mut [0; MAX_DIGITS]));
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// `u64::MAX` has this many digits.
const MAX_DIGITS: usize = 20;

#[inline]
fn header(out: &mut Vec<u8>, kind: u8, n: usize) {
    // Almost every header matches one of the first two arms.
    match u8::try_from(n) {
        Ok(n @ 0..=9) => out.extend_from_slice(&[kind, b'0' + n, b'\r', b'\n']),
        Ok(n @ 10..=99) => {
            out.extend_from_slice(&[kind, b'0' + n / 10, b'0' + n % 10, b'\r', b'\n']);
        }
        _ => {
            let mut text = [0; MAX_DIGITS];
            out.push(kind);
            out.extend_from_slice(decimal(n as u64, &mut text));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Returns the digit for a number below ten.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "n is below ten")]
fn digit(n: u64) -> u8 {
    b'0' + n as u8
}

/// Formats a number below 100,000,000 as eight digits. It is split into numbers of four digits, of
/// two and of one, all in parallel. The factors are reciprocals: 10,486 / 2^20 for 100, and 103 /
/// 2^10 for 10.
#[inline]
fn eight_digits(n: u64) -> [u8; 8] {
    let n = (n / 10_000) | ((n % 10_000) << 32);
    let hundreds = ((n * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let n = hundreds | ((n - hundreds * 100) << 16);
    let tens = ((n * 103) >> 10) & 0x000F_000F_000F_000F;
    let n = tens | ((n - tens * 10) << 8);
    (n | 0x3030_3030_3030_3030).to_le_bytes()
}

/// Returns the number of digits of `n`.
#[inline]
fn digits(n: u64) -> usize {
    // Almost every length has one or two digits; the milliseconds of an id have thirteen.
    match n {
        0..=9 => 1,
        10..=99 => 2,
        1_000_000_000_000..=9_999_999_999_999 => 13,
        _ => n.ilog10() as usize + 1,
    }
}

/// The numbers below a hundred as two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        #[expect(clippy::indexing_slicing, reason = "n is below a hundred")]
        {
            pairs[n as usize] = [b'0' + n / 10, b'0' + n % 10];
        }
        n += 1;
    }
    pairs
};

/// Formats `n` in decimal, in the last bytes of `text`.
pub(crate) fn decimal(mut n: u64, text: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let mut start = MAX_DIGITS;
    for place in text.rchunks_exact_mut(2) {
        let pair = usize::try_from(n % 100).ok().and_then(|n| PAIRS.get(n)).unwrap_or(&PAIRS[0]);
        place.copy_from_slice(pair);
        start -= 2;
        if n < 100 {
            break;
        }
        n /= 100;
    }
    // The first digit of a pair may be a zero that is not part of the number.
    let lead = usize::from(n < 10);
    text.get(start + lead..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Arg {
        Bytes(Vec<u8>),
        Number(u64),
        Id(u64, u64),
    }

    fn list(args: &[Arg], out: &mut impl Args) {
        for arg in args {
            match arg {
                Arg::Bytes(bytes) => out.bytes(bytes),
                Arg::Number(n) => out.number(*n),
                Arg::Id(ms, seq) => out.id("(", *ms, *seq),
            }
        }
    }

    #[test]
    fn eight_digits_match_the_formatted_number() {
        let ends = [0, 9, 10, 99, 100, 9_999, 10_000, 99_999_999];
        for n in ends.into_iter().chain((0..100_000_000).step_by(9_973)) {
            assert_eq!(eight_digits(n), *format!("{n:08}").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn clock_ids_are_formatted_like_other_numbers(ms in 999_999_999_990u64..10_000_000_000_010, seq in 0u64..200) {
            let mut measure = Measure::default();
            measure.id("(", ms, seq);
            let mut out = Vec::new();
            Writer::begin(&mut out, &measure).id("(", ms, seq);
            let text = format!("({ms}-{seq}");
            prop_assert_eq!(out, format!("*1\r\n${}\r\n{text}\r\n", text.len()).into_bytes());
        }

        #[test]
        fn measured_size_equals_written_size(args in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Arg::Bytes),
            any::<u64>().prop_map(Arg::Number),
            (any::<u64>(), any::<u64>()).prop_map(|(ms, seq)| Arg::Id(ms, seq)),
        ], 0..120)) {
            let mut measure = Measure::default();
            list(&args, &mut measure);
            let mut out = Vec::new();
            let mut expected = format!("*{}\r\n", args.len()).into_bytes();
            for arg in &args {
                let text = match arg {
                    Arg::Bytes(bytes) => bytes.clone(),
                    Arg::Number(n) => n.to_string().into_bytes(),
                    Arg::Id(ms, seq) => format!("({ms}-{seq}").into_bytes(),
                };
                expected.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
                expected.extend_from_slice(&text);
                expected.extend_from_slice(b"\r\n");
            }
            let mut writer = Writer::begin(&mut out, &measure);
            list(&args, &mut writer);
            prop_assert_eq!(writer.count(), measure.count);
            prop_assert_eq!(out.len(), measure.request_bytes());
            prop_assert_eq!(out, expected);
        }
    }
}
