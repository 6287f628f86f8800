//! Random commands on few keys, ids, groups and consumers.

use crate::words::{
    self, bound, consumer, count, group, id, key, min_idle, number, once_in, one, some, text,
};
use bytes::Bytes;
use fastrand::Rng;

/// A step of a history.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A command. An argument `@n` stands for one of the last ids that XADD returned.
    Run(Vec<Bytes>),
    /// A read that waits, on a connection of its own.
    Wait(Vec<Bytes>),
    /// Time that passes.
    Sleep,
}

/// The settings of a history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) node_entries: u64,
    pub(crate) resp3: bool,
}

impl Settings {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let node_entries = rng.choice([2, 3, 5, 100]).expect("there are some");
        Self { node_entries, resp3: rng.bool() }
    }
}

/// Returns a random history.
pub(crate) fn random(rng: &mut Rng, len: usize) -> Vec<Step> {
    let mut steps = Vec::with_capacity(len);
    steps.push(Step::Run(request(&["SET", "s", "text"])));
    let fill = once_in(rng, 12).then(|| Fill::random(rng));
    while steps.len() < len {
        match fill {
            Some(fill) if !once_in(rng, 6) => steps.push(fill.step(rng)),
            _ if once_in(rng, 40) => steps.extend(wait(rng)),
            _ if once_in(rng, 500) => steps.push(Step::Sleep),
            _ => {
                let command = command(rng, steps.len());
                steps.push(Step::Run(distort(rng, command)));
            }
        }
    }
    steps
}

/// Returns a read that waits, often of an empty group and with what may end the wait.
fn wait(rng: &mut Rng) -> Vec<Step> {
    let of_group = rng.bool();
    let any = read(of_group, rng, true);
    let (key, group) = (key(rng), group(rng));
    if !of_group || once_in(rng, 3) {
        return vec![Step::Wait(distort(rng, any))];
    }
    let mut steps = vec![
        Step::Run(request(&["XGROUP", "CREATE", key, group, "0", "MKSTREAM"])),
        Step::Run(request(&["XREADGROUP", "GROUP", group, "a", "STREAMS", key, ">"])),
    ];
    let mut read = vec!["XREADGROUP", "GROUP", group, "b", "BLOCK", "0"];
    if rng.bool() {
        read.extend(["CLAIM", "30000"]);
    }
    read.extend(["STREAMS", key, ">"]);
    steps.push(Step::Wait(request(&read)));
    steps.push(Step::Run(match rng.u32(..6) {
        0 => request(&["DEL", key]),
        1 => request(&["SET", key, "text"]),
        2 => request(&["XGROUP", "DESTROY", key, group]),
        3 => request(&["XGROUP", "SETID", key, group, "0"]),
        4 => request(&["XNACK", key, group, "SILENT", "IDS", "2", "@0", "@1", "FORCE"]),
        _ => request(&["XCLAIM", key, group, "a", "0", "@0", "@1", "FORCE"]),
    }));
    steps
}

/// A history that fills nodes of many bytes, with entries of one kind.
#[derive(Debug, Clone, Copy)]
struct Fill {
    fields: usize,
    /// The longest text. `None`: numbers below this power of two.
    text: Option<usize>,
    bits: u32,
}

impl Fill {
    fn random(rng: &mut Rng) -> Self {
        let text = rng.choice([10, 200, 1000, 4200]).filter(|_| rng.bool());
        Self { fields: rng.usize(1..20), text, bits: rng.u32(1..64) }
    }

    fn step(self, rng: &mut Rng) -> Step {
        let fields = if once_in(rng, 10) { 1 } else { self.fields };
        let value = |rng: &mut Rng| match self.text {
            Some(len) => "x".repeat(rng.usize(..=len / fields)),
            None => (rng.i64(..) >> (64 - self.bits)).to_string(),
        };
        match rng.u32(..8) {
            0 => Step::Run(request(&["XINFO", "STREAM", "k"])),
            1 => Step::Run(request(&["XDEL", "k", "@1"])),
            _ => {
                let mut words = request(&["XADD", "k", "*"]);
                for _ in 0..fields {
                    words.push(Bytes::from(one(rng, &["a", "100", "70000"])));
                    words.push(Bytes::from(value(rng)));
                }
                Step::Run(words)
            }
        }
    }
}

fn request(words: &[&str]) -> Vec<Bytes> {
    words.iter().map(|word| Bytes::from((*word).to_owned())).collect()
}

