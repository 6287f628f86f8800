//! No command is without a row, and no option.
//!
//! Both sides are read as text: whatever in `src/command` is a command, with each of its methods, has to be named in one
//! of the files of rows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files here that are no rows.
#[rustfmt::skip]
const MACHINERY: [&str; 9] = [
    "covered.rs", "db.rs", "live.rs", "main.rs", "print.rs", "show.rs", "show_info.rs", "table.rs", "want.rs",
];

/// Any command, of which nothing can be said.
const ANY: &str = "Raw";

#[test]
fn every_command_and_every_option_has_a_row() {
    let rows: Vec<_> = files("tests/matrix", &MACHINERY);
    let mut commands: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let sources = files("src/command", &[]);
    for source in &sources {
        let source = source.split("\nmod tests {").next().unwrap_or_default();
        commands.extend(source.lines().filter_map(implemented).map(|name| (name, Vec::new())));
    }
    for (name, option, is_part) in sources.iter().flat_map(|source| options(source)) {
        // What is no command itself, as what XADD and XTRIM trim to, is part of one.
        if is_part || commands.contains_key(&name) {
            commands.entry(name).or_default().push(option);
        }
    }
    commands.remove(ANY);
    assert!(commands.len() > 20, "only {commands:?}: is this the source?");

    let mut missing = Vec::new();
    for (command, options) in &commands {
        let rows: Vec<_> = rows.iter().filter(|rows| names(rows, command)).collect();
        if rows.is_empty() {
            missing.push(command.clone());
        }
        let there =
            |option: &&String| rows.iter().any(|rows| rows.contains(&format!(".{option}(")));
        let left = options.iter().filter(|option| !there(option));
        missing.extend(left.map(|option| format!("{command}::{option}")));
    }
    assert!(missing.is_empty(), "without a row in tests/matrix: {}", missing.join(", "));
}

/// The texts of the files in a folder and below.
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

/// The command of a line like `impl Command for XAdd<'_> {`.
fn implemented(line: &str) -> Option<String> {
    let (before, after) = line.split_once("Command for ")?;
    let name = word(after);
    // Not a read that waits, nor what is a command because another trait says so.
    let is_one = before.ends_with(' ') || before.ends_with(" Own");
    (before.starts_with("impl") && is_one && name.len() > 1).then(|| name.to_owned())
}

/// The types of a source with their public methods that take the value itself, and whether these give one of the same.
fn options(source: &str) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    let mut of = "";
    for line in source.split("\nmod tests {").next().unwrap_or_default().lines() {
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

/// The identifier that a text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether a text has this word in it.
fn names(text: &str, name: &str) -> bool {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    parts.into_iter().any(|part| part == name)
}
