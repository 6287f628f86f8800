//! The bridge to SQLite.

use crate::program::{Program, until};
use crate::support::Server;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::process::Command;

const ENTRIES: u64 = 100_000;
const ACCOUNTS: u64 = 100;

fn bridge(server: &Server, options: &[&str], database: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
    command.args(options).arg(database).env("REDIS_URL", server.url());
    command
}

/// The path of a database that does not exist yet.
fn new_database(server: &Server) -> PathBuf {
    // The server's folder is its own, and is removed with it.
    server.socket_path().with_file_name("cdc.db")
}

/// A number from the database; `None` while there is no such table.
fn number(database: &Path, query: &str) -> Option<u64> {
    let connection =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
    connection.busy_timeout(std::time::Duration::from_secs(30)).ok()?;
    connection.query_row(query, [], |row| row.get::<_, i64>(0)).ok().and_then(|n| n.try_into().ok())
}

/// Adds changes: the n-th is an amount of n for the account n % 100.
fn add(server: &Server, numbers: std::ops::RangeInclusive<u64>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = bourn::Client::connect(server.url()).await.expect("a client");
        let changes = numbers.map(|n| {
            let account = n % ACCOUNTS;
            bourn::XAdd::new("cdc:accounts").field("account", account).field("amount", n)
        });
        for added in client.send_all(changes.collect::<Vec<_>>()).await {
            added.expect("the change is added");
        }
    });
}

#[test]
fn killed_in_the_middle_it_applies_every_entry_once() {
    let server = Server::start();
    let database = new_database(&server);
    add(&server, 1..=ENTRIES);
    let count = || number(&database, "SELECT count(*) FROM changes").unwrap_or(0);

    let mut before = 0;
    for kill in 1..=5 {
        let mut program = Program::start(bridge(&server, &[], &database));
        // Some batches of each life are committed, and another one is in progress.
        until("two batches are committed", || count() >= before + 2_000);
        program.kill9();
        before = count();
        println!("kill {kill}: {before} of {ENTRIES} entries are applied");
        assert_eq!(before % 1_000, 0, "a part of a transaction was kept");
    }
    assert!(before < ENTRIES, "there is something left to do after the last kill");

    println!("{}", Program::output(bridge(&server, &["--until-end"], &database)).trim_end());
    let rows = [
        ("SELECT count(*) FROM changes", ENTRIES),
        ("SELECT count(DISTINCT entry) FROM changes", ENTRIES),
        ("SELECT count(*) FROM accounts", ACCOUNTS),
        ("SELECT sum(balance) FROM accounts", ENTRIES * (ENTRIES + 1) / 2),
    ];
    for (query, expected) in rows {
        assert_eq!(number(&database, query), Some(expected), "{query}");
    }
}

#[test]
fn it_follows_the_stream_and_stops_at_sigterm() {
    let server = Server::start();
    let database = new_database(&server);
    let mut program = Program::start(bridge(&server, &[], &database));
    until("it waits", || server.command(&["CLIENT", "LIST"]).contains("cmd=xread"));
    add(&server, 1..=10);
    until("the entries are applied", || {
        number(&database, "SELECT count(*) FROM changes") == Some(10)
    });
    program.signal("TERM");
    assert!(program.end().success());
    assert!(program.line("10 entries in ").ends_with("entries/s"));
}

#[test]
fn deleted_entries_that_were_not_applied_are_an_error() {
    let server = Server::start();
    let database = new_database(&server);
    add(&server, 1..=10);
    server.command(&["XTRIM", "cdc:accounts", "MAXLEN", "5"]);
    let mut program = Program::start(bridge(&server, &["--until-end"], &database));
    assert!(!program.end().success());
    assert_eq!(number(&database, "SELECT count(*) FROM changes"), Some(0));
}
