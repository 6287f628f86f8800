//! The scanner finds the same frames however the bytes are split, and the same as the slow parser.
//!
//! An input is a byte of flags, a number of sizes, the sizes of the pieces in which the bytes
//! arrive (repeated), and the bytes. With an odd byte of flags the limits are small enough to
//! matter, and the smaller the larger it is.

use bourn::resp::{DecodeError, Frame, Limits, ProtocolError, Scanner, Value};

/// The maximum number of frames whose content is compared; of the others only the lengths are.
const LOOKED_INTO: usize = 64;

/// Inputs up to this length are also given byte by byte.
const BYTE_BY_BYTE: usize = 1024;

/// The maximum number of bytes that the scanner awaits before it checks those that have arrived.
const MOST_AHEAD: usize = 96;

/// Runs one input.
///
/// # Panics
///
/// A property does not hold.
pub fn holds(data: &[u8]) {
    let Some((&[flags, sizes], rest)) = data.split_first_chunk() else { return };
    let (sizes, bytes) = rest.split_at(usize::from(sizes % 16).min(rest.len()));
    let sizes: Vec<_> = sizes.iter().map(|size| 1 + usize::from(*size).pow(2) / 16).collect();
    let limits = if flags % 2 == 0 {
        Limits::default()
    } else {
        small(1000 - 7 * usize::from(flags / 2), 40, 4)
    };
    agrees(bytes, limits, &sizes);
}

/// Returns these limits.
pub fn small(reply_bytes: usize, line_bytes: usize, depth: usize) -> Limits {
    let mut limits = Limits::default();
    (limits.reply_bytes, limits.line_bytes, limits.depth) = (reply_bytes, line_bytes, depth);
    limits
}

/// Checks that the bytes give the same frames and the same end as a whole, in pieces of these
/// sizes, byte by byte, and with the slow parser.
///
/// # Panics
///
/// A property does not hold.
pub fn agrees(bytes: &[u8], limits: Limits, sizes: &[usize]) {
    let whole = run(bytes, limits, &[], false);
    let mut pieces = vec![sizes];
    if bytes.len() <= BYTE_BY_BYTE {
        pieces.push(&[1]);
    }
    for sizes in pieces {
        assert_eq!(run(bytes, limits, sizes, whole.error.is_some()), whole, "pieces of {sizes:?}");
    }
    let info = allocation_counter::measure(|| forget(bytes, limits));
    let most = 64 * limits.depth as u64 + 1024;
    assert!(info.bytes_max <= most, "{} bytes for levels", info.bytes_max);

    let mut rest = bytes;
    for (i, len) in whole.frames.into_iter().enumerate() {
        let (frame, behind) = rest.split_at(len);
        let Ok(Some((value, slow))) = parse(rest, limits) else {
            panic!("a frame of {len} bytes is none for the slow parser")
        };
        assert_eq!(len, slow, "the length of a frame");
        if i < LOOKED_INTO {
            looks_like(frame, limits, &value);
        }
        rest = behind;
    }
    let slow = parse(rest, limits);
    let fast = whole.error.map_or(Ok(None), Err);
    assert_eq!(slow.map(|value| value.map(|(_, len)| len)), fast, "the end, slow and fast");
}

/// The result of scanning some bytes.
#[derive(Debug, PartialEq)]
struct Found {
    /// The lengths of the frames, in order.
    frames: Vec<usize>,
    /// The error at the end; `None` if more bytes could follow.
    error: Option<ProtocolError>,
}

