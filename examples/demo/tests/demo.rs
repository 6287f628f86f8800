//! The demo as a program: without a terminal, on a terminal, interrupted, and on a server that has
//! its keys already.

#[path = "../../../tests/server/support.rs"]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use support::Server;

const DEMO: &str = env!("CARGO_BIN_EXE_bourn-demo");

/// The limit of a run. About 5 s are usual for 2,000 jobs.
const LIMIT: Duration = Duration::from_secs(120);

fn demo(server: &Server) -> Command {
    let mut demo = Command::new(DEMO);
    demo.args(["--jobs", "2000"]).env("REDIS_URL", server.url());
    demo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    demo
}

/// Runs a program to its end, or kills it at the limit.
fn run(mut program: Command) -> Output {
    let mut child = program.spawn().expect("it starts");
    let (pid, end) = (child.id().to_string(), Instant::now() + LIMIT);
    let mut pipes = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let stdout = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipes.0.read_to_end(&mut bytes).expect("bytes");
        bytes
    });
    let stderr = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipes.1.read_to_end(&mut bytes).expect("bytes");
        bytes
    });
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if Instant::now() > end {
            child.kill().expect("it can be killed");
            panic!("process {pid} took longer than {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let (stdout, stderr) = (stdout.join().expect("read"), stderr.join().expect("read"));
    Output { status, stdout, stderr }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The number behind a name in the summary.
fn row(text: &str, name: &str) -> u64 {
    let summary = text.rsplit("Summary").next().unwrap_or_default();
    let line = summary.lines().find_map(|line| line.trim_start().strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.map(|number| number.replace(',', "").parse());
    number.and_then(Result::ok).unwrap_or_else(|| panic!("no number behind {name:?} in:\n{text}"))
}

/// The rate in the line that begins so: `1,234` of `sent 2,000 in 1.6 s, 1,234/s`.
fn rate<'a>(text: &'a str, start: &str) -> &'a str {
    let line = text.lines().find(|line| line.trim_start().starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no line begins with {start:?} in:\n{text}"));
    let rate = line.split("/s").next().and_then(|line| line.split_whitespace().last());
    rate.expect("a rate")
}

fn assert_complete(text: &str) {
    let rows = [
        ("jobs enqueued", 2_002),
        ("e-mails sent", 2_002),
        ("lost", 0),
        ("retried", 40),
        ("redriven", 2),
        ("left in Redis", 0),
    ];
    for (name, expected) in rows {
        assert_eq!(row(text, name), expected, "{name} in:\n{text}");
    }
    assert_eq!(rate(text, "sent 2,000"), rate(text, "e-mails sent"), "{text}");
}

#[test]
fn no_job_is_lost_by_a_killed_worker_and_poison_jobs_become_dead_letters() {
    let server = Server::start();
    let Output { status, stdout, stderr } = run(demo(&server));
    let (said, errors) = (text(&stdout), text(&stderr));
    assert!(status.success(), "{said}{errors}");
    assert_eq!(errors, "");
    assert!(!said.contains('\x1b'), "there are bars in a pipe:\n{said}");
    assert_complete(&said);
    for part in [
        "of its jobs are in flight",
        "others took over",
        "after 1 attempt: no template is called \"wellcome\"\n",
        "after 3 attempts: panicked: poison job: the amount \"ten\" is not a number\n",
        "2 jobs redriven, 2 e-mails sent\n",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    let panics = said.lines().filter(|line| line.contains("the handler panicked"));
    assert_eq!(panics.count(), 3, "{said}");
    let announced = said.find("Two poison jobs").expect("the act");
    assert!(announced < said.find("the handler panicked").expect("a panic"), "{said}");
    assert_eq!(server.command(&["DBSIZE"]), "0", "it leaves nothing behind");
}

#[test]
fn a_terminal_shows_bars_and_is_clean_after_them() {
    let server = Server::start();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &format!("{DEMO} --jobs 2000"), "/dev/null"]);
    script.env("REDIS_URL", server.url()).env("TERM", "xterm");
    script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Output { status, stdout, stderr } = run(script);
    let said = text(&stdout);
    assert!(status.success(), "{said}{}", text(&stderr));
    let (bars, rest) = said.rsplit_once("\x1b[2K").expect("bars are drawn and erased");
    assert!(bars.contains('█') && bars.contains("worker 3") && bars.contains("killed"), "{said}");
    assert!(!rest.contains('█'), "a bar is left:\n{said}");
    assert_complete(&rest.replace('\r', ""));
}

#[test]
fn an_interrupt_stops_the_workers_and_removes_the_keys() {
    let server = Server::start();
    for (act, signal) in [("2.", "-INT"), ("3.", "-TERM"), ("4.", "-INT")] {
        let mut child = demo(&server).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let found = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with(act));
        assert!(found, "there is no act {act}");
        assert!(connections(&server) > 0);
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        assert_eq!(child.wait().expect("its end").code(), Some(130), "act {act}: {rest:#?}");
        assert!(rest.iter().any(|line| line.starts_with("interrupted")), "act {act}: {rest:#?}");
        assert_eq!(server.command(&["DBSIZE"]), "0", "act {act} leaves nothing behind");
        assert_eq!(connections(&server), 0, "act {act}: the worker process has ended");
    }
}

/// Returns the number of connections of the demo and its worker process.
fn connections(server: &Server) -> usize {
    let clients = server.command(&["CLIENT", "LIST"]);
    clients.lines().filter(|line| !line.contains("cmd=client")).count()
}

#[test]
fn keys_that_exist_already_are_left_alone() {
    let server = Server::start();
    for key in ["email:tasks", "email:dead-letter"] {
        let id = server.command(&["XADD", key, "*", "f", "v"]);
        let Output { status, stderr, .. } = run(demo(&server));
        let errors = text(&stderr);
        assert!(!status.success() && errors.contains("left alone"), "{key}: {errors}");
        assert_eq!(server.command(&["XRANGE", key, "-", "+"]), format!("{id}\nf\nv"), "{key}");
        assert_eq!(server.command(&["UNLINK", key]), "1");
    }
}

/// A newcomer compiles these before the first output.
#[test]
fn the_demo_needs_30_crates_at_most() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
    let lock = fs::read_to_string(lock).expect("the lock file");
    let crates = lock.lines().filter(|line| *line == "[[package]]").count();
    assert!(crates <= 30, "{crates} crates");
}
