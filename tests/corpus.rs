//! The properties of the fuzz targets, without a fuzzer: every corpus input, and 20,000 mutations.
//!
//! The mutations are the same on each run. With `BOURN_FUZZ_SECONDS` set, each target instead runs
//! for that time with random ones; `scripts/fuzz` does so without a nightly compiler.

#[path = "../fuzz/src/lib.rs"]
pub mod fuzz;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

/// The number of mutations for each target.
const MADE: usize = 20_000;

/// The maximum length of a mutation.
const MOST_BYTES: usize = 4096;

#[test]
fn scanner_corpus_holds() {
    replay("scanner", fuzz::scanner::holds);
}

#[test]
fn command_corpus_holds() {
    replay("replies", fuzz::replies::holds);
}

#[test]
fn entry_id_corpus_holds() {
    replay("entry_id", fuzz::entry_id::holds);
}

#[test]
fn url_corpus_holds() {
    replay("url", fuzz::url::holds);
}

fn replay(target: &str, holds: fn(&[u8])) {
    let corpus = corpus(target);
    for (file, input) in &corpus {
        run(file, input, holds);
    }
    let words = dictionary();
    let (mut made, mut random) = (0, Random(0x9E37_79B9_7F4A_7C15));
    let seconds = env::var("BOURN_FUZZ_SECONDS").map(|n| n.parse().expect("BOURN_FUZZ_SECONDS"));
    match seconds.map(Duration::from_secs) {
        Ok(time) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            random.0 ^= u64::from(now.subsec_nanos()) << 20 | now.as_secs();
            let begin = Instant::now();
            while begin.elapsed() < time {
                run("made", &random.input(&corpus, &words), holds);
                made += 1;
            }
        }
        Err(_) => {
            for _ in 0..MADE {
                run("made", &random.input(&corpus, &words), holds);
                made += 1;
            }
        }
    }
    println!("{target}: {} inputs of the corpus and {made} made from them hold", corpus.len());
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = files.map(|path| (path.display().to_string(), path)).collect();
    files.sort();
    assert!(files.len() > 30, "{target}: the corpus has {} files", files.len());
    files.into_iter().map(|(name, path)| (name, fs::read(path).expect("a file"))).collect()
}

/// Returns the words of `resp.dict`: quoted, with bytes as `\xHH`.
fn dictionary() -> Vec<Vec<u8>> {
    let text = include_str!("../fuzz/resp.dict");
    let words = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    words
        .map(|word| {
            let mut parts = word.split("\\x");
            let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
            for part in parts {
                let (digits, rest) = part.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                bytes.extend_from_slice(rest.as_bytes());
            }
            bytes
        })
        .collect()
}

/// Runs one input, and prints it if the property fails.
fn run(name: &str, input: &[u8], holds: fn(&[u8])) {
    struct Shown<'a>(&'a str, &'a [u8]);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                eprintln!("{}: b\"{}\"", self.0, self.1.escape_ascii());
            }
        }
    }
    let _shown = Shown(name, input);
    holds(input);
}

/// Marsaglia's xorshift: seeded, so that failures are reproducible.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap_or_default()
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        list.get(self.below(list.len())).expect("a list that is not empty")
    }

    /// Returns a corpus input with some changes.
    fn input(&mut self, corpus: &[(String, Vec<u8>)], words: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.one_of(corpus).1.clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = bytes.len().min(at + self.below(12));
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let part = bytes.get(at..end).unwrap_or_default().to_vec();
                    drop(bytes.splice(at..at, part));
                }
                3 => {
                    let other = &self.one_of(corpus).1;
                    let from = self.below(other.len());
                    bytes.truncate(at);
                    bytes.extend_from_slice(other.split_at(from).1);
                }
                4 | 5 => {
                    let word = self.one_of(words).iter().copied();
                    let end = if self.below(2) == 0 { at } else { end };
                    drop(bytes.splice(at..end, word));
                }
                _ => {
                    let byte = self.next().to_le_bytes()[0];
                    if let Some(place) = bytes.get_mut(at) {
                        // One bit, any byte, or the next digit.
                        *place = match byte % 4 {
                            0 => byte,
                            1 => place.wrapping_add(1),
                            _ => *place ^ 1 << (byte >> 5),
                        };
                    }
                }
            }
        }
        bytes.truncate(MOST_BYTES);
        bytes
    }
}
