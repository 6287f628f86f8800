//! Checks the layers of the crate: imports only go down, no files import each other in a circle,
//! files marked `No I/O.` do none, and no file is long.
//!
//! The sources are read as text. A small lexer drops comments and string literals, and the paths
//! are taken from the rest. Each path is followed through re-exports to the file that defines the
//! item: `crate::EntryId` is an import from `id`, and `super::Kind` is one from where `super`
//! imports it. Paths in doc comments do not count.

#[path = "layers/source.rs"]
mod source;
#[path = "layers/tables.rs"]
mod tables;

use source::{Module, PathAt};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use tables::{ARROWS, AWAITING, IO_PATHS, KINDS, NO_IO, ONE_SOURCE, QUEUE_ARROWS};

const MOST_LINES: usize = 500;

#[test]
fn imports_go_down_without_circles_and_no_io_files_do_no_io() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    list(&root, &mut |path, text| files.push((path.to_owned(), text)));
    assert!(files.len() > 40, "only {} files: is this the source?", files.len());
    let wrong = Modules::new(&files).violations();
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

/// Returns the Rust files under a folder, with their paths in it.
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
struct Modules(BTreeMap<Vec<String>, Module>);

impl Modules {
    fn new(files: &[(String, String)]) -> Self {
        let modules = files.iter().map(|(file, text)| {
            let path = file.trim_end_matches(".rs");
            let path = path.trim_end_matches("/mod").split('/').filter(|part| *part != "lib");
            (path.map(str::to_owned).collect(), Module::read(file, text))
        });
        let mut modules = Self(modules.collect());
        let tests: Vec<Vec<String>> = modules
            .0
            .iter()
            .flat_map(|(path, module)| module.test_modules.iter().map(|name| child(path, name)))
            .collect();
        for (path, module) in &mut modules.0 {
            module.tests |= tests.iter().any(|test| path.starts_with(test));
        }
        modules
    }

