//! Delivers entries to a reader or to a consumer of a group. No I/O.

use super::call::Call;
use super::stream::{Group, Nodes, Stream, as_signed, as_unsigned};
use super::{Release, Reply, entries};
use crate::id::EntryId;
use bytes::Bytes;

/// The consumer that reads.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) group: Bytes,
    pub(super) consumer: Bytes,
    pub(super) no_ack: bool,
    /// The idle time in milliseconds from which pending entries are claimed.
    pub(super) claim: Option<i64>,
}

/// The capacity that is left in a reply.
#[derive(Debug)]
pub(super) struct Budget {
    /// The entries of all streams: MAXCOUNT.
    entries: usize,
    /// The bytes of the reply: MAXSIZE.
    bytes: Option<usize>,
    written: usize,
    resp3: bool,
    any: bool,
}

impl Budget {
    pub(super) fn new(entries: Option<usize>, bytes: Option<usize>, resp3: bool) -> Self {
        let entries = entries.unwrap_or(usize::MAX);
        Self { entries, bytes, written: 0, resp3, any: false }
    }

    /// Whether no other stream is read.
    pub(super) fn is_over(&self) -> bool {
        self.entries == 0 || self.any && self.bytes.is_some_and(|most| self.written >= most)
    }

    /// Counts what comes before the entries of a stream.
    pub(super) fn open(&mut self, key: &Bytes) {
        if self.bytes.is_some() {
            self.written += if self.resp3 { 0 } else { 4 };
            self.count(&Reply::Bulk(key.clone()));
        }
    }

    /// Counts the length of a stream's entries, which the server knows at their end.
    pub(super) fn close(&mut self, entries: usize) {
        if self.bytes.is_some() {
            self.written += 3 + entries.to_string().len();
        }
    }

    /// Takes an entry. Whether there was room.
    fn take(&mut self, entry: &Reply) -> bool {
        if self.is_over() {
            return false;
        }
        self.entries -= 1;
        self.any = true;
        if self.bytes.is_some() {
            self.count(entry);
        }
        true
    }

    fn count(&mut self, reply: &Reply) {
        let mut bytes = Vec::new();
        reply.write(self.resp3, &mut bytes);
        self.written += bytes.len();
    }
}

/// Returns the entries after an id.
pub(super) fn entries_after(
    nodes: &Nodes,
    after: EntryId,
    limit: usize,
    budget: &mut Budget,
) -> Vec<Reply> {
    let Some(start) = after.next() else { return Vec::new() };
    let entries = nodes.range(start, EntryId::MAX).take(limit).map(entries::entry);
    entries.take_while(|entry| budget.take(entry)).collect()
}

/// Returns a consumer's own pending entries after an id, and counts each as delivered once more.
pub(super) fn history(
    call: &Call<'_>,
    stream: &mut Stream,
    reader: &Reader,
    after: EntryId,
    limit: usize,
    budget: &mut Budget,
) -> Vec<Reply> {
    let nodes = &stream.nodes;
    let Some(group) = stream.groups.get_mut(&reader.group) else { return Vec::new() };
    let Some(consumer) = group.consumers.get(&reader.consumer) else { return Vec::new() };
    let Some(start) = after.next() else { return Vec::new() };
    let ids: Vec<_> = consumer.pending.range(start..).take(limit).copied().collect();
    let mut delivered = Vec::new();
    for id in ids {
        let fields = nodes.get(id);
        let entry = match fields {
            Some(fields) => entries::entry((id, fields)),
            None => Reply::Array(vec![entries::id(id), Reply::NullArray]),
        };
        if !budget.take(&entry) {
            break;
        }
        delivered.push(entry);
        let count = group.pending(id).map(|pending| pending.count);
        if let (Some(count), Some(_)) = (count, fields) {
            group.set(id, Some(&reader.consumer), call.now, call.release.increase(count));
        }
    }
    delivered
}

/// Claims the pending entries that are old enough, and returns them with their idle time and count.
pub(super) fn claimed(
    call: &Call<'_>,
    stream: &mut Stream,
    reader: &Reader,
    limit: usize,
    budget: &mut Budget,
) -> Vec<Reply> {
    let nodes = &stream.nodes;
    let (Some(group), Some(min_idle)) = (stream.groups.get_mut(&reader.group), reader.claim) else {
        return Vec::new();
    };
    let until = call.now.saturating_sub(min_idle);
    let ids = claimable(group, nodes).take_while(|(time, _)| *time <= until).take(limit);
    let ids: Vec<_> = ids.collect();
    let mut delivered = Vec::new();
    for (time, id) in ids {
        let Some((fields, count)) =
            nodes.get(id).zip(group.pending(id).map(|pending| pending.count))
        else {
            continue;
        };
        let entry = Reply::Array(vec![
            entries::id(id),
            entries::fields(fields),
            Reply::Integer(call.now - time),
            Reply::Integer(count),
        ]);
        if !budget.take(&entry) {
            break;
        }
        delivered.push(entry);
        group.consumer(&reader.consumer, call.now).active = Some(call.now);
        group.set(id, Some(&reader.consumer), call.now, call.release.increase(count));
    }
    delivered
}

