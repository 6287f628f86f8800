//! The example as a program, against a real server.

#[path = "../../../tests/server/support.rs"]
mod support;

use std::process::{Command, Output};
use support::Server;

/// A span as the program prints it.
#[derive(Debug)]
struct Span<'a> {
    trace: &'a str,
    id: &'a str,
    parent: &'a str,
}

/// Returns the spans of the lines that begin with a name, in their order.
fn spans<'a>(text: &'a str, name: &str) -> Vec<Span<'a>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let span = |line: &'a str| match line.split(' ').collect::<Vec<_>>()[..] {
        ["trace", trace, "span", id, "parent", parent] => Span { trace, id, parent },
        _ => panic!("not a span: {line}"),
    };
    lines.map(span).collect()
}

/// Returns the only span of this name.
fn only<'a>(text: &'a str, name: &str) -> Span<'a> {
    let mut spans = spans(text, name);
    assert_eq!(spans.len(), 1, "{name} in:\n{text}");
    spans.remove(0)
}

#[test]
fn both_attempts_of_a_job_are_children_of_the_producer_in_its_trace() {
    let server = Server::start();
    let program = env!("CARGO_BIN_EXE_bourn-opentelemetry");
    // `timeout` stops a program that does not end by itself.
    let run = Command::new("timeout").args(["60", program, &server.url()]).output();
    let Output { status, stdout, stderr } = run.expect("the program starts");
    let (text, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));

    let producer = only(&text, "producer");
    assert_eq!((producer.trace.len(), producer.id.len()), (32, 16), "{text}{errors}");
    assert_eq!(producer.parent, "0000000000000000", "the producer is the root of:\n{text}");
    let attempts = [only(&text, "attempt 1"), only(&text, "attempt 2")];
    let handlers = spans(&text, "handler");
    assert_eq!(handlers.len(), 2, "{text}");
    for (attempt, handler) in attempts.iter().zip(&handlers) {
        assert_eq!((attempt.trace, attempt.parent), (producer.trace, producer.id), "{text}");
        assert_eq!((handler.trace, handler.parent), (producer.trace, attempt.id), "{text}");
    }
    assert_ne!(attempts[0].id, attempts[1].id, "each attempt has a span of its own:\n{text}");
    assert!(status.success(), "{status}\n{text}{errors}");
    assert_eq!(server.command(&["DBSIZE"]), "0", "the program removes its keys");
}