/// Makes a request wrong, rarely.
fn distort(rng: &mut Rng, words: Vec<String>) -> Vec<Bytes> {
    let mut words = words;
    match rng.u32(..100) {
        0 => drop(words.pop()),
        1 => {
            let index = rng.usize(..words.len());
            words.remove(index);
        }
        2 => {
            let index = rng.usize(1..=words.len());
            let word = one(
                rng,
                &["FOO", "COUNT", "IDS", "1-0", "", "JUSTID", "MAXLEN", "KEEPREF", "*", "NOACK"],
            );
            words.insert(index, word.to_owned());
        }
        3 => {
            let index = rng.usize(..words.len());
            words[index] = words[index].to_lowercase();
        }
        _ => {}
    }
    if words.is_empty() {
        words.push("FOO".to_owned());
    }
    words.into_iter().map(Bytes::from).collect()
}

/// Joins words and lists of words.
macro_rules! line {
    ($($word:expr),* $(; $rest:expr)?) => {{
        #[allow(unused_mut, reason = "some commands have no list")]
        let mut line = vec![$($word.to_string()),*];
        $(line.extend($rest.into_iter().map(|word| word.to_string()));)?
        line
    }};
}

fn command(rng: &mut Rng, nth: usize) -> Vec<String> {
    match rng.u32(..100) {
        0..22 => xadd(rng, nth),
        22..26 => line!["XTRIM", key(rng); shuffled(trim(rng), rng)],
        26..30 => line!["XDEL", key(rng); ids(rng)],
        30..34 => line!["XDELEX", key(rng); policy_ids(rng)],
        34..38 => line!["XACK", key(rng), group(rng); ids(rng)],
        38..42 => line!["XACKDEL", key(rng), group(rng); policy_ids(rng)],
        42..44 => range(rng),
        44..47 => read(false, rng, false),
        47..60 => read(true, rng, false),
        60..65 => pending(rng),
        65..70 => claim(rng),
        70..74 => auto_claim(rng),
        74..79 => nack(rng),
        79..87 => xgroup(rng),
        87..95 => xinfo(rng),
        95..97 => set_id(rng),
        97..99 => idmp(rng),
        _ => keys(rng),
    }
}

fn fields(rng: &mut Rng) -> Vec<String> {
    let pairs = if once_in(rng, 5) { rng.usize(1..4) } else { 1 };
    (0..pairs)
        .flat_map(|_| [one(rng, &["a", "a", "a", "b", "name", "1"]).to_owned(), text(rng)])
        .collect()
}

/// An id for a new entry, mostly above those before: it grows with the history.
fn new_id(rng: &mut Rng, nth: usize) -> String {
    let above = nth / 4;
    match rng.u32(..100) {
        0..3 => "*".to_owned(),
        3..8 => format!("{above}-*"),
        8..12 => id(rng),
        12..16 => format!("{}-{}", rng.u32(1..40), rng.u32(..2)),
        _ => format!("{above}-{}", nth % 4),
    }
}

fn xadd(rng: &mut Rng, nth: usize) -> Vec<String> {
    let mut options = Vec::new();
    if once_in(rng, 4) {
        options.push(trim(rng));
    }
    if once_in(rng, 12) {
        options.push(line!["NOMKSTREAM"]);
    }
    let mut automatic = false;
    if once_in(rng, 8) {
        automatic = true;
        let producer = one(rng, &["p", "p", "p", "q", "q", ""]);
        options.push(if rng.bool() {
            line!["IDMP", producer, one(rng, &["i", "j", "l", "i", "j", ""])]
        } else {
            line!["IDMPAUTO", producer]
        });
    }
    let new = if automatic && !once_in(rng, 8) { "*".to_owned() } else { new_id(rng, nth) };
    rng.shuffle(&mut options);
    let options = options.concat();
    line!["XADD", key(rng); options.into_iter().chain([new]).chain(fields(rng))]
}

/// The options of trimming, of which those of the strategy stay together.
fn trim(rng: &mut Rng) -> Vec<String> {
    let threshold = match rng.u32(..20) {
        0 => number(rng).to_owned(),
        1 => id(rng),
        _ => rng.u32(..8).to_string(),
    };
    let mut words = vec![line![one(rng, &["MAXLEN", "MINID"])]];
    let sign = one(rng, &["~", "~", "=", ""]);
    let id_or_len = if words[0][0] == "MINID" && rng.bool() { id(rng) } else { threshold };
    words[0].extend(Some(sign.to_owned()).filter(|sign| !sign.is_empty()));
    words[0].push(id_or_len);
    if sign == "~" && once_in(rng, 3) || once_in(rng, 40) {
        words.push(line![
            "LIMIT",
            one(rng, &["0", "1", "2", "3", "4", "5", "10", "100", "-1", "a"])
        ]);
    }
    if once_in(rng, 3) {
        words.push(line![one(rng, &["KEEPREF", "DELREF", "ACKED"])]);
    }
    rng.shuffle(&mut words);
    words.concat()
}

