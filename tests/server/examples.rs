//! Runs each example as a program.

use crate::support::Server;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the path of an example's program, which is built next to this one.
fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let profile = own.ancestors().nth(2).expect("it is in target/PROFILE/deps");
    let path = profile.join("examples").join(name);
    assert!(path.exists(), "{} is missing: `cargo build --examples`", path.display());
    path
}

/// Runs an example, which must succeed. Returns its output.
fn run(name: &str, args: &[&str]) -> String {
    let result = Command::new(program(name)).args(args).output().expect("the example runs");
    let output = String::from_utf8_lossy(&result.stdout).into_owned();
    let errors = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{name}: {}\n{output}\n{errors}", result.status);
    output
}

/// Returns the number after this text at the start of a line.
fn number(output: &str, name: &str) -> u64 {
    let rest = output.lines().find_map(|line| line.strip_prefix(name));
    let number = rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number after {name:?} in:\n{output}"))
}

/// Returns the server's URL for each protocol.
fn urls(server: &Server) -> [String; 2] {
    ["?protocol=2", "?protocol=3"].map(|parameter| server.url() + parameter)
}

#[test]
fn consumer_prints_and_acknowledges_the_producers_entry() {
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

/// Returns the guide's program with this text, and the example's, without the line for its
/// argument.
fn both(guide: &str, mark: &str, name: &str) -> [String; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("src/guide").join(guide)).expect("the page");
    let programs = page.split("```no_run\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut programs = programs.filter(|code| code.contains("fn main") && code.contains(mark));
    let example = fs::read_to_string(root.join("examples").join(name)).expect("the example");
    let code = example.lines().skip_while(|line| !line.starts_with("use "));
    let code = code.filter(|line| !line.contains("std::env::args()"));
    let code: String = code.map(|line| format!("{line}\n")).collect();
    let code = code.replace("connect(url)", "connect(\"redis://127.0.0.1\")");
    let code = code.replace("connect(address)", "connect(\"127.0.0.1:6379\")");
    [programs.next().expect("the program").to_owned(), code]
}

#[test]
fn programs_of_the_guide_are_examples() {
    let programs = [
        ("getting_started.md", "XRange", "first_entry.rs"),
        ("getting_started.md", "Queue", "first_job.rs"),
        ("recurring.md", "Queue", "recurring.rs"),
        ("resp_alone.md", "TcpStream", "blocking_socket.rs"),
    ];
    for (guide, mark, name) in programs {
        let [program, example] = both(guide, mark, name);
        assert_eq!(program, example, "{guide} and {name}");
    }
    let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide"));
    let pages = pages.expect("the guide").map(|page| page.expect("a page").path());
    let lines: String = pages.map(|page| fs::read_to_string(page).expect("text")).collect();
    let mains = lines
        .lines()
        .filter(|line| line.starts_with("async fn main()") || line.starts_with("fn main()"));
    assert_eq!(mains.count(), programs.len(), "a program of the guide is not an example");
}

#[test]
fn first_programs_add_and_read_one_entry() {
    let server = Server::start();
    for (round, url) in (1..).zip(urls(&server)) {
        let output = run("first_entry", &[&url]);
        assert!(output.starts_with("added "), "{output}");
        assert_eq!(output.matches("Ok(Some(\"A-7\"))").count(), round, "{output}");
    }
    let output = run("blocking_socket", &[&format!("127.0.0.1:{}", server.port())]);
    assert!(output.starts_with("added "), "{output}");
    assert_eq!(server.command(&["XLEN", "orders"]), "3");
}

#[test]
fn recurring_job_runs_until_ctrl_c() {
    let server = Server::start();
    let output = interrupted(&server, "recurring", "Some(\"refresh\"), due at ");
    assert!(output.contains("hourly: last None, next Some("), "{output}");
    // The job of each second stays for the next worker.
    assert_eq!(server.command(&["XLEN", "{reports}:recurring"]), "1");
}

#[test]
fn first_job_runs_and_ctrl_c_ends_the_worker() {
    let server = Server::start();
    let output = interrupted(&server, "first_job", "attempt 1 of ");
    assert!(output.ends_with("1 done\n"), "{output}");
}

/// Runs an example until it prints this text, and then until Ctrl-C has ended it. Returns what it
/// printed.
fn interrupted(server: &Server, name: &str, until: &str) -> String {
    let mut example = Command::new(program(name));
    let example = example.arg(server.url()).stdout(Stdio::piped());
    let mut example = example.spawn().expect("the example runs");
    let mut output = BufReader::new(example.stdout.take().expect("a pipe"));
    let (pid, mut text) = (example.id().to_string(), String::new());
    while !text.contains(until) {
        assert_ne!(output.read_line(&mut text).expect("text"), 0, "{text}");
    }
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success());
    output.read_to_string(&mut text).expect("text");
    assert!(example.wait().expect("its end").success(), "{text}");
    text
}

