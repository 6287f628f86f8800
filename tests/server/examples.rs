//! Each example, run as the program that it is.

use crate::support::Server;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// The number behind this, at the beginning of a line.
fn number(said: &str, name: &str) -> u64 {
    let rest = said.lines().find_map(|line| line.strip_prefix(name));
    let number = rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number behind {name:?} in:\n{said}"))
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
fn urgent_jobs_come_first_and_with_ageing_the_others_are_not_forgotten() {
    let server = Server::start();
    for url in urls(&server) {
        let said = run("priorities", &[&url]);
        let strict = ["h", "n", "l"].map(|letter| letter.repeat(12)).concat();
        assert!(said.starts_with(&format!("strict       {strict}\n")), "{said}");
        assert!(said.ends_with("as it should be: yes\n"), "{said}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves nothing behind");
    }
}

#[test]
fn a_relay_that_stood_still_adds_nothing_twice() {
    let server = Server::start();
    for url in urls(&server) {
        let said = run("relay", &[&url]);
        assert!(said.contains("relays it again: AlreadyGone, "), "{said}");
        let knows = if server.redis_at_least(8, 6) { "Some(" } else { "None" };
        assert!(said.contains(&format!("AlreadyGone, {knows}")), "{said}");
        assert!(said.ends_with("200 invoices of 200 orders, 0 orders left\n"), "{said}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves nothing behind");
    }
}

#[test]
fn an_effect_with_a_key_happens_once() {
    let server = Server::start();
    for url in urls(&server) {
        let said = run("idempotent", &[&url]);
        let clicked = if server.redis_at_least(8, 6) { "clicked twice: " } else { "clicked: " };
        assert!(said.starts_with(clicked), "{said}");
        assert_eq!(number(&said, "the provider was called "), 120, "{said}");
        assert!(said.ends_with("100 of 100 customers have paid once\n"), "{said}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves nothing behind");
    }
}

#[test]
fn a_worker_that_is_told_to_stop_leaves_everything_to_the_next_one() {
    let server = Server::start();
    for url in urls(&server) {
        let said = run("shutdown", &[&url]);
        assert!(said.contains(" 0 in flight, 0 consumers\n"), "{said}");
        assert!(said.ends_with("40 of 40 jobs were done once\n"), "{said}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves nothing behind");
    }
}

#[test]
fn a_worker_that_is_terminated_stops_as_gracefully() {
    let server = Server::start();
    let mut example = Command::new(program("shutdown"));
    let example = example.args(["--wait", &server.url()]).stdout(Stdio::piped());
    let mut example = example.spawn().expect("the example runs");
    let mut said = BufReader::new(example.stdout.take().expect("a pipe"));
    let (pid, mut text) = (example.id().to_string(), String::new());
    while !text.contains("takes longer") {
        assert_ne!(said.read_line(&mut text).expect("text"), 0, "{text}");
    }
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    said.read_to_string(&mut text).expect("text");
    assert!(example.wait().expect("its end").success(), "{text}");
    assert!(text.contains("  terminated\n"), "{text}");
    assert!(text.ends_with("40 of 40 jobs were done once\n"), "{text}");
    assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves nothing behind");
}

#[cfg(feature = "metrics")]
#[test]
fn the_metrics_are_there_for_prometheus() {
    let server = Server::start();
    let said = run("prometheus", &["--once", "--port", "0", &server.url()]);
    let stream = "stream=\"prometheus:jobs\"";
    for name in [
        &format!("redis_streams_processed{{{stream}}} "),
        &format!("redis_streams_duration_seconds_bucket{{{stream},le=\"0.1\"}} "),
        &format!("redis_streams_length{{{stream}}} "),
        &format!("redis_streams_pending{{{stream},group=\"workers\",consumer=\"bourn-"),
        &format!("bourn_jobs_total{{{stream},group=\"workers\",outcome=\"done\"}} "),
        &format!("bourn_dead_letters{{{stream},group=\"workers\"}} "),
    ] {
        assert!(said.lines().any(|line| line.starts_with(name)), "no {name} in:\n{said}");
    }
    assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves nothing behind");
}

#[test]
fn what_is_on_the_server_already_is_left_alone() {
    let server = Server::start();
    let rows = [
        ("priorities", "{tasks}:low"),
        ("relay", "{orders}:invoices"),
        ("idempotent", "payments"),
        ("shutdown", "shutdown:jobs"),
        #[cfg(feature = "metrics")]
        ("prometheus", "prometheus:dead"),
    ];
    for (name, key) in rows {
        let id = server.command(&["XADD", key, "*", "f", "v"]);
        let output = Command::new(program(name)).arg(server.url()).output();
        let output = output.expect("the example runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains("left alone"), "{name}: {errors}");
        assert_eq!(server.command(&["XRANGE", key, "-", "+"]), format!("{id}\nf\nv"), "{name}");
        assert_eq!(server.command(&["UNLINK", key]), "1");
        assert_eq!(server.command(&["DBSIZE"]), "0", "{name}");
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
            let is_code = |line: &&str| !line.trim_start().starts_with("//");
            let source = source.lines().filter(is_code).collect::<Vec<_>>().join("\n");
            // `const NAME: &'static str = "XADD";`, and `DEDICATED_NAME`; an empty one is of any command.
            let constants = source.split("NAME: &'static str =").skip(1);
            let texts =
                constants.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
            names.extend(texts.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    names
}