/// Passes the bytes to a scanner in pieces of these sizes, repeatedly; as a whole if there are
/// none.
///
/// A scanner may wait for the minimum that must follow before it checks the bytes that have
/// arrived. So it may detect an error later than one that gets all bytes at once. If there is an
/// error, `wrong`, some more bytes must reveal it.
fn run(bytes: &[u8], limits: Limits, sizes: &[usize], wrong: bool) -> Found {
    let mut scanner = Scanner::new(limits);
    let mut found = Found { frames: Vec::new(), error: None };
    let mut sizes = sizes.iter().copied().cycle();
    // The bytes not yet removed as a frame, and how many of them have arrived.
    let (mut rest, mut come) = (bytes, 0);
    loop {
        let more = sizes.next().unwrap_or(bytes.len());
        come = rest.len().min(come + more);
        loop {
            let (buf, _) = rest.split_at(come);
            match scanner.scan(buf) {
                Ok(Some(len)) => {
                    assert!((1..=buf.len()).contains(&len), "a frame of {len} in {}", buf.len());
                    found.frames.push(len);
                    (rest, come) = (rest.split_at(len).1, come - len);
                }
                Ok(None) => {
                    let need = scanner.need();
                    assert!(need > buf.len(), "needs {need} and has {}", buf.len());
                    break;
                }
                Err(error) => {
                    for again in [buf, b"", b"+OK\r\n", rest] {
                        assert_eq!(scanner.scan(again), Err(error.clone()), "after an error");
                    }
                    found.error = Some(error);
                    return found;
                }
            }
        }
        if come == rest.len() {
            if wrong {
                let more = [rest, &[0; MOST_AHEAD]].concat();
                found.error = scanner.scan(&more).err();
            }
            return found;
        }
    }
}

/// Scans to the end and discards the result.
fn forget(bytes: &[u8], limits: Limits) {
    let mut scanner = Scanner::new(limits);
    let mut rest = bytes;
    while let Ok(Some(len)) = scanner.scan(rest) {
        rest = rest.split_at(len).1;
    }
}

/// Runs the slow parser, whose memory is proportional to the bytes too.
fn parse(bytes: &[u8], limits: Limits) -> Result<Option<(Value, usize)>, ProtocolError> {
    let mut value = Ok(None);
    let info = allocation_counter::measure(|| value = Value::parse(bytes, limits));
    // A null of three bytes is a value of 32, in a vector that is reallocated to twice the length.
    let most = 40 * bytes.len() as u64 + (64 << 10);
    assert!(info.bytes_max <= most, "{} bytes of memory for {}", info.bytes_max, bytes.len());
    value
}

/// Checks that the properties of a frame match the slow parser's value.
fn looks_like(bytes: &[u8], limits: Limits, value: &Value) {
    let frame = Frame::parse(bytes.to_vec(), limits).expect("a frame that the scanner found");
    let written = written(value);
    assert_eq!(self::written(&Value::from(&frame)), written, "the value of a frame");
    assert_eq!(frame.is_null(), value.is_null());
    assert_eq!(frame.is_push(), matches!(value, Value::Push(_)));
    let text =
        if let Value::Error(text) = value.described() { Some(text.as_slice()) } else { None };
    assert_eq!(frame.error(), text);
    assert_eq!(frame.as_bytes(), bytes);

    // Written bytes parse to the same value, and are written the same again.
    let mut unlimited = limits;
    (unlimited.reply_bytes, unlimited.line_bytes) = (usize::MAX, usize::MAX);
    let again = Value::parse(&written, unlimited).expect("RESP").expect("a whole value").0;
    assert_eq!(self::written(&again), written, "what is written");
    if bytes.len() < 4096 {
        assert_eq!(again.to_string(), value.to_string());
    }
    elements(frame, value);
}

fn elements(frame: Frame, value: &Value) {
    let list: &[Value] = match value.described() {
        Value::Array(list) | Value::Set(list) | Value::Push(list) => list,
        _ => &[],
    };
    let elements: Result<_, DecodeError> = frame.elements();
    // An array whose length is not announced is not split.
    if let Ok(Some(elements)) = elements {
        assert_eq!(elements.len(), list.len(), "the number of elements");
        for (element, value) in elements.iter().zip(list).take(LOOKED_INTO) {
            assert_eq!(written(&Value::from(element)), written(value), "an element");
        }
    }
}

fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut out);
    out
}
