//! The web service.

use crate::program::{Program, get, http, until};
use crate::support::{Server, free_port};
use std::process::Command;
use std::time::{Duration, Instant};

fn start(url: &str) -> (Program, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.env("REDIS_URL", url).env("LISTEN", "127.0.0.1:0");
    let program = Program::start(command);
    let address = program.line("listening on http://");
    (program, address)
}

fn order(address: &str, head: &[&str]) -> (u16, String) {
    let response = http(address, "POST", "/orders", head, r#"{"sku":"A-7","count":3}"#);
    (response.status, response.body)
}

#[test]
fn orders_are_processed_and_counted() {
    let server = Server::start();
    let (_program, address) = start(&server.url());
    until("the queue is open", || order(&address, &[]).0 == 202);
    for _ in 0..9 {
        assert_eq!(order(&address, &[]).0, 202);
    }
    let done = "bourn_jobs_total{stream=\"orders\",group=\"workers\",outcome=\"done\"} 10";
    until("the metrics count ten orders", || get(&address, "/metrics").body.contains(done));
    assert_eq!(server.command(&["XLEN", "orders"]), "0");
}

#[test]
fn a_repeated_request_enqueues_once() {
    let server = Server::start();
    let (_program, address) = start(&server.url());
    until("the queue is open", || {
        get(&address, "/health").status == 200 && order(&address, &[]).0 == 202
    });
    let [first, second] = [(); 2].map(|()| order(&address, &["idempotency-key: 4711"]));
    if server.redis_at_least(8, 6) {
        assert_eq!(first.0, 202);
        assert_eq!(first, second, "the same id");
    } else {
        assert_eq!((first.0, second.0), (501, 501), "{first:?}");
    }
}

#[test]
fn health_answers_at_once_without_redis_and_recovers_with_it() {
    let mut server = Server::builder().append_only().start();
    let (_program, address) = start(&server.url());
    let healthy = || get(&address, "/health").status == 200;
    until("there is a connection", healthy);
    server.kill9();
    until("the loss is noticed", || !healthy());
    let begin = Instant::now();
    assert_eq!(get(&address, "/health").status, 503);
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(order(&address, &[]).0, 503);
    server.restart();
    until("there is a connection again", healthy);
    until("orders are taken again", || order(&address, &[]).0 == 202);
}

#[test]
fn the_service_starts_without_redis() {
    let (mut program, address) = start(&format!("redis://127.0.0.1:{}", free_port()));
    assert_eq!(get(&address, "/health").status, 503);
    assert_eq!(
        order(&address, &[]),
        (503, "the order was not taken: no connection to Redis yet".into())
    );
    program.signal("TERM");
    assert!(program.end().success());
}

#[test]
fn sigterm_drains() {
    let server = Server::start();
    let (mut program, address) = start(&server.url());
    until("the queue is open", || order(&address, &[]).0 == 202);
    for _ in 0..20 {
        assert_eq!(order(&address, &[]).0, 202);
    }
    program.signal("TERM");
    assert!(program.end().success());
    assert_eq!(program.line("stopped"), "");
    // Jobs that were not started are still in the queue, and nothing is pending.
    assert!(server.command(&["XPENDING", "orders", "workers"]).starts_with('0'));
    let (mut program, _) = start(&server.url());
    until("the next process does the rest", || server.command(&["XLEN", "orders"]) == "0");
    program.signal("TERM");
    assert!(program.end().success());
}