    /// Returns every violation, one line each.
    fn violations(&self) -> Vec<String> {
        let mut wrong = BTreeSet::new();
        let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, module) in &self.0 {
            let file = &module.file;
            let Some(top) = name.first() else { continue };
            let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == top) else {
                wrong.insert(format!("{file}: not in the table of modules"));
                continue;
            };
            let path = name.join("/");
            let must =
                NO_IO.iter().any(|place| path == *place || file.starts_with(&format!("{place}/")));
            if must && !module.no_io && !module.tests && !AWAITING.contains(&file.as_str()) {
                wrong
                    .insert(format!("{file}: its doc's first paragraph should end with `No I/O.`"));
            }
            let kind = KINDS.iter().any(|kind| module.doc.ends_with(kind));
            if top == "queue" && name.len() > 1 && !kind && !module.tests {
                wrong.insert(format!("{file}: its doc's first paragraph should end with its kind"));
            }
            for path in &module.paths {
                let shown = path.words.join("::");
                let io = IO_PATHS.iter().find(|words| is_under(&module.full(path), words));
                if let (true, false, Some(words)) = (module.no_io, path.test, io) {
                    wrong.insert(format!("{file}: without I/O, but names {}", words.join("::")));
                }
                let is_under_source = |(words, files): &&(&[&str], &[&str])| {
                    is_under(&module.full(path), words) && !files.contains(&file.as_str())
                };
                if let Some((words, _)) = ONE_SOURCE.iter().find(is_under_source) {
                    if !path.test && !module.tests && !module.no_io {
                        let words = words.join("::");
                        wrong.insert(format!("{file}: names {words}, which a test cannot set"));
                    }
                }
                let target = match self.find(name, path) {
                    Target::File(target) => target,
                    Target::Elsewhere => continue,
                    Target::Unknown => {
                        wrong.insert(format!("{file}: cannot resolve {shown}"));
                        continue;
                    }
                };
                let passed_on = path.reexport && target.starts_with(name);
                if let Some(target) = self.0.get(&target) {
                    // A module depends on a name that it only passes on no more than on its tests.
                    let used = path.words.last().is_some_and(|name| module.words.contains(name));
                    let depends = (used || !passed_on) && !path.test && !module.tests;
                    if depends && target.file != *file {
                        imports.entry(file).or_default().insert(&target.file);
                    }
                }
                if let Some(wrong_arrow) = queue_arrow(name, &target) {
                    wrong.insert(format!("{file}: {wrong_arrow} ({shown})"));
                }
                let Some(from) = target.first().filter(|from| *from != top) else {
                    let awaits = self.0.get(&target).is_some_and(|target| !target.no_io);
                    if module.no_io && awaits && &target != name && !path.test && !passed_on {
                        wrong.insert(format!(
                            "{file}: without I/O, but imports {shown} that awaits"
                        ));
                    }
                    continue;
                };
                if !allowed.contains(&from.as_str()) {
                    wrong.insert(format!("{file}: {top} imports {shown} from {from}"));
                }
            }
        }
        wrong.extend(circles(&imports));
        wrong.into_iter().collect()
    }

    /// Returns the file that defines the target of a path written in `module`.
    fn find(&self, module: &[String], path: &PathAt) -> Target {
        let supers = path.words.iter().take_while(|word| *word == "super").count();
        let rest = path.words.get(supers..).unwrap_or_default();
        if supers == 0 {
            return self.walk(module, rest, 0);
        }
        // Modules inside a file belong to the file.
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

    /// Resolves the rest of a path in a module.
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

/// Returns why a file of the queue must not import another one of it, if so.
fn queue_arrow(from: &[String], to: &[String]) -> Option<String> {
    let part = |path: &[String]| match path {
        [top, part, ..] if top == "queue" => Some(part.clone()),
        _ => None,
    };
    // The queue's own `mod.rs` only lists names.
    let from = part(from)?;
    let is_own = to.first().is_some_and(|top| top == "queue");
    let Some(to) = part(to) else {
        return is_own.then(|| format!("{from} imports from the list of names in queue/mod.rs"));
    };
    let Some((_, allowed)) = QUEUE_ARROWS.iter().find(|(name, _)| *name == from) else {
        return Some(format!("{from} is not in the table of the queue"));
    };
    let is_allowed = from == to || allowed.contains(&to.as_str());
    (!is_allowed).then(|| format!("{from} imports from {to}"))
}

/// Returns a shortest circle of imports through each file that is in one, starting with the file
/// that comes first in the alphabet.
fn circles(imports: &BTreeMap<&str, BTreeSet<&str>>) -> BTreeSet<String> {
    let mut circles = BTreeSet::new();
    for start in imports.keys() {
        // Breadth first: the first path that returns to the start is a shortest one.
        let mut ahead = VecDeque::from([vec![*start]]);
        let mut seen = BTreeSet::new();
        while let Some(path) = ahead.pop_front() {
            let next = path.last().and_then(|last| imports.get(last)).into_iter().flatten();
            if next.clone().any(|file| file == start) {
                let first = path.iter().enumerate().min_by_key(|(_, file)| **file);
                let mut path = path.clone();
                path.rotate_left(first.map_or(0, |(place, _)| place));
                circles.insert(format!("circle of imports: {}", path.join(" -> ")));
                break;
            }
            for file in next.filter(|file| seen.insert(**file)) {
                ahead.push_back(path.iter().copied().chain([*file]).collect());
            }
        }
    }
    circles
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
fn every_circle_is_found() {
    let rows: [(&str, [&str; 3], &str); 9] = [
        ("down", ["use super::b::B;", "use super::c::C;", ""], ""),
        ("two", ["use super::b::B;", "use super::a::A;", ""], "resp/a.rs -> resp/b.rs"),
        (
            "three",
            ["use super::b::B;", "use super::c::C;", "fn f() { super::a::A }"],
            "resp/a.rs -> resp/b.rs -> resp/c.rs",
        ),
        ("itself", ["use crate::resp::a::A;", "", ""], ""),
        ("through a re-export", ["use super::B;", "use super::A;", ""], "resp/a.rs -> resp/b.rs"),
        (
            "in a test",
            ["#[cfg(test)] mod tests { use super::super::b::B; }", "use super::A;", ""],
            "",
        ),
        ("in a file of tests", ["use super::b::B;", "", "use super::a::A; use super::b::B;"], ""),
        ("parent that passes on", ["use super::Own;", "", ""], ""),
        ("parent that uses", ["use super::User;", "", ""], "resp/a.rs -> resp/mod.rs"),
    ];
    for (row, [a, b, c], expected) in rows {
        let tests = if row == "in a file of tests" { "#[cfg(test)] mod c;" } else { "mod c;" };
        let parent = "//! R. No I/O.\nmod a; mod b; pub use a::A; pub use b::B; pub struct Own;";
        let uses = if row == "parent that uses" { "pub struct User(A);" } else { "" };
        let files = [
            ("lib.rs", "mod resp;".to_owned()),
            ("resp/mod.rs", format!("{parent}{tests}{uses}")),
            ("resp/a.rs", format!("//! A. No I/O.\npub struct A; {a}")),
            ("resp/b.rs", format!("//! B. No I/O.\npub struct B; {b}")),
            ("resp/c.rs", format!("//! C. No I/O.\npub struct C; {c}")),
        ];
        let files: Vec<_> = files.into_iter().map(|(file, text)| (file.to_owned(), text)).collect();
        let wrong = Modules::new(&files).violations();
        let expected: Vec<String> = [expected]
            .iter()
            .filter(|it| !it.is_empty())
            .map(|it| format!("circle of imports: {it}"))
            .collect();
        assert_eq!(wrong, expected, "{row}");
    }
}

#[test]
fn every_wrong_arrow_of_the_queue_is_found() {
    let rows = [
        ("down", "queue/worker/job.rs", "use crate::queue::shared::Shared;", ""),
        ("same folder", "queue/worker/job.rs", "use super::Worker;", ""),
        (
            "up",
            "queue/shared.rs",
            "use crate::queue::worker::Worker;",
            "shared imports from worker",
        ),
        (
            "by the list",
            "queue/shared.rs",
            "use crate::queue::Worker;",
            "shared imports from worker",
        ),
        ("by the glob", "queue/shared.rs", "use super::*;", "the list of names in queue/mod.rs"),
        ("no kind", "queue/worker/running.rs", "", "should end with its kind"),
        ("unknown", "queue/other.rs", "use super::shared::Shared;", "other is not in the table"),
    ];
    for (row, file, text, expected) in rows {
        let mut files = BTreeMap::from([
            ("lib.rs", "mod queue;".to_owned()),
            (
                "queue/mod.rs",
                "mod shared; mod worker; mod other; pub use worker::Worker;".to_owned(),
            ),
            ("queue/shared.rs", "//! S. An\n//! operation.\npub struct Shared; ".to_owned()),
            ("queue/worker/mod.rs", "//! W. A task.\nmod job; pub struct Worker;".to_owned()),
        ]);
        let doc = if row == "no kind" { "//! A.\n" } else { "//! A. A task.\n" };
        files.entry(file).or_insert_with(|| doc.to_owned()).push_str(text);
        let files: Vec<_> = files.into_iter().map(|(file, text)| (file.to_owned(), text)).collect();
        let wrong = Modules::new(&files).violations();
        match wrong.as_slice() {
            [] => assert!(expected.is_empty(), "{row}: nothing found"),
            [line, ..] => {
                assert!(!expected.is_empty() && line.contains(expected), "{row}: {wrong:?}");
            }
        }
    }
}

#[test]
fn every_violation_is_found() {
    let lib = "mod entry; mod id; mod resp; pub use id::EntryId; pub use entry::*;";
    let rows: [(&str, &str, &str, &str); 23] = [
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
            "in a string",
            "id.rs",
            "const A: &str = \"\\\" crate::entry\"; const B: &str = r#\"crate::entry\"#;",
            "",
        ),
        (
            "after a character",
            "id.rs",
            "fn f<'a>(b: char) { b == '\"'; crate::entry::f() }",
            "entry",
        ),
        ("an unknown name", "id.rs", "use crate::Nothing;", "cannot resolve"),
        ("no such module", "other.rs", "", "not in the table of modules"),
        ("a clock", "id.rs", "use std::time::{Instant}; fn f() { Instant::now() }", "Instant::now"),
        (
            "a clock that tests cannot set",
            "client.rs",
            "use std::time as t; fn f() { t::Instant::now() }",
            "a test cannot set",
        ),
        (
            "a clock, in a test",
            "client.rs",
            "#[cfg(test)] mod tests { use std::time::Instant; fn f() { Instant::now() } }",
            "",
        ),
        ("a random source", "client.rs", "fn f() { fastrand::f64() }", "names fastrand"),
        ("an address", "id.rs", "fn f() { std::net::Ipv4Addr::LOCALHOST }", "std::net"),
        ("a runtime", "id.rs", "use {tokio::time as t};", "names tokio"),
        ("a runtime, in a test", "id.rs", "#[cfg(test)] mod tests { use tokio::time; }", ""),
        (
            "a runtime, after a test",
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
        let no_io = |text: &str| format!("//! A. No I/O.\n//!\n//! B.\n{text}");
        let mut files = BTreeMap::from([
            ("lib.rs", lib.to_owned()),
            ("id.rs", no_io("pub struct EntryId;")),
            ("entry/mod.rs", no_io("pub struct Entries; pub fn f() {}")),
            ("resp/mod.rs", no_io("mod scan; mod codec; pub use {codec::Codec, scan::Frame};")),
            ("resp/scan.rs", no_io("pub struct Frame;")),
            ("resp/codec.rs", "//! C.\nuse tokio::io; pub struct Codec;".to_owned()),
        ]);
        // The file as in the sample, with the row's text after it.
        let other = || if file == "client.rs" { "//! C.\n".to_owned() } else { no_io("") };
        files.entry(file).or_insert_with(other).push_str(text);
        let files: Vec<_> = files.into_iter().map(|(file, text)| (file.to_owned(), text)).collect();
        let wrong = Modules::new(&files).violations();
        match wrong.as_slice() {
            [] => assert!(expected.is_empty(), "{row}: nothing found"),
            [line] => assert!(!expected.is_empty() && line.contains(expected), "{row}: {line}"),
            lines => panic!("{row}: {lines:?}"),
        }
    }
    let undeclared = [("id.rs".to_owned(), "//! Ids.\n//!\n//! No I/O.".to_owned())];
    assert_eq!(
        Modules::new(&undeclared).violations(),
        ["id.rs: its doc's first paragraph should end with `No I/O.`"]
    );
}
