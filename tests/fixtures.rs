//! Every reply captured from a server decodes to its recorded value.
//!
//! `tests/fixtures/README.md` describes the cases.

// For clippy, which allows an index that may panic only in code under `cfg(test)`.
#[cfg(test)]
mod fixtures_support;

use bourn::resp::{Frame, Limits, ProtocolError, Scanner, Value};
use fixtures_support::decoders::{How, RAW, TYPED, check};
use fixtures_support::meaning::Means;
use fixtures_support::tree::shows;
use fixtures_support::{Case, FOLDERS, cases};
use std::collections::{BTreeMap, BTreeSet};

/// The number of cases, so that a lost one is noticed.
const CASES: usize = 2823;

/// Returns the bytes of each frame, as the scanner splits the whole file.
fn frames(case: &Case) -> Result<Vec<&[u8]>, ProtocolError> {
    let mut scanner = Scanner::new(Limits::default());
    let (mut frames, mut rest) = (Vec::new(), case.bytes.as_slice());
    while let Some(len) = scanner.scan(rest)? {
        let (frame, behind) = rest.split_at(len);
        frames.push(frame);
        rest = behind;
    }
    Ok(frames)
}

/// Returns the same for bytes that arrive one at a time.
fn frames_byte_by_byte(case: &Case) -> Result<Vec<&[u8]>, ProtocolError> {
    let mut scanner = Scanner::new(Limits::default());
    let (mut frames, mut start) = (Vec::new(), 0);
    for end in 1..=case.bytes.len() {
        let come = case.bytes.get(start..end).unwrap_or_default();
        if let Some(len) = scanner.scan(come)? {
            assert_eq!(len, come.len(), "{}: a frame ends before its last byte", case.label);
            frames.push(come);
            start = end;
        }
    }
    Ok(frames)
}

/// Returns the value and length of each frame, as the reference parser reads them.
fn values(case: &Case) -> Result<Vec<(Value, usize)>, ProtocolError> {
    let (mut values, mut rest) = (Vec::new(), case.bytes.as_slice());
    while let Some((value, len)) = Value::parse(rest, Limits::default())? {
        values.push((value, len));
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(values)
}

/// Runs the check over every case, and reports all failures together.
fn for_every(
    cases: impl Iterator<Item = &'static Case>,
    check: impl Fn(&Case) -> Result<(), String>,
) {
    let failed = |case: &Case| check(case).err().map(|why| format!("{}: {why}", case.label));
    let failures: Vec<_> = cases.filter_map(failed).collect();
    let shown = failures.get(..50).unwrap_or(&failures).join("\n");
    assert!(failures.is_empty(), "{} failed:\n{shown}", failures.len());
}

fn whole() -> impl Iterator<Item = &'static Case> {
    cases().filter(|case| case.is_whole())
}

#[test]
fn scanner_splits_every_file_into_frames_in_any_chunks() {
    for_every(whole(), |case| {
        let frames = frames(case).map_err(|error| error.to_string())?;
        let listed = case.frames().map_or(1, <[_]>::len);
        if frames.len() != listed {
            return Err(format!("{} frames, not {listed}", frames.len()));
        }
        if frames.concat() != case.bytes {
            return Err("bytes are left over".to_owned());
        }
        for (frame, tree) in frames.iter().zip(case.frames().unwrap_or_default()) {
            let parsed = Frame::parse(frame.to_vec(), Limits::default());
            let parsed = parsed.map_err(|error| error.to_string())?;
            if parsed.as_bytes() != *frame || parsed.is_push() != (tree[0] == ">") {
                return Err(format!("{parsed:?} is not {tree}"));
            }
        }
        let one_by_one = frames_byte_by_byte(case).map_err(|error| error.to_string())?;
        if one_by_one != frames {
            return Err("byte by byte the frames are others".to_owned());
        }
        Ok(())
    });
}

#[test]
fn reference_parser_reads_every_frame_as_its_tree() {
    for_every(whole(), |case| {
        let values = values(case).map_err(|error| error.to_string())?;
        let lengths: Vec<_> = values.iter().map(|(_, len)| *len).collect();
        let scanned = frames(case).map_err(|error| error.to_string())?;
        if lengths != scanned.iter().map(|frame| frame.len()).collect::<Vec<_>>() {
            return Err(format!("lengths {lengths:?} are not the scanner's"));
        }
        let Some(trees) = case.frames() else {
            let same = values.iter().all(|(value, _)| value.means(case.value()));
            return if same { Ok(()) } else { Err("the tree means something else".to_owned()) };
        };
        if values.len() != trees.len() {
            return Err(format!("{} frames, not {}", values.len(), trees.len()));
        }
        for ((value, _), tree) in values.iter().zip(trees) {
            if !shows(tree, value) {
                return Err(format!("{value:?} is not {tree}"));
            }
        }
        Ok(())
    });
}