fn shuffled(words: Vec<String>, rng: &mut Rng) -> Vec<String> {
    if once_in(rng, 40) { words.into_iter().rev().collect() } else { words }
}

fn ids(rng: &mut Rng) -> Vec<String> {
    let number = rng.usize(1..4);
    (0..number).map(|_| id(rng)).collect()
}

/// `IDS n id [id ...]`
fn listed(rng: &mut Rng) -> Vec<String> {
    let ids = ids(rng);
    let number = if once_in(rng, 30) { number(rng).to_owned() } else { ids.len().to_string() };
    line!["IDS", number; ids]
}

fn policy_ids(rng: &mut Rng) -> Vec<String> {
    let mut parts = vec![listed(rng)];
    if once_in(rng, 2) {
        parts.push(line![one(rng, &["KEEPREF", "DELREF", "ACKED"])]);
    }
    rng.shuffle(&mut parts);
    parts.concat()
}

fn range(rng: &mut Rng) -> Vec<String> {
    let count = if rng.bool() { line!["COUNT", count(rng)] } else { line![] };
    match rng.u32(..8) {
        0 => line!["XLEN", key(rng)],
        1..4 => line!["XREVRANGE", key(rng), bound(rng), bound(rng); count],
        _ => line!["XRANGE", key(rng), bound(rng), bound(rng); count],
    }
}

fn read(of_group: bool, rng: &mut Rng, waits: bool) -> Vec<String> {
    let mut options = vec![line!["COUNT", count(rng)]];
    options.push(line!["MAXCOUNT", count(rng)]);
    options
        .push(line!["MAXSIZE", one(rng, &["1", "40", "60", "90", "150", "400", "0", "-1", "a"])]);
    if of_group {
        options.push(line!["NOACK"]);
        options.push(line!["CLAIM", min_idle(rng)]);
    }
    let mut options = some(rng, options, 4);
    if of_group {
        options.push(line!["GROUP", group(rng), consumer(rng)]);
    }
    if waits {
        options.push(line!["BLOCK", "0"]);
    } else if once_in(rng, 30) {
        options.push(line!["BLOCK", one(rng, &["-1", "a", "", "9223372036854775808"])]);
    }
    rng.shuffle(&mut options);
    let number = if once_in(rng, 3) { 2 } else { 1 };
    let keys: Vec<_> = (0..number).map(|_| key(rng)).collect();
    let froms: Vec<_> = (0..number)
        .map(|_| match rng.u32(..20) {
            0 => one(rng, &["$", ">", "+", "0"]).to_owned(),
            1..3 if !of_group => "+".to_owned(),
            3..6 if !of_group => "$".to_owned(),
            6..14 if of_group => ">".to_owned(),
            14..17 => "0".to_owned(),
            _ => id(rng),
        })
        .collect();
    let name = if of_group { "XREADGROUP" } else { "XREAD" };
    let mut line = line![name; options.concat()];
    line.push("STREAMS".to_owned());
    line.extend(keys.into_iter().map(str::to_owned));
    line.extend(froms);
    line
}

fn pending(rng: &mut Rng) -> Vec<String> {
    let mut line = line!["XPENDING", key(rng), group(rng)];
    if once_in(rng, 4) {
        return line;
    }
    if once_in(rng, 4) {
        line.extend(line!["IDLE", min_idle(rng)]);
    }
    line.extend(line![bound(rng), bound(rng), count(rng)]);
    if once_in(rng, 3) {
        line.push(consumer(rng).to_owned());
    }
    line
}

fn claim(rng: &mut Rng) -> Vec<String> {
    let options = vec![
        line!["IDLE", one(rng, &["0", "5000", "60000", "-5", "a", "9223372036854775807"])],
        line!["TIME", one(rng, &["0", "1000", "2000", "-5", "9000000000000", "a"])],
        line!["RETRYCOUNT", number(rng)],
        line!["FORCE"],
        line!["JUSTID"],
        line!["LASTID", id(rng)],
    ];
    let options = some(rng, options, 4).concat();
    let ids = ids(rng);
    line!["XCLAIM", key(rng), group(rng), consumer(rng), min_idle(rng); ids.into_iter().chain(options)]
}

fn auto_claim(rng: &mut Rng) -> Vec<String> {
    let start = match rng.u32(..4) {
        0 => bound(rng),
        1 => id(rng),
        _ => "0".to_owned(),
    };
    let options = vec![line!["COUNT", count(rng)], line!["JUSTID"]];
    let options = some(rng, options, 2).concat();
    line!["XAUTOCLAIM", key(rng), group(rng), consumer(rng), min_idle(rng), start; options]
}

