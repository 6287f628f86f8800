//! Fast path of the scanner for the values that make up most of a reply. No I/O.

use super::record::ELEMENT_BYTES;
use super::record::{Content, short_length};
use super::{Left, Scanner};

/// Returns length and size of a header, if the length is short: mostly one or two digits.
#[inline]
fn length(header: &[u8]) -> Option<(usize, usize)> {
    let &[_, a, b, c, d] = header.first_chunk()?;
    match (a.wrapping_sub(b'0'), b.wrapping_sub(b'0')) {
        (a @ 0..=9, _) if [b, c] == *b"\r\n" => Some((usize::from(a), 4)),
        (a @ 0..=9, b @ 0..=9) if [c, d] == *b"\r\n" => {
            Some((usize::from(a) * 10 + usize::from(b), 5))
        }
        _ => short_length(header),
    }
}

impl Scanner {
    /// Returns the end of a frame that is a short and complete bulk string, such as an id.
    #[inline]
    pub(super) fn short(&self, buf: &[u8]) -> Option<usize> {
        if self.pos != 0 || buf.first() != Some(&b'$') {
            return None;
        }
        let (len, header) = length(buf)?;
        let end = header + len;
        let whole = buf.get(end..)?.first_chunk() == Some(b"\r\n");
        (whole && end <= self.limits.reply_bytes).then_some(end + 2)
    }

    /// Scans bulk strings and arrays with short lengths, and skips elements whose headers match the
    /// one before. Stops at any other value and leaves it to the scanner. Returns true if the frame
    /// is complete.
    #[inline]
    pub(super) fn plain(&mut self, buf: &[u8]) -> bool {
        let (mut pos, mut left) = (self.pos, self.left);
        let mut room = self.limits.reply_bytes.saturating_sub(self.charged);
        let complete = 'frame: loop {
            let rest = buf.get(pos..).unwrap_or_default();
            let Some(&kind) = rest.first() else { break false };
            let Some((len, header)) = length(rest) else { break false };
            if kind == b'$' {
                let end = pos + header + len;
                if self.record.is_learning() {
                    self.record.learn(buf, pos, header, Content::String(len));
                }
                let line_end = buf.get(end..).and_then(<[u8]>::first_chunk);
                if line_end != Some(b"\r\n") || end > room {
                    break false;
                }
                pos = end + 2;
                left -= 1;
            } else if kind == b'*' && len > 0 {
                let like_before = self.record.pass(buf, pos, self.outer.len());
                if let Some((end, cost)) = like_before.filter(|(end, cost)| end + cost <= room) {
                    room -= cost;
                    pos = end;
                    left -= 1;
                } else {
                    if left > 1 {
                        self.record.begin(self.outer.len(), rest.len());
                    }
                    if self.record.is_learning() {
                        self.record.learn(buf, pos, header, Content::Array(len));
                    }
                    let cost = len * ELEMENT_BYTES;
                    if room < cost + pos + header || self.outer.len() >= self.limits.depth {
                        break false;
                    }
                    room -= cost;
                    pos += header;
                    self.outer.push(left - 1);
                    left = len as Left;
                }
            } else {
                break false;
            }
            while left == 0 {
                match self.outer.pop() {
                    Some(outer) => left = outer,
                    None => break 'frame true,
                }
                self.record.closed(self.outer.len());
            }
        };
        self.pos = pos;
        self.left = left;
        self.charged = self.limits.reply_bytes.saturating_sub(room);
        complete
    }
}
