//! Checks that every command and option has a row.
//!
//! Both sides are read as text: the rows of a command must name each of its methods in
//! `src/command`. Each line of the table must be complete.

use crate::table::Case;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files here without rows.
#[rustfmt::skip]
const MACHINERY: [&str; 10] = [
    "covered.rs", "db.rs", "host.rs", "live.rs", "main.rs", "print.rs", "show.rs", "show_info.rs", "table.rs", "want.rs",
];

/// The command with arbitrary arguments, which has no rows.
const ANY: &str = "Raw";

/// Another command's request to another server, which has no rows either: `tests/cluster/replicas.rs`
/// has it.
const ELSEWHERE: &str = "FromReplica";

/// A method that adds fields, and no option of Redis's. `tests/server/commands/record.rs` has it.
const NO_OPTION: (&str, &str) = ("XAdd", "record");

#[test]
fn every_command_and_every_option_has_a_row() {
    let rows: Vec<_> = files("tests/matrix", &MACHINERY);
    let sections: Vec<_> = rows.iter().flat_map(|rows| sections(rows)).collect();
    // The name of each command type, and its options.
    let mut commands: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    let sources = files("src/command", &[]);
    for source in sources.iter().map(|source| code(source)) {
        commands.extend(implemented(source).map(|(name, called)| (name, (called, Vec::new()))));
    }
    for (name, option, is_part) in sources.iter().flat_map(|source| options(code(source))) {
        // A type that is not a command, such as the trim options, is part of one.
        if is_part || commands.contains_key(&name) {
            commands.entry(name).or_default().1.push(option);
        }
    }
    commands.remove(ANY);
    commands.remove(ELSEWHERE);
    assert!(commands.len() > 20, "only {commands:?}: is this the source?");

    let mut missing = Vec::new();
    for (name, (called, options)) in &commands {
        let of_it = |(command, text): &&(String, String)| {
            (command == called || called.is_empty()) && names(text, name)
        };
        let own: Vec<_> = sections.iter().filter(of_it).map(|(_, text)| text).collect();
        if own.is_empty() {
            missing.push(name.clone());
        }
        let there = |option: &&String| own.iter().any(|text| text.contains(&format!(".{option}(")));
        let elsewhere = |option: &&String| (name.as_str(), option.as_str()) == NO_OPTION;
        let left = options.iter().filter(|option| !there(option) && !elsewhere(option));
        missing.extend(left.map(|option| format!("{name}::{option}")));
    }
    assert!(missing.is_empty(), "without a row in tests/matrix: {}", missing.join(", "));
}

#[test]
fn every_line_has_an_error_case_and_an_empty_case_or_a_reason() {
    let mut wrong = Vec::new();
    for line in &crate::all().lines {
        let has = |case| line.rows.iter().any(|row| row.case == case);
        let mut say = |what| wrong.push(format!("{} {}: {what}", line.command, line.option));
        if !has(Case::Error) {
            say("no error case");
        }
        match (has(Case::Nothing), line.always) {
            (false, None) => say("neither an empty case nor the reason for its absence"),
            (true, Some(_)) => say("an empty case, and a reason for its absence"),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} lines of the matrix:\n{}", wrong.len(), wrong.join("\n"));
}

/// Returns a source without its tests.
fn code(source: &str) -> &str {
    source.split("\nmod tests {").next().unwrap_or_default()
}

/// Returns the commands of a file of rows, each with the text of its rows. The bodies of their
/// helpers are included, code that only prepares a row is not.
fn sections(rows: &str) -> Vec<(String, String)> {
    let (before, rows) = rows.split_once("\npub(crate) fn rows(").expect("a file of rows");
    let (rows, after) = rows.split_once("\n}\n").expect("the end of the rows");
    let helpers: Vec<_> = [before, after].iter().flat_map(|text| functions(text)).collect();
    let mut sections = Vec::new();
    for section in rows.split("t.command(\"").skip(1) {
        let (command, text) = section.split_once('"').expect("a command's name");
        let mut text = text.to_owned();
        let mut left = helpers.clone();
        while let Some(next) = left.iter().position(|(name, _)| names(&text, name)) {
            text += left.remove(next).1;
        }
        sections.push((command.to_owned(), unprepared(&text)));
    }
    sections
}

/// Returns the functions of a text, by name.
fn functions(text: &str) -> Vec<(&str, &str)> {
    let starts = text.match_indices("fn ").filter(|(at, _)| {
        let line = text[..*at].rsplit('\n').next().unwrap_or_default();
        matches!(line, "" | "async ")
    });
    let one = |(at, _): (usize, &str)| {
        let body = text[at..].split("\n}\n").next().unwrap_or_default();
        (word(&body[3..]), body)
    };
    starts.map(one).collect()
}

/// Returns a text without the arguments of `must(..)`.
fn unprepared(text: &str) -> String {
    let mut parts = text.split(".must(");
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut depth = 1;
        let end = part.find(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        left += &part[end.unwrap_or(part.len())..];
    }
    left
}

/// Returns the texts of the files in a folder and its subfolders.
fn files(folder: &str, but: &[&str]) -> Vec<String> {
    let mut ahead = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut texts = Vec::new();
    while let Some(folder) = ahead.pop() {
        for file in fs::read_dir(folder).expect("a folder") {
            let file = file.expect("a file");
            if file.path().is_dir() {
                ahead.push(file.path());
            } else if !but.iter().any(|name| *name == file.file_name()) {
                texts.push(fs::read_to_string(file.path()).expect("text"));
            }
        }
    }
    texts
}

/// Returns the command types that a source implements, with the commands' names.
fn implemented(source: &str) -> impl Iterator<Item = (String, String)> {
    source.split("\nimpl").skip(1).filter_map(|block| {
        let (head, rest) = block.split_once('\n')?;
        let (before, after) = head.split_once("Command for ")?;
        let name = word(after);
        // Neither a blocking read nor a blanket implementation.
        let is_one = before.ends_with(' ') || before.ends_with(" Own");
        let called = rest.split_once("NAME: &'static str = \"").map_or("", |(_, rest)| rest);
        let called = called.split('"').next().unwrap_or_default();
        (is_one && name.len() > 1).then(|| (name.to_owned(), called.to_owned()))
    })
}

/// Returns the types of a source with their public methods that take `self`, and whether these
/// return `Self`.
fn options(source: &str) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    let mut of = "";
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("impl") {
            let rest = rest
                .strip_prefix('<')
                .and_then(|rest| rest.split_once("> "))
                .map_or(rest, |(_, of)| of);
            of = if rest.contains(" for ") { "" } else { word(rest.trim()) };
        }
        let method = line.trim().strip_prefix("pub fn ").and_then(|rest| rest.split_once('('));
        if let (Some((name, arguments)), false) = (method, of.is_empty()) {
            if arguments.starts_with("self") || arguments.starts_with("mut self") {
                found.push((of.to_owned(), word(name).to_owned(), line.contains("-> Self")));
            }
        }
    }
    found
}

/// Returns the identifier that a text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether a text has this word in it.
fn names(text: &str, name: &str) -> bool {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    parts.into_iter().any(|part| part == name)
}