fn nack(rng: &mut Rng) -> Vec<String> {
    let mut parts = vec![line!["RETRYCOUNT", number(rng)], line!["FORCE"]];
    parts = some(rng, parts, 4);
    parts.push(listed(rng));
    if once_in(rng, 20) {
        rng.shuffle(&mut parts);
    } else {
        parts.reverse();
    }
    let mode = one(rng, &["SILENT", "FAIL", "FATAL", "FAIL", "SILENT", "FAIL", "OTHER"]);
    line!["XNACK", key(rng), group(rng), mode; parts.concat()]
}

fn xgroup(rng: &mut Rng) -> Vec<String> {
    let (key, group) = (key(rng), group(rng));
    let id = match rng.u32(..6) {
        0 => "$".to_owned(),
        1 => id(rng),
        _ => "0".to_owned(),
    };
    let read = line!["ENTRIESREAD", number(rng)];
    match rng.u32(..30) {
        0..14 => {
            let options = vec![line!["MKSTREAM"], read];
            let mut options = some(rng, options, 4);
            if rng.bool() {
                options.push(line!["MKSTREAM"]);
            }
            line!["XGROUP", "CREATE", key, group, id; options.concat()]
        }
        14..18 => line!["XGROUP", "SETID", key, group, id; some(rng, vec![read], 3).concat()],
        18..20 => line!["XGROUP", "DESTROY", key, group],
        20..25 => line!["XGROUP", "CREATECONSUMER", key, group, consumer(rng)],
        25..28 => line!["XGROUP", "DELCONSUMER", key, group, consumer(rng)],
        28 => line!["XGROUP", "HELP"],
        _ => line!["XGROUP", "FOO", key],
    }
}

fn xinfo(rng: &mut Rng) -> Vec<String> {
    let key = key(rng);
    match rng.u32(..30) {
        0..6 => line!["XINFO", "STREAM", key],
        6..8 => line!["XINFO", "STREAM", key, "FULL", "COUNT", count(rng)],
        8..16 => line!["XINFO", "STREAM", key, "FULL"],
        16..22 => line!["XINFO", "GROUPS", key],
        22..28 => line!["XINFO", "CONSUMERS", key, group(rng)],
        28 => line!["XINFO", "HELP"],
        _ => line!["XINFO", "FOO", key],
    }
}

fn set_id(rng: &mut Rng) -> Vec<String> {
    let options = vec![line!["ENTRIESADDED", number(rng)], line!["MAXDELETEDID", id(rng)]];
    let options = some(rng, options, 3).concat();
    line!["XSETID", key(rng), id(rng); options]
}

fn idmp(rng: &mut Rng) -> Vec<String> {
    match rng.u32(..4) {
        0 => {
            let options = vec![
                line!["IDMP-DURATION", one(rng, &["50", "100", "0", "86401", "a"])],
                line!["IDMP-MAXSIZE", one(rng, &["1", "2", "100", "0", "10001", "a"])],
            ];
            line!["XCFGSET", key(rng); some(rng, options, 2).concat()]
        }
        _ => {
            let (producer, iid) = (one(rng, &["p", "q", ""]), one(rng, &["i", "j", "m", ""]));
            line!["XIDMPRECORD", key(rng), producer, iid, id(rng)]
        }
    }
}

fn keys(rng: &mut Rng) -> Vec<String> {
    let conditions = vec![line!["NX"], line!["XX"], line!["GT"], line!["LT"]];
    match rng.u32(..20) {
        0..4 => line!["DEL", key(rng), key(rng)],
        4 => line!["UNLINK", key(rng)],
        5..7 => line!["SET", key(rng), text(rng)],
        7 => line!["GET", key(rng)],
        8..10 => line!["EXISTS", key(rng), key(rng)],
        10..12 => line!["TYPE", key(rng)],
        12 => line!["DBSIZE"],
        13 => line!["PERSIST", key(rng)],
        14 => line![one(rng, &["TTL", "PTTL"]), "none"],
        15 => line!["TTL", key(rng)],
        16 => line![
            one(rng, &["EXPIRE", "PEXPIRE"]),
            key(rng),
            one(rng, &["0", "-1", "a", "9223372036854775807"])
        ],
        17 => {
            line!["EXPIRE", key(rng), words::one(rng, &["1000", "2000", "3000"]); some(rng, conditions, 4).concat()]
        }
        18 => line![one(rng, &["FOO", "XFOO", "XNACK", "XDELEX"]), "a", "b"],
        _ => line!["FLUSHDB"],
    }
}
