//! The e-mail queue.

use crate::program::{Program, until};
use crate::support::Server;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// Sends an e-mail by adding a line to `sent`, once per key. User 7 is refused at the first
/// attempt, the template `wellcome` does not exist, and user 99 keeps the worker busy until `go`
/// exists.
const MAIL_COMMAND: &str = r#"#!/bin/sh
here=$(dirname "$0")
user=$1 template=$2 key=$(echo "$3" | tr / _)
if [ "$template" = wellcome ]; then echo "no template $template" >&2; exit 65; fi
if [ "$user" = 7 ] && mkdir "$here/refused-$key" 2>/dev/null; then echo busy >&2; exit 75; fi
if [ "$user" = 99 ]; then while [ -d "$here" ] && [ ! -e "$here/go" ]; do sleep 0.05; done; fi
mkdir "$here/key-$key" 2>/dev/null || exit 0
echo "$user $template" >>"$here/sent"
"#;

struct Office {
    server: Server,
    folder: PathBuf,
}

impl Office {
    fn new() -> Self {
        let server = Server::start();
        let folder = server.socket_path().with_file_name("mail");
        fs::create_dir(&folder).expect("a folder");
        let command = folder.join("command");
        fs::write(&command, MAIL_COMMAND).expect("a file");
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).expect("a program");
        Self { server, folder }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_email"));
        command.args(args).env("REDIS_URL", self.server.url()).env("LEASE_SECONDS", "2");
        command.env("MAIL_COMMAND", self.folder.join("command"));
        command
    }

    fn run(&self, args: &[&str]) -> String {
        Program::output(self.command(args))
    }

    fn worker(&self) -> Program {
        let program = Program::start(self.command(&["work"]));
        program.line("ready");
        program
    }

    /// The lines of `sent`, in order.
    fn sent(&self) -> Vec<String> {
        let sent = fs::read_to_string(self.folder.join("sent")).unwrap_or_default();
        sent.lines().map(str::to_owned).collect()
    }
}

#[test]
fn every_email_is_sent_although_a_worker_is_killed() {
    let office = Office::new();
    let users = 40;
    for user in 0..users {
        office.run(&["enqueue", &user.to_string(), "welcome"]);
    }
    office.run(&["enqueue", "99", "welcome"]);
    let mut doomed = office.worker();
    until("only the stuck e-mail is left", || office.sent().len() == users);
    doomed.kill9();
    // The mail program of the killed worker lives on: both run for the same key, and one e-mail is
    // sent.
    let mut worker = office.worker();
    let attempts = || office.run(&["status"]);
    until("another worker has the job", || attempts().contains("1 in flight"));
    fs::write(office.folder.join("go"), "").expect("a file");
    until("the last e-mail is sent", || office.sent().len() == users + 1);
    until("nothing is left", || office.server.command(&["XLEN", "email:tasks"]) == "0");
    worker.signal("TERM");
    assert!(worker.end().success());

    let mut times = HashMap::new();
    for line in office.sent() {
        *times.entry(line).or_insert(0) += 1;
    }
    assert!(times.values().all(|times| *times == 1), "{times:?}");
}

#[test]
fn invalid_emails_are_dead_letters_until_they_are_redriven() {
    let office = Office::new();
    office.run(&["enqueue", "1", "wellcome"]);
    office.run(&["enqueue", "7", "invoice"]);
    let _worker = office.worker();
    until("user 7 is served at the second attempt", || office.sent() == ["7 invoice"]);
    until("the other one is dead", || office.run(&["status"]).contains("0 to retry, 1 dead"));
    let dead = office.run(&["dead"]);
    assert!(dead.ends_with("user 1, wellcome: attempt 1: no template wellcome\n"), "{dead}");

    // The template is added.
    let command = office.folder.join("command");
    let fixed = MAIL_COMMAND.replace("= wellcome", "= none");
    let new = office.folder.join("new");
    fs::write(&new, fixed).expect("a file");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("a program");
    fs::rename(&new, &command).expect("it replaces the old one");
    let redriven = office.run(&["redrive", "no template"]);
    assert!(redriven.contains("email:tasks: 1 redriven"), "{redriven}");
    until("it is sent", || office.sent() == ["7 invoice", "1 wellcome"]);
    assert_eq!(office.run(&["dead"]), "");
}

#[test]
fn urgent_emails_come_first_and_keys_are_added_once() {
    let office = Office::new();
    for user in 200..230 {
        office.run(&["enqueue", &user.to_string(), "newsletter"]);
    }
    office.run(&["enqueue", "--urgent", "1", "reset_password"]);
    if office.server.redis_at_least(8, 6) {
        let [first, second] = [(); 2]
            .map(|()| office.run(&["enqueue", "--urgent", "--key", "welcome:2", "2", "welcome"]));
        assert_eq!(first, second, "the same job");
    } else {
        office.run(&["enqueue", "--urgent", "2", "welcome"]);
    }
    let _worker = office.worker();
    until("all are sent", || office.sent().len() == 32);
    // Ten are sent at the same time.
    let first = office.sent().into_iter().take(12).collect::<Vec<_>>();
    assert!(first.contains(&"1 reset_password".to_owned()), "{first:?}");
    assert!(first.contains(&"2 welcome".to_owned()), "{first:?}");
}
