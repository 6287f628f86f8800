//! What is written to the end of a buffer: all of it, or nothing. Pure.

/// Cuts off what was written if it is not kept, also when writing panics.
pub(super) struct Append<'a> {
    pub(super) out: &'a mut Vec<u8>,
    start: usize,
    kept: bool,
}

impl<'a> Append<'a> {
    pub(super) fn to(out: &'a mut Vec<u8>) -> Self {
        Self { start: out.len(), out, kept: false }
    }

    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Append<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.out.truncate(self.start);
        }
    }
}
