//! Holds the house to its plan: imports go down only, pure files are pure, no file is long.
//!
//! The sources are read as text. A small lexer drops comments and texts, paths are picked out of what is left, and each
//! is followed through the re-exports on its way to the file that defines the thing: `crate::EntryId` is an import from
//! `id`, and `super::Kind` one from wherever `super` has it from. Paths in doc comments do not count.

#[path = "layers/source.rs"]
mod source;

use source::{Module, PathAt};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Who may import whom. A new arrow is a design change, not a fix to the test.
const ARROWS: [(&str, &[&str]); 13] = [
    ("resp", &[]),
    ("server", &[]),
    ("error", &["resp", "server", "id"]),
    ("id", &["resp"]),
    ("record", &["id"]),
    ("entry", &["resp", "id", "record"]),
    ("command", &["resp", "server", "error", "id", "entry", "record"]),
    ("config", &["resp", "error"]),
    ("connection", &["resp", "server", "error", "command", "config"]),
    ("reader", &["resp", "server", "error", "id", "entry", "command", "config", "connection"]),
    ("client", &["resp", "server", "error", "id", "command", "config", "connection", "reader"]),
    (
        "queue",
        &[
            "resp", "server", "error", "id", "entry", "record", "command", "config", "client",
            "reader",
        ],
    ),
    ("guide", &[]),
];

/// Files and folders that must be pure, and say so.
const PURE: [&str; 23] = [
    "record",
    "resp",
    "server",
    "error",
    "id",
    "entry",
    "command",
    "config",
    "connection/pipeline",
    "connection/handshake",
    "connection/manner",
    "connection/backoff",
    "connection/window",
    "queue/abilities",
    "queue/codec",
    "queue/error",
    "queue/headers",
    "queue/lease",
    "queue/park",
    "queue/plan",
    "queue/retry",
    "queue/settings",
    "queue/worker/fail",
];

/// What awaits in a room that is pure otherwise.
const AWAITING: [&str; 2] = ["resp/codec.rs", "config/runtime.rs"];

/// What a pure file may not name, but in parts that only tests have.
const IMPURE: [&[&str]; 9] = [
    &["tokio"],
    &["tokio_util"],
    &["fastrand"],
    &["socket2"],
    &["std", "net"],
    &["std", "fs"],
    &["std", "thread"],
    &["std", "time", "Instant", "now"],
    &["std", "time", "SystemTime", "now"],
];

const MOST_LINES: usize = 500;

#[test]
fn imports_go_down_and_pure_files_are_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    list(&root, &mut |path, text| files.push((path.to_owned(), text)));
    assert!(files.len() > 40, "only {} files: is this the source?", files.len());
    let wrong = House::new(&files).wrong();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_file_is_long() {
    let mut long = Vec::new();
    for folder in ["src", "tests", "examples", "fuzz", "benches"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        list(&root, &mut |path, text| {
            let lines = text.lines().count();
            if lines > MOST_LINES {
                long.push(format!("{folder}/{path}: {lines} lines"));
            }
        });
    }
    assert!(long.is_empty(), "more than {MOST_LINES} lines:\n{}", long.join("\n"));
}

/// The Rust files under a folder, with their paths in it.
fn list(root: &Path, found: &mut dyn FnMut(&str, String)) {
    let mut ahead = vec![root.to_owned()];
    while let Some(folder) = ahead.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a file").path()) {
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    ahead.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).ok().and_then(Path::to_str).expect("a path");
                found(name, fs::read_to_string(&path).expect("text"));
            }
        }
    }
}

/// All modules that are files, by their paths: `["resp", "scan"]`.
struct House(BTreeMap<Vec<String>, Module>);

impl House {
    fn new(files: &[(String, String)]) -> Self {
        let modules = files.iter().map(|(file, text)| {
            let path = file.trim_end_matches(".rs");
            let path = path.trim_end_matches("/mod").split('/').filter(|part| *part != "lib");
            (path.map(str::to_owned).collect(), Module::read(file, text))
        });
        Self(modules.collect())
    }