#[test]
fn every_reply_decodes_to_its_recorded_value() {
    let mut table = BTreeMap::<&str, BTreeMap<&str, usize>>::new();
    let (mut typed, mut errors, mut trees, mut bytes_only) = (0, 0, 0, 0);
    let mut used = BTreeSet::new();
    let mut failures = Vec::new();
    for folder in FOLDERS.iter() {
        let row = table.entry(&folder.server).or_default();
        row.insert(folder.protocol, folder.cases.len());
        for case in &folder.cases {
            if !case.is_whole() {
                bytes_only += 1;
                continue;
            }
            let frame = frames(case).expect("the scanner's test has passed");
            let frame = frame.get(case.at()).expect("the frame that answers is there").to_vec();
            let frame = Frame::parse(frame, Limits::default()).expect("it is one frame");
            match check(case, frame) {
                Ok(How::Typed(names)) => {
                    typed += 1;
                    used.extend(names);
                }
                Ok(How::Error) => errors += 1,
                Ok(How::Tree) => trees += 1,
                Err(why) => failures.push(format!("{}: {why}", case.label)),
            }
        }
    }
    println!("{:<14}{:>7}{:>7}", "server", "RESP2", "RESP3");
    for (server, row) in &table {
        let count = |protocol| row.get(protocol).copied().unwrap_or_default();
        println!("{server:<14}{:>7}{:>7}", count("resp2"), count("resp3"));
    }
    let total: usize = table.values().flat_map(BTreeMap::values).sum();
    println!(
        "{total} cases: {typed} by the decoder of their command, {errors} errors, {trees} as a \
         tree, {bytes_only} broken or cut"
    );
    let shown = failures.get(..50).unwrap_or(&failures).join("\n");
    assert!(failures.is_empty(), "{} failed:\n{shown}", failures.len());
    assert_eq!(total, CASES);
    assert_eq!(total, typed + errors + trees + bytes_only);
    let unused = TYPED.iter().map(|decoder| decoder.name).filter(|name| !used.contains(name));
    assert_eq!(unused.collect::<Vec<_>>(), [""; 0], "no reply was decoded by these");
}

#[test]
fn every_file_belongs_to_a_case_and_every_case_has_its_file() {
    for folder in FOLDERS.iter() {
        let mut named: Vec<_> =
            folder.cases.iter().filter_map(|case| case.json["file"].as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, folder.files, "{}/{}", folder.server, folder.protocol);
    }
    assert_eq!(cases().count(), CASES);
}

#[test]
fn malformed_bytes_are_refused_whole_and_byte_by_byte() {
    let rows = [
        ("bad_type", ProtocolError::UnknownType { byte: b'@' }),
        ("bad_length", ProtocolError::Length),
        ("bad_negative", ProtocolError::Length),
        ("bad_blob_end", ProtocolError::Body),
        ("bad_integer", ProtocolError::Number),
    ];
    let broken = cases().filter(|case| case.kind() == "protocol_error");
    assert_eq!(broken.count(), rows.len());
    for (name, expected) in rows {
        let label = format!("handmade/resp3/{name}");
        let case = cases().find(|case| case.label == label).expect("the case is there");
        assert_eq!(frames(case), Err(expected.clone()), "{name}");
        assert_eq!(frames_byte_by_byte(case), Err(expected.clone()), "{name}");
        assert_eq!(values(case), Err(expected.clone()), "{name}");
        let cut = |end| case.bytes.get(..end).unwrap_or_default();
        let mut results =
            (0..=case.bytes.len()).map(|end| Value::parse(cut(end), Limits::default()));
        assert_eq!(results.find(|result| *result != Ok(None)), Some(Err(expected)), "{name}");
    }
}

#[test]
fn truncated_bytes_are_incomplete() {
    let mut count = 0;
    for case in cases().filter(|case| case.kind() == "incomplete") {
        count += 1;
        let mut scanner = Scanner::new(Limits::default());
        assert_eq!(scanner.clone().scan(&case.bytes), Ok(None), "{}", case.label);
        for end in 0..=case.bytes.len() {
            let cut = case.bytes.get(..end).unwrap_or_default();
            assert_eq!(scanner.scan(cut), Ok(None), "{}", case.label);
            assert_eq!(Value::parse(cut, Limits::default()), Ok(None), "{}", case.label);
        }
    }
    assert_eq!(count, 3);
}

#[test]
fn decoders_refuse_other_commands_replies_without_panicking() {
    for_every(whole(), |case| {
        let frames = frames(case).map_err(|error| error.to_string())?;
        let mut ahead: Vec<_> =
            frames.iter().map(|bytes| Frame::parse(bytes.to_vec(), Limits::default())).collect();
        while let Some(frame) = ahead.pop() {
            let frame = frame.map_err(|error| error.to_string())?;
            let value = Value::from(&frame);
            for decoder in TYPED.iter().chain([&RAW]) {
                if decoder.is_taken_in(&frame, &value) {
                    return Err(format!("{} takes {frame:?}", decoder.name));
                }
            }
            // The elements are checked as replies, too.
            if let Ok(Some(elements)) = frame.elements() {
                ahead.extend(elements.into_iter().map(Ok));
            }
        }
        Ok(())
    });
}
