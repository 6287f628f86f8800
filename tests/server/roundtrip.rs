//! Any entry is returned by every read command as it was added.

use crate::both::{Random, id, in_both, refusal};
use bourn::{
    EntryId, EntryRef, GroupFrom, ReadFrom, StartAt, XAdd, XGroupCreate, XRange, XRead, XReadGroup,
};

const ENTRIES: u64 = 1000;

const NO_FIELDS: &str = "err wrong number of arguments for xadd command";

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Up to 200 fields of any bytes. One name in four is a repeated one.
fn fields(random: &mut Random) -> Fields {
    let mut fields = Fields::new();
    for _ in 0..random.below(201) {
        let again = if random.below(4) == 0 { random.pick(&fields) } else { None };
        let name = match again {
            Some((name, _)) => name.clone(),
            None => bytes(random),
        };
        fields.push((name, bytes(random)));
    }
    fields
}

/// Mostly short, some longer, a few longer than any buffer.
fn bytes(random: &mut Random) -> Vec<u8> {
    let len = match random.below(20_000) {
        0 => 200_000,
        1..100 => random.below(5_000),
        _ => random.below(20),
    };
    random.bytes(len)
}

fn same(entry: EntryRef<'_>, fields: &Fields) -> bool {
    let expected = fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    entry.fields().eq(expected)
}

#[test]
fn any_entry_is_returned_as_it_was_added() {
    let seed = Random::seed();
    in_both(async |_, client| {
        let mut random = Random::new(seed);
        // The server refuses an entry without a field.
        let mut drawn = std::iter::repeat_with(|| fields(&mut random));
        let mut sent: Vec<Fields> = Vec::new();
        while (sent.len() as u64) < ENTRIES {
            let fields = drawn.next().expect("it repeats indefinitely");
            if fields.is_empty() {
                let refused = refusal(client.send(XAdd::new("s")).await);
                assert_eq!(refused.to_lowercase().replace('\'', ""), NO_FIELDS);
            } else {
                sent.push(fields);
            }
        }
        client.send(XGroupCreate::new("s", "g", StartAt::START).mk_stream()).await.unwrap();
        for (chunk, first) in sent.chunks(100).zip((1..).step_by(100)) {
            let adds = chunk.iter().zip(first..).map(|(fields, n)| {
                XAdd::new("s").id(id(n)).fields(fields.iter().map(|(name, value)| (name, value)))
            });
            for (added, n) in client.send_all(adds).await.into_iter().zip(first..) {
                assert_eq!(added.unwrap(), id(n));
            }
        }

        let range = client.send(XRange::new("s", ..)).await.unwrap();
        let read = XRead::new().stream("s", ReadFrom::START);
        let read = client.send(read).await.unwrap();
        let mut reader = client.reader().await.unwrap();
        let group = XReadGroup::new("g", "c").stream("s", GroupFrom::New);
        let group = reader.read(group.block_forever()).await.unwrap();
        let ways = [&range, read.get("s").unwrap(), group.get("s").unwrap()];
        for entries in ways {
            assert_eq!(entries.len() as u64, ENTRIES);
            for ((n, entry), fields) in (1..).zip(entries).zip(&sent) {
                assert_eq!(entry.id(), EntryId::new(n, 0));
                assert!(same(entry, fields), "entry {n}");
                let kept = entry.to_entry().detach();
                assert!(same(kept.by_ref(), fields), "entry {n}, detached");
            }
        }
        assert_eq!(ways[0], ways[1]);
        assert_eq!(ways[0], ways[2]);
    });
}
