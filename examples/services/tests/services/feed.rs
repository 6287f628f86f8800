//! The activity feed.

use crate::program::{Events, Program, get, http, until};
use crate::support::Server;
use std::process::Command;

fn start(server: &Server) -> (Program, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feed"));
    command.env("REDIS_URL", server.url()).env("LISTEN", "127.0.0.1:0");
    let program = Program::start(command);
    let address = program.line("listening on http://");
    (program, address)
}

fn add(address: &str, object: u32) -> String {
    let body = format!(r#"{{"actor":"ann","verb":"likes","object":"{object}"}}"#);
    let response = http(address, "POST", "/activities", &[], &body);
    assert_eq!(response.status, 201, "{response:?}");
    response.body
}

fn objects(events: &mut Events, count: usize) -> Vec<u32> {
    let object = |data: &str| -> u32 {
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        data["object"].as_str().and_then(|object| object.parse().ok()).expect("a number")
    };
    (0..count).map(|_| object(&events.next().expect("an event").1)).collect()
}

#[test]
fn both_groups_are_given_every_activity() {
    let server = Server::start();
    let (mut program, address) = start(&server);
    for object in 0..20 {
        add(&address, object);
    }
    let all = r#"{"notifications":20,"statistics":20}"#;
    until("both groups have handled all", || get(&address, "/handled").body == all);
    for group in ["notifications", "statistics"] {
        let none_pending =
            || server.command(&["XPENDING", "feed:activities", group]).starts_with('0');
        until("all is acknowledged", none_pending);
    }
    program.signal("TERM");
    assert!(program.end().success());
}

#[test]
fn browsers_share_one_tail_and_each_sees_what_it_asked_for() {
    let server = Server::start();
    let (mut program, address) = start(&server);
    let ids: Vec<String> = (0..600).map(|object| add(&address, object)).collect();

    // More than one page of the replay, up to the end and on into the live feed.
    let mut all = Events::open(&address, "/feed?since=0", &[]);
    assert_eq!(objects(&mut all, 600), (0..600).collect::<Vec<_>>());
    let header = format!("last-event-id: {}", ids[597]);
    let mut resumed = Events::open(&address, "/feed", &[&header]);
    assert_eq!(objects(&mut resumed, 2), [598, 599]);
    let mut live: Vec<Events> = (0..10).map(|_| Events::open(&address, "/feed", &[])).collect();
    let reads = || {
        let clients = server.command(&["CLIENT", "LIST"]);
        let is_blocked =
            |client: &&str| client.contains("cmd=xread ") && client.contains("flags=b ");
        clients.lines().filter(is_blocked).count()
    };
    // The tail waits in XREAD, and so would every browser if it had a tail of its own.
    until("there is one blocking read", || reads() == 1);

    for object in 600..610 {
        add(&address, object);
    }
    let expected: Vec<u32> = (600..610).collect();
    for events in live.iter_mut().chain([&mut all, &mut resumed]) {
        assert_eq!(objects(events, 10), expected);
    }
    program.signal("TERM");
    assert!(program.end().success());
    assert!(all.next().is_none(), "the streams of events end with the service");
}

#[test]
fn a_restart_of_redis_interrupts_the_feed_without_a_gap() {
    let mut server = Server::builder().append_only().start();
    let (_program, address) = start(&server);
    add(&address, 0);
    let mut events = Events::open(&address, "/feed?since=0", &[]);
    assert_eq!(objects(&mut events, 1), [0]);
    server.restart();
    for object in 1..5 {
        let body = format!(r#"{{"actor":"ann","verb":"likes","object":"{object}"}}"#);
        until("the service is connected again", || {
            http(&address, "POST", "/activities", &[], &body).status == 201
        });
    }
    assert_eq!(objects(&mut events, 4), [1, 2, 3, 4]);
}
