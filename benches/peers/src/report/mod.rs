//! Results as Markdown tables, a table of targets, and charts.

mod chart;
mod stats;
mod table;
mod targets;

use crate::record::{Line, Machine};
use stats::Stats;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Writes the tables to a file and the charts to a folder.
pub fn write(lines: &[Line], also: Option<&Path>, tables: &Path, charts: &Path) -> io::Result<()> {
    let stats = Stats::of(lines);
    let machine = lines.iter().find_map(|line| match line {
        Line::Machine(machine) => Some(machine),
        Line::Run(_) => None,
    });
    let mut text = String::from("# Results\n\n");
    if let Some(machine) = machine {
        text += &head(machine);
    }
    text += &targets::table(&stats);
    text += &table::all(&stats);
    if let Some(also) = also {
        text += &std::fs::read_to_string(also)?;
    }
    std::fs::write(tables, text)?;
    std::fs::create_dir_all(charts)?;
    for file in chart::all(&stats, charts)? {
        println!("{}", file.display());
    }
    println!("{}", tables.display());
    Ok(())
}

fn head(machine: &Machine) -> String {
    let Machine { cpu, cores, load, kernel, rustc, server, bourn, versions, command } = machine;
    let versions: Vec<_> = versions.iter().map(|(name, v)| format!("{name} {v}")).collect();
    let mut text = String::from(
        "Figures are ratios within one run on one machine: only those are worth comparing. Cells are medians of interleaved \
         rounds, with the least and the most in brackets. CPU is user and system time, of the whole client process and of the \
         server. `ct` is tokio's current-thread runtime, client and server each on a core of their own; `mt` is two workers \
         that share all cores with the server. Counts (allocations, instructions) come from runs of their own. bourn has its \
         default settings; its peers have no Nagle and, where there is one to switch off, no response timeout.\n\n",
    );
    let _ = write!(
        text,
        "| | |\n|---|---|\n| machine | {cpu}, {cores} cores, {kernel}, load before the run {load} |\n\
         | server | {server}, without persistence, started for the run |\n| versions | {} |\n\
         | bourn | {bourn} |\n| compiler | {rustc}, release |\n| command | `scripts/bench`: `peers {command}` |\n\n",
        versions.join(", ")
    );
    text
}
