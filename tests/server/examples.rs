//! Each example, run as the program that it is.

use crate::support::Server;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of an example, built beside this one.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let profile = own.ancestors().nth(2).expect("it lies in target/PROFILE/deps");
    let path = profile.join("examples").join(name);
    assert!(path.exists(), "{} is missing: `cargo build --examples`", path.display());
    path
}

/// Runs an example; it has to succeed. What it printed.
fn run(name: &str, args: &[&str]) -> String {
    let output = Command::new(program(name)).args(args).output().expect("the example runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}\n{errors}", output.status);
    said
}

/// The server's URL, in each protocol.
fn urls(server: &Server) -> [String; 2] {
    ["?protocol=2", "?protocol=3"].map(|parameter| server.url() + parameter)
}

#[test]
fn a_consumer_prints_what_a_producer_added_and_acknowledges_it() {
    let server = Server::start();
    for (round, url) in (1..).zip(urls(&server)) {
        let added = run("producer", &[&url]);
        let id = added.trim_end().strip_prefix("added ").expect("it prints the id");
        assert_eq!(run("consumer", &[&url]), format!("{id} says Ok(Some(\"hello\"))\n"));
        assert_eq!(server.command(&["XLEN", "greetings"]), round.to_string());
        let pending = server.command(&["XPENDING", "greetings", "readers"]);
        assert_eq!(pending.lines().next(), Some("0"));
    }
}

#[test]
fn a_queue_sends_every_email_once_though_a_worker_crashes() {
    let server = Server::start();
    for url in urls(&server) {
        let said = run("email_queue", &["--tasks", "2000", &url]);
        let number = |name: &str| {
            let rest = said.lines().find_map(|line| line.strip_prefix(name));
            let number = rest.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            number.unwrap_or_else(|| panic!("no number of {name:?} in:\n{said}"))
        };
        assert_eq!(number("added "), 2000);
        assert!(number("reclaimed by worker-3 ") > 0, "{said}");
        assert_eq!(number("pending  "), 0, "{said}");
        assert!(
            said.lines()
                .any(|line| line.starts_with("every e-mail sent once") && line.ends_with(" yes"))
        );
        assert_eq!(server.command(&["EXISTS", "email:tasks"]), "0", "it leaves nothing behind");
    }
}

#[test]
fn the_tour_uses_every_command() {
    let names = command_names();
    assert!(names.len() > 40, "only {names:?}: is this the source?");
    let server = Server::start();
    for url in urls(&server) {
        let said = run("tour", &[&url]);
        let lines = || said.lines().filter_map(|line| line.strip_prefix("  "));
        for name in &names {
            let told = lines().filter(|line| {
                let words = line.split([' ', ',']).filter(|word| !word.is_empty());
                words.take(name.split(' ').count()).eq(name.split(' '))
            });
            assert!(told.count() > 0, "{name} is not in the tour:\n{said}");
        }
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves nothing behind");
    }
}

/// What every command in `src/command` is called, read from the source; first what is no command of its own there.
fn command_names() -> BTreeSet<String> {
    let mut names = BTreeSet::from(["MULTI".to_owned()]);
    let mut ahead = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command")];
    while let Some(folder) = ahead.pop() {
        for file in fs::read_dir(folder).expect("a folder") {
            let path = file.expect("a file").path();
            if path.is_dir() {
                ahead.push(path);
                continue;
            }
            let source = fs::read_to_string(path).expect("text");
            let source = source.split("\nmod tests {").next().unwrap_or_default();
            // `const NAME: &'static str = "XADD";`, and `OWN_NAME`; an empty one is of any command.
            let constants = source.split("NAME: &'static str =").skip(1);
            let texts =
                constants.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
            names.extend(texts.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    names
}