    /// Everything that is not as it should be, a line each.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = BTreeSet::new();
        for (name, module) in &self.0 {
            let file = &module.file;
            let Some(room) = name.first() else { continue };
            let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == room) else {
                wrong.insert(format!("{file}: no room of the table"));
                continue;
            };
            let path = name.join("/");
            let must =
                PURE.iter().any(|pure| path == *pure || file.starts_with(&format!("{pure}/")));
            if must && !module.pure && !module.tests && !AWAITING.contains(&file.as_str()) {
                wrong.insert(format!("{file}: its doc's first paragraph should end with `Pure.`"));
            }
            for path in &module.paths {
                let shown = path.words.join("::");
                let impure = IMPURE.iter().find(|words| is_under(&module.full(path), words));
                if let (true, false, Some(words)) = (module.pure, path.test, impure) {
                    wrong.insert(format!("{file}: pure, and names {}", words.join("::")));
                }
                let target = match self.find(name, path) {
                    Target::File(target) => target,
                    Target::Elsewhere => continue,
                    Target::Unknown => {
                        wrong.insert(format!("{file}: cannot tell where {shown} is"));
                        continue;
                    }
                };
                let Some(from) = target.first().filter(|from| *from != room) else {
                    let awaits = self.0.get(&target).is_some_and(|target| !target.pure);
                    let passed_on = path.reexport && target.starts_with(name);
                    if module.pure && awaits && &target != name && !path.test && !passed_on {
                        wrong.insert(format!("{file}: pure, and imports {shown} that is not"));
                    }
                    continue;
                };
                if !allowed.contains(&from.as_str()) {
                    wrong.insert(format!("{file}: {room} imports {shown} from {from}"));
                }
            }
        }
        wrong.into_iter().collect()
    }

    /// The file that has what a path written in `module` points at.
    fn find(&self, module: &[String], path: &PathAt) -> Target {
        let supers = path.words.iter().take_while(|word| *word == "super").count();
        let rest = path.words.get(supers..).unwrap_or_default();
        if supers == 0 {
            return self.walk(module, rest, 0);
        }
        // Modules inside a file are the file.
        let len = module.len().checked_sub(supers.saturating_sub(path.inline));
        match len.and_then(|len| module.get(..len)) {
            Some(above) => self.look(above, rest, 0),
            None => Target::Unknown,
        }
    }

    /// Follows a path from its first word on.
    fn walk(&self, module: &[String], words: &[String], turns: usize) -> Target {
        match words.split_first() {
            Some((first, rest)) if first == "crate" => self.look(&[], rest, turns),
            Some((first, rest)) if first == "self" => self.look(module, rest, turns),
            Some((first, rest)) if first == "super" => match module.split_last() {
                Some((_, above)) => self.look(above, rest, turns),
                None => Target::Unknown,
            },
            Some((first, _)) if self.0.contains_key(&child(module, first)) => {
                self.look(module, words, turns)
            }
            _ => Target::Elsewhere,
        }
    }

    /// Looks a path's rest up in a module.
    fn look(&self, module: &[String], words: &[String], turns: usize) -> Target {
        let Some(here) = self.0.get(module).filter(|_| turns < 16) else { return Target::Unknown };
        let Some((word, rest)) = words.split_first() else { return Target::File(module.to_vec()) };
        if self.0.contains_key(&child(module, word)) {
            return self.look(&child(module, word), rest, turns);
        }
        if here.items.contains(word) || word == "*" || word == "self" {
            return Target::File(module.to_vec());
        }
        if let Some(path) = here.uses.get(word) {
            return self.walk(module, path, turns + 1);
        }
        for glob in &here.globs {
            if let Target::File(target) = self.walk(module, glob, turns + 1) {
                if let found @ Target::File(_) = self.look(&target, words, turns + 1) {
                    return found;
                }
            }
        }
        Target::Unknown
    }
}

enum Target {
    File(Vec<String>),
    /// Not in this crate.
    Elsewhere,
    Unknown,
}

fn child(module: &[String], name: &str) -> Vec<String> {
    module.iter().map(String::as_str).chain([name]).map(str::to_owned).collect()
}

fn is_under(path: &[String], words: &[&str]) -> bool {
    path.len() >= words.len() && path.iter().zip(words).all(|(a, b)| a == b)
}

