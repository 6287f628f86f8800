//! The table as Markdown: printed by the run, and in docs/server-matrix.md between two marks.

use crate::table::{Case, Line, Row, Table};
use crate::want::{LABELS, Label, NEWEST};
use std::fs;

/// If set and not empty, a successful run on all servers writes docs/server-matrix.md.
pub(crate) const WRITE: &str = "BOURN_WRITE_MATRIX";

pub(crate) const HOW: &str = "scripts/test --all --write-matrix";

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/server-matrix.md");
const MARKS: [&str; 2] = ["<!-- matrix -->\n", "<!-- /matrix -->"];

#[test]
fn document_matches_the_generated_table() {
    // The file is being rewritten.
    if std::env::var_os(WRITE).is_some_and(|set| !set.is_empty()) {
        return;
    }
    let page = fs::read_to_string(PAGE).expect("the page can be read");
    let (_, there, _) = parts(&page);
    let expected = markdown(&crate::all(), &LABELS);
    assert!(there == expected, "{PAGE} is not what the code has: run {HOW}");
}

/// Replaces the table in the document.
pub(crate) fn write(table: &str) {
    let page = fs::read_to_string(PAGE).expect("the page can be read");
    let (before, _, after) = parts(&page);
    let text = [before, MARKS[0], table, MARKS[1], after].concat();
    fs::write(PAGE, text).expect("the page can be written");
}

/// Returns the document's text before, between and after the marks.
fn parts(page: &str) -> (&str, &str, &str) {
    let (before, rest) = page.split_once(MARKS[0]).expect("the page has the line <!-- matrix -->");
    let (there, after) = rest.split_once(MARKS[1]).expect("the page has the line <!-- /matrix -->");
    (before, there, after)
}

/// Formats the table, with a column for each of these servers.
pub(crate) fn markdown(table: &Table, labels: &[&str]) -> String {
    let labels: Vec<_> = labels.iter().map(|label| Label::read(label)).collect();
    let rows: usize = table.lines.iter().map(|line| line.rows.len()).sum();
    let mut text = format!(
        "`r` a reply, `n` nothing to reply (null, empty, 0), `e` an error; `*` not what Redis 8.10 answers; `–` the server is \
         too old, and the error says so (`–*`: but for one that it says first). {rows} rows, in RESP2 and RESP3.\n\n"
    );
    let columns: String = labels.iter().map(|label| format!(" {label} |")).collect();
    text += &format!("| command | option |{columns}\n|---|---|{}\n", "---|".repeat(labels.len()));
    for line in &table.lines {
        let cells: String =
            labels.iter().map(|label| format!(" {} |", cell(line, *label))).collect();
        text += &format!("| {} | {} |{cells}\n", line.command, escape(line.option));
    }
    text += "\nWhere they differ:\n\n";
    for line in &table.lines {
        let name = format!("{} {}", line.command, line.option);
        for differing in line.rows.iter().filter_map(|row| differences(line, row, &labels)) {
            text += &format!("- {}, {differing}\n", name.trim());
        }
    }
    text
}

/// Formats a cell, such as `r n* e`.
fn cell(line: &Line, label: Label) -> String {
    if is_too_old(line, label) {
        let apart = line.rows.iter().any(|row| row.want.of_old(label).is_some());
        return if apart { "–*" } else { "–" }.to_owned();
    }
    let cases = [(Case::Reply, "r"), (Case::Nothing, "n"), (Case::Error, "e")];
    let letters = cases.into_iter().filter_map(|(case, letter)| {
        let mut rows = line.rows.iter().filter(|row| row.case == case).peekable();
        rows.peek()?;
        let newest = Label::read(NEWEST);
        let differs = rows.any(|row| row.want.of(label) != row.want.of(newest));
        Some(if differs { format!("{letter}*") } else { letter.to_owned() })
    });
    letters.collect::<Vec<_>>().join(" ")
}

fn is_too_old(line: &Line, label: Label) -> bool {
    line.since.as_ref().is_some_and(|since| since.is_after(label))
}

/// Formats answers that differ from the newest: ``a deleted entry: 6.2 `[nil]`, else `[]` ``.
fn differences(line: &Line, row: &Row, labels: &[Label]) -> Option<String> {
    let newest = row.want.of(Label::read(NEWEST));
    let mut runs: Vec<(Label, Label, &str)> = Vec::new();
    for label in labels {
        let text = match row.want.of_old(*label) {
            None if is_too_old(line, *label) => continue,
            Some(text) if is_too_old(line, *label) => text,
            _ if row.want.of(*label) == newest => continue,
            _ => row.want.of(*label),
        };
        match runs.last_mut() {
            Some((first, last, said)) if *said == text && first.valkey == label.valkey => {
                *last = *label;
            }
            _ => runs.push((*label, *label, text)),
        }
    }
    let run = |(first, last, text): &(Label, Label, &str)| {
        let (from, to) = (first.to_string(), last.to_string().replace("valkey ", ""));
        let to = if first == last { String::new() } else { format!("–{to}") };
        format!("{from}{to} `{text}`")
    };
    let differing = runs.iter().map(run).collect::<Vec<_>>().join(", ");
    let same = runs.iter().all(|(_, _, text)| *text == newest);
    let or = if same { String::new() } else { format!(", else `{newest}`") };
    (!runs.is_empty()).then(|| format!("{}: {differing}{or}", row.what))
}

/// Escapes a text for a cell.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
