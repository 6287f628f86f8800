//! The tables: a row for each limit and client, a column for each metric, and bourn relative to the
//! best peer below.

use super::stats::{Better, Stat, Stats};
use std::fmt::Write as _;

/// A column: the metric, its heading, its scale, and which direction is better.
struct Column {
    metric: &'static str,
    heading: &'static str,
    scale: f64,
    better: Better,
}

const fn column(metric: &'static str, heading: &'static str, scale: f64, better: Better) -> Column {
    Column { metric, heading, scale, better }
}

use Better::{Less, More};

const P50: Column = column("p50_us", "p50 µs", 1.0, Less);
const P99: Column = column("p99_us", "p99 µs", 1.0, Less);
const P999: Column = column("p999_us", "p99.9 µs", 1.0, Less);
const OPS: Column = column("per_s", "k ops/s", 1e-3, More);
const ENTRIES: Column = column("per_s", "k entries/s", 1e-3, More);
const CLIENT: Column = column("client_us", "client CPU µs", 1.0, Less);
const SERVER: Column = column("server_us", "server CPU µs", 1.0, Less);
const NS: Column = column("ns", "ns an entry", 1.0, Less);
const ALLOCATIONS: Column = column("allocations", "allocations", 1.0, Less);
const HELD: Column = column("held_bytes", "bytes held", 1.0, Less);
const WIRE: Column = column("held_ratio", "held / wire", 1.0, Less);
const PEAK: Column = column("peak_ratio", "peak / own", 1.0, Less);
const INSTRUCTIONS: Column = column("instructions", "instructions", 1.0, Less);

struct Chapter {
    work: &'static str,
    title: &'static str,
    text: &'static str,
    columns: &'static [Column],
}

const CHAPTERS: [Chapter; 8] = [
    Chapter {
        work: "parse",
        title: "Parse: reply bytes to typed entries, every field looked at",
        text: "Replies captured from the server; no network. redis-rs and fred are fed through their public parsers, rustis \
               through the entry that it keeps for its own benches (`bench` feature); fred and rustis copy the reply once in \
               that. `headers` walks over the headers and does nothing else. Per entry.",
        columns: &[NS, ALLOCATIONS, HELD, WIRE],
    },
    Chapter {
        work: "xadd",
        title: "XADD from many tasks",
        text: "Runtime, socket, fields × bytes, tasks; on one connection unless it says ×4. `raw` is a blocking socket with \
               batches made beforehand: in one wave it waits for all replies before it sends again, in two one half is at the \
               server while the other is sent. `redis-benchmark`: one connection, as many in flight, if the machine has it. Per \
               operation; the latency of one in eight is taken.",
        columns: &[OPS, CLIENT, SERVER, P50, P99, P999],
    },
    Chapter {
        work: "allocations",
        title: "Allocations of an XADD",
        text: "In steady state, per operation.",
        columns: &[ALLOCATIONS],
    },
    Chapter {
        work: "drain",
        title: "Drain: XREADGROUP, every field looked at, XACK",
        text: "One field of 16 bytes, current-thread, TCP. Per entry; the latencies are of a batch with its acknowledgement.",
        columns: &[ENTRIES, CLIENT, SERVER, P50, P99, P999, ALLOCATIONS],
    },
    Chapter {
        work: "one",
        title: "One in flight",
        text: "One task adds one entry after the other. `minimal tokio` is a tokio socket that writes and reads, with bytes made \
               beforehand; `timer`: and its runtime has a timer set, as whoever keeps deadlines must have.",
        columns: &[OPS, CLIENT, SERVER, P50, P99, P999],
    },
    Chapter {
        work: "wake",
        title: "Wake-up of a blocked reader",
        text: "From the XADD of another connection until the reader has the typed entry. XREADGROUP BLOCK on a connection of its \
               own.",
        columns: &[P50, P99, P999],
    },
    Chapter {
        work: "memory",
        title: "Memory held by a large reply",
        text: "XRANGE of a whole stream through the client's connection, with the reply held. Per entry; `ns` from the call to \
               the typed reply. Held: with what the connection keeps of its buffer. `peak / own`: the most that was allocated meanwhile, \
               by what the typed reply would hold if it had been parsed from its own bytes.",
        columns: &[HELD, WIRE, PEAK, ALLOCATIONS, NS],
    },
    Chapter {
        work: "instructions",
        title: "User instructions",
        text: "callgrind, the difference of two runs, current-thread. Per operation, and per entry of drain and parse.",
        columns: &[INSTRUCTIONS],
    },
];