#[test]
fn urgent_jobs_come_first_and_ageing_prevents_starvation() {
    let server = Server::start();
    for url in urls(&server) {
        let output = run("priorities", &[&url]);
        let strict = ["h", "n", "l"].map(|letter| letter.repeat(12)).concat();
        assert!(output.starts_with(&format!("strict       {strict}\n")), "{output}");
        assert!(output.ends_with("as it should be: yes\n"), "{output}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves no keys");
    }
}

#[test]
fn stalled_relay_adds_nothing_twice() {
    let server = Server::start();
    for url in urls(&server) {
        let output = run("relay", &[&url]);
        assert!(output.contains("relays it again: AlreadyGone, None"), "{output}");
        assert!(output.ends_with("200 invoices of 200 orders, 0 orders left\n"), "{output}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves no keys");
    }
}

#[test]
fn effect_with_an_idempotency_key_happens_once() {
    let server = Server::start();
    for url in urls(&server) {
        let output = run("idempotent", &[&url]);
        let clicked = if server.redis_at_least(8, 6) { "clicked twice: " } else { "clicked: " };
        assert!(output.starts_with(clicked), "{output}");
        assert_eq!(number(&output, "the provider was called "), 120, "{output}");
        assert!(output.ends_with("100 of 100 customers have paid once\n"), "{output}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves no keys");
    }
}

#[test]
fn stopped_worker_leaves_its_jobs_to_the_next_one() {
    let server = Server::start();
    for url in urls(&server) {
        let output = run("shutdown", &[&url]);
        assert!(output.contains(" 0 in flight, 0 consumers\n"), "{output}");
        assert!(output.ends_with("40 of 40 jobs were done once\n"), "{output}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves no keys");
    }
}

#[test]
fn terminated_worker_stops_gracefully() {
    let server = Server::start();
    let mut example = Command::new(program("shutdown"));
    let example = example.args(["--wait", &server.url()]).stdout(Stdio::piped());
    let mut example = example.spawn().expect("the example runs");
    let mut output = BufReader::new(example.stdout.take().expect("a pipe"));
    let (pid, mut text) = (example.id().to_string(), String::new());
    while !text.contains("takes longer") {
        assert_ne!(output.read_line(&mut text).expect("text"), 0, "{text}");
    }
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    output.read_to_string(&mut text).expect("text");
    assert!(example.wait().expect("its end").success(), "{text}");
    assert!(text.contains("  terminated\n"), "{text}");
    assert!(text.ends_with("40 of 40 jobs were done once\n"), "{text}");
    assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves no keys");
}

#[cfg(feature = "metrics")]
#[test]
fn prometheus_example_publishes_the_metrics() {
    let server = Server::start();
    let output = run("prometheus", &["--once", "--port", "0", &server.url()]);
    let stream = "stream=\"prometheus:jobs\"";
    for name in [
        &format!("redis_streams_processed{{{stream}}} "),
        &format!("redis_streams_duration_seconds_bucket{{{stream},le=\"0.1\"}} "),
        &format!("redis_streams_length{{{stream}}} "),
        &format!("redis_streams_pending{{{stream},group=\"workers\",consumer=\"bourn\"}} "),
        &format!("bourn_jobs_total{{{stream},group=\"workers\",outcome=\"done\"}} "),
        &format!("bourn_dead_letters{{{stream},group=\"workers\"}} "),
    ] {
        assert!(output.lines().any(|line| line.starts_with(name)), "no {name} in:\n{output}");
    }
    assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves no keys");
}

#[test]
fn examples_refuse_to_touch_existing_keys() {
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
fn tour_uses_every_command() {
    let names = command_names();
    assert!(names.len() > 40, "only {names:?}: is this the source?");
    let server = Server::start();
    for url in urls(&server) {
        let output = run("tour", &[&url]);
        let lines = || output.lines().filter_map(|line| line.strip_prefix("  "));
        for name in &names {
            let matches = lines().filter(|line| {
                let words = line.split([' ', ',']).filter(|word| !word.is_empty());
                words.take(name.split(' ').count()).eq(name.split(' '))
            });
            assert!(matches.count() > 0, "{name} is not in the tour:\n{output}");
        }
        assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves no keys");
    }
}

/// Returns the name of every command in `src/command`, read from the source, and MULTI, which has
/// no type there.
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
            // `const NAME: &'static str = "XADD";`, and `DEDICATED_NAME`. An empty name stands for
            // any command.
            let constants = source.split("NAME: &'static str =").skip(1);
            let texts =
                constants.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
            names.extend(texts.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    names
}