/// Returns the pending entries whose body is there, with the time of the last delivery, in its
/// order.
pub(super) fn claimable(group: &Group, nodes: &Nodes) -> impl Iterator<Item = (i64, EntryId)> {
    group.by_time().filter(|(_, id)| nodes.get(*id).is_some())
}

/// Returns the entries that were never delivered to the group, and makes them pending.
pub(super) fn new_entries(
    call: &Call<'_>,
    stream: &mut Stream,
    reader: &Reader,
    limit: usize,
    budget: &mut Budget,
) -> Vec<Reply> {
    let Some(last) = stream.groups.get(&reader.group).map(|group| group.last_id) else {
        return Vec::new();
    };
    let Some(start) = last.next() else { return Vec::new() };
    let with_counts = reader.claim.is_some();
    let range = stream.nodes.range(start, EntryId::MAX).take(limit).map(|(id, fields)| {
        let mut entry = vec![entries::id(id), entries::fields(fields)];
        if with_counts {
            entry.extend([Reply::Integer(0), Reply::Integer(0)]);
        }
        (id, Reply::Array(entry))
    });
    let taken: Vec<_> = range.take_while(|(_, entry)| budget.take(entry)).collect();
    let (mut ids, mut delivered) = (Vec::new(), Vec::new());
    for (id, entry) in taken {
        ids.push(id);
        delivered.push(entry);
    }
    for id in ids {
        deliver(call, stream, reader, id);
    }
    delivered
}

/// Records a new entry as delivered.
fn deliver(call: &Call<'_>, stream: &mut Stream, reader: &Reader, id: EntryId) {
    // Before, the counter was increased if there was no gap after the entry itself.
    let is_newer = call.release.is_valkey() || call.has(Release::Redis8_2);
    let last = stream.groups.get(&reader.group).map_or(id, |group| group.last_id);
    let gap = stream.has_gap_from(if is_newer { last } else { id }, call.release);
    let first = stream.first_id();
    let added = stream.added_up_to(id, call.release);
    let has_added = stream.entries_added > 0;
    let Some(group) = stream.groups.get_mut(&reader.group) else { return };
    if id > group.last_id {
        match group.entries_read {
            Some(read) if !(gap || is_newer && group.last_id < first) => {
                group.entries_read = Some(as_unsigned(call.release.increase(as_signed(read))))
            }
            _ if has_added => group.entries_read = added,
            _ => {}
        }
    }
    let last = group.last_id.max(id);
    let Some(group) = stream.move_group(&reader.group, last) else { return };
    if !reader.no_ack {
        group.consumer(&reader.consumer, call.now).active = Some(call.now);
        group.set(id, Some(&reader.consumer), call.now, 1);
    }
}

/// Creates the consumer if it does not exist, and records that it was seen.
pub(super) fn see(call: &Call<'_>, stream: &mut Stream, reader: &Reader) {
    if let Some(group) = stream.groups.get_mut(&reader.group) {
        group.consumer(&reader.consumer, call.now).seen = call.now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of entries of each of two streams with three entries that MAXSIZE lets
    /// through. An entry takes 31 bytes.
    fn read(resp3: bool, most: usize) -> [usize; 2] {
        let entry = Reply::Array(vec![
            Reply::text("1-0"),
            Reply::Array(vec![Reply::text("a"), Reply::text("1")]),
        ]);
        let mut budget = Budget::new(None, Some(most), resp3);
        [(); 2].map(|()| {
            if budget.is_over() {
                return 0;
            }
            budget.open(&Bytes::from_static(b"k"));
            let taken = (0..3).take_while(|_| budget.take(&entry)).count();
            budget.close(taken);
            taken
        })
    }

    #[test]
    fn maxsize_counts_the_bytes_that_came_before_an_entry() {
        // Measured on Redis 8.10.
        for (resp3, most, want) in [
            (false, 1, [1, 0]),
            (false, 42, [1, 0]),
            (false, 43, [2, 0]),
            (false, 73, [2, 0]),
            (false, 74, [3, 0]),
            (false, 119, [3, 0]),
            (false, 120, [3, 1]),
            (false, 150, [3, 1]),
            (false, 151, [3, 2]),
            (true, 38, [1, 0]),
            (true, 39, [2, 0]),
            (true, 111, [3, 0]),
            (true, 112, [3, 1]),
        ] {
            assert_eq!(read(resp3, most), want, "RESP3 {resp3}, MAXSIZE {most}");
        }
    }
}
