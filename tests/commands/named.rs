//! Every public command has a wire text, is in the request property, and has its replies decoded.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Returns the text of every Rust file in a folder and its subfolders.
fn sources(folder: &str) -> String {
    fn read(path: &Path, all: &mut String) {
        for entry in fs::read_dir(path).expect("the folder is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                read(&path, all);
            } else if path.extension().is_some_and(|end| end == "rs") {
                all.push_str(&fs::read_to_string(&path).expect("it is text"));
            }
        }
    }
    let mut all = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
    all
}

/// Returns the names in a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').collect()
}

/// Returns the public names of a module: the last names of its `pub use` lines.
fn exported(text: &str) -> BTreeSet<&str> {
    let uses = text.split("\npub use ").skip(1).filter_map(|rest| rest.split(';').next());
    uses.flat_map(names).collect()
}

/// Returns the types with `impl Command for`, `BlockingCommand` or `DedicatedCommand`.
fn commands(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| line.starts_with("impl"));
    let types = lines.filter_map(|line| line.split_once("Command for "));
    types.filter_map(|(_, name)| name.split(|c: char| !c.is_alphanumeric()).next()).collect()
}

#[test]
fn every_command_has_wire_property_and_reply_tests() {
    let root = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command/mod.rs"));
    let root = root.expect("the command module is there");
    let (all, exported) = (sources("src/command"), exported(&root));
    let commands: BTreeSet<_> = commands(&all).intersection(&exported).copied().collect();
    assert!(commands.contains("XAdd") && commands.contains("Blocking"), "{commands:?}");
    for folder in ["tests/commands/wire", "tests/commands/property", "tests/commands/replies"] {
        let text = sources(folder);
        let missing: Vec<_> = commands.difference(&names(&text)).copied().collect();
        assert!(missing.is_empty(), "{folder} has none of {missing:?}");
    }
}