/// Returns the tables of all results.
pub fn all(stats: &Stats) -> String {
    let mut text = String::new();
    for chapter in &CHAPTERS {
        let cases = stats.cases(chapter.work);
        if cases.is_empty() {
            continue;
        }
        let _ = write!(text, "## {}\n\n{}\n\n", chapter.title, chapter.text);
        if let [only] = chapter.columns {
            text += &by_client(stats, chapter.work, &cases, only);
        } else {
            for case in cases {
                text += &table(stats, chapter, case);
            }
        }
    }
    text
}

/// Returns a table for a case: its clients are rows.
fn table(stats: &Stats, chapter: &Chapter, case: &str) -> String {
    let Chapter { work, columns, .. } = chapter;
    let headings: Vec<_> = columns.iter().map(|column| column.heading).collect();
    let mut text = format!("| **{case}** | {} |\n|---|", headings.join(" | "));
    text += &"---|".repeat(columns.len());
    text.push('\n');
    for client in stats.clients(work, case) {
        let cells = columns
            .iter()
            .map(|column| cell(stats.get(work, case, client, column.metric), column.scale));
        let _ = writeln!(text, "| {client} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    let ratios = columns.iter().map(|column| ratio(stats, work, case, column));
    let _ =
        writeln!(text, "| *bourn / best peer* | {} |\n", ratios.collect::<Vec<_>>().join(" | "));
    text
}

/// Returns one table for all cases: its clients are columns.
fn by_client(stats: &Stats, work: &str, cases: &[&str], column: &Column) -> String {
    let mut clients = Vec::new();
    for client in cases.iter().flat_map(|case| stats.clients(work, case)) {
        if !clients.contains(&client) {
            clients.push(client);
        }
    }
    let mut text =
        format!("| {} | {} | *bourn / best peer* |\n", column.heading, clients.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(clients.len() + 1));
    for case in cases {
        let cells = clients
            .iter()
            .map(|client| cell(stats.get(work, case, client, column.metric), column.scale));
        let cells: Vec<_> = cells.chain([ratio(stats, work, case, column)]).collect();
        let _ = writeln!(text, "| {case} | {} |", cells.join(" | "));
    }
    text.push('\n');
    text
}

fn cell(stat: Option<Stat>, scale: f64) -> String {
    let Some(Stat { median, min, max, rounds }) = stat else { return "–".into() };
    let number = |value: f64| number(value * scale);
    match rounds {
        1 => number(median),
        _ if min == max => number(median),
        _ => format!("{} ({}–{})", number(median), number(min), number(max)),
    }
}

fn ratio(stats: &Stats, work: &str, case: &str, column: &Column) -> String {
    let best = stats.best_peer(work, case, column.metric, column.better);
    let ratio = stats.ratio(work, case, column.metric, column.better);
    match (ratio, best) {
        (Some(ratio), Some((name, _))) => format!("**{}** ({name})", number(ratio)),
        _ => "–".into(),
    }
}

/// Formats a number with about three digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v < 0.000_05 => "0".into(),
        v if v < 0.01 => format!("{value:.4}"),
        v if v < 1.0 => format!("{value:.3}"),
        v if v < 10.0 => format!("{value:.2}"),
        v if v < 100.0 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_three_digits() {
        for (value, text) in [
            (0.0, "0"),
            (0.0021, "0.0021"),
            (0.5, "0.500"),
            (12.34, "12.3"),
            (1234567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text, "{value}");
        }
    }
}