#[test]
fn what_is_forbidden_is_found() {
    let lib = "mod entry; mod id; mod resp; pub use id::EntryId; pub use entry::*;";
    let rows: [(&str, &str, &str, &str); 20] = [
        ("down", "entry/mod.rs", "use crate::{EntryId, resp::{Frame, self}};", ""),
        (
            "up",
            "resp/scan.rs",
            "use crate::id::EntryId;",
            "resp imports crate::id::EntryId from id",
        ),
        (
            "up, inside a function",
            "resp/scan.rs",
            "fn f() { crate::id::EntryId::new() }",
            "from id",
        ),
        ("up, in a group", "resp/scan.rs", "use crate::{resp::{Frame}, id::{EntryId}};", "from id"),
        ("up, by the root's name", "resp/scan.rs", "use crate::EntryId as Id;", "from id"),
        ("up, by the root's glob", "id.rs", "use crate::Entries;", "from entry"),
        ("up, by super", "resp/scan.rs", "use super::super::id::EntryId;", "from id"),
        (
            "up, from a module inside",
            "id.rs",
            "mod a { use super::super::entry::Entries; }",
            "entry",
        ),
        (
            "up, in a test",
            "id.rs",
            "#[cfg(test)] mod tests { use crate::entry::Entries; }",
            "entry",
        ),
        (
            "in a doc",
            "id.rs",
            "/// [`a`](crate::Entries)\nstruct A; // crate::entry\n/* crate::entry */",
            "",
        ),
        (
            "in a text",
            "id.rs",
            "const A: &str = \"\\\" crate::entry\"; const B: &str = r#\"crate::entry\"#;",
            "",
        ),
        (
            "behind a character",
            "id.rs",
            "fn f<'a>(b: char) { b == '\"'; crate::entry::f() }",
            "entry",
        ),
        ("nobody knows what", "id.rs", "use crate::Nothing;", "cannot tell where"),
        ("no such room", "room.rs", "", "no room of the table"),
        ("a clock", "id.rs", "use std::time::{Instant}; fn f() { Instant::now() }", "Instant::now"),
        ("an address", "id.rs", "fn f() { std::net::Ipv4Addr::LOCALHOST }", "std::net"),
        ("a runtime", "id.rs", "use {tokio::time as t};", "names tokio"),
        ("a runtime, in a test", "id.rs", "#[cfg(test)] mod tests { use tokio::time; }", ""),
        (
            "a runtime, behind a test",
            "id.rs",
            "#[cfg(test)] fn f() { a; } use tokio::time;",
            "tokio",
        ),
        (
            "awaiting",
            "resp/line.rs",
            "use super::codec::Codec; use super::Frame;",
            "imports super::codec",
        ),
    ];
    for (row, file, text, expected) in rows {
        let pure = |text: &str| format!("//! A. Pure.\n//!\n//! B.\n{text}");
        let mut files = BTreeMap::from([
            ("lib.rs", lib.to_owned()),
            ("id.rs", pure("pub struct EntryId;")),
            ("entry/mod.rs", pure("pub struct Entries; pub fn f() {}")),
            ("resp/mod.rs", pure("mod scan; mod codec; pub use {codec::Codec, scan::Frame};")),
            ("resp/scan.rs", pure("pub struct Frame;")),
            ("resp/codec.rs", "//! C.\nuse tokio::io; pub struct Codec;".to_owned()),
        ]);
        // The file as it is in the house, with the row's text behind it.
        files.entry(file).or_insert_with(|| pure("")).push_str(text);
        let files: Vec<_> = files.into_iter().map(|(file, text)| (file.to_owned(), text)).collect();
        let wrong = House::new(&files).wrong();
        match wrong.as_slice() {
            [] => assert!(expected.is_empty(), "{row}: nothing found"),
            [line] => assert!(!expected.is_empty() && line.contains(expected), "{row}: {line}"),
            lines => panic!("{row}: {lines:?}"),
        }
    }
    let undeclared = [("id.rs".to_owned(), "//! Ids.\n//!\n//! Pure.".to_owned())];
    assert_eq!(
        House::new(&undeclared).wrong(),
        ["id.rs: its doc's first paragraph should end with `Pure.`"]
    );
}
