//! Compares bourn with its peers and with the limits, in one binary, against a server that it
//! starts itself.
//!
//! `peers run` measures and writes JSON lines, `peers report` creates tables and charts from them.
//! `scripts/bench` does both.
//!
//! | module | content |
//! |---|---|
//! | `server` | the server: starts, pins and kills it, reads its CPU time |
//! | `measure` | time, CPU, allocations; which thread runs on which core |
//! | `clients` | each client behind the same interface; raw sockets, the limits |
//! | `works` | the measured operations, each written once |
//! | `record`, `report` | results as JSON lines; as tables, targets and charts |

mod clients;
mod measure;
mod record;
mod report;
mod server;
mod works;

use clap::{Parser, Subcommand};
use clients::Name;
use record::{Line, Machine, Writer};
use server::Server;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use works::instructions::Counted;
use works::{Bench, Work};

#[derive(Parser)]
#[command(about = "bourn measured beside its peers and beside the limits")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Measures, and writes the results as JSON lines.
    Run {
        /// Few, short cases: under two minutes.
        #[arg(long)]
        quick: bool,
        /// The server: a label of `scripts/servers --list`.
        #[arg(long, default_value = "redis-8.10")]
        server: String,
        /// The file for the results.
        #[arg(long, default_value = "results.jsonl")]
        out: PathBuf,
        /// Only these works.
        #[arg(long, value_enum)]
        work: Vec<Work>,
        /// Only these clients.
        #[arg(long, value_enum)]
        client: Vec<Name>,
        /// The number of rounds; 5 by default, 3 if quick.
        #[arg(long)]
        rounds: Option<u32>,
        /// The duration of each measurement in ms; 250 by default, 100 if quick.
        #[arg(long)]
        ms: Option<u64>,
    },
    /// Runs a number of operations and nothing else, to be counted by callgrind.
    Count {
        #[arg(value_enum)]
        work: Counted,
        client: String,
        n: usize,
        times: usize,
        /// A port or a Unix socket, or the file of a reply.
        #[arg(long)]
        at: String,
    },
    /// Creates tables and charts from results.
    Report {
        results: PathBuf,
        /// A Markdown file to append.
        #[arg(long)]
        also: Option<PathBuf>,
        /// The file for the tables.
        #[arg(long, default_value = "RESULTS.md")]
        tables: PathBuf,
        /// The folder for the charts.
        #[arg(long, default_value = "charts")]
        charts: PathBuf,
    },
}

fn main() -> io::Result<()> {
    match Arguments::parse().what {
        What::Run { quick, server, out, work, client, rounds, ms } => {
            let settings = Settings {
                quick,
                rounds: rounds.unwrap_or(if quick { 3 } else { 5 }),
                period: Duration::from_millis(ms.unwrap_or(if quick { 100 } else { 250 })),
                works: if work.is_empty() { Work::ALL.to_vec() } else { work },
                clients: if client.is_empty() { Name::ALL.to_vec() } else { client },
            };
            run(&server, &out, settings)
        }
        What::Count { work, client, n, times, at } => {
            works::instructions::count(work, &client, n, times, &at);
            Ok(())
        }
        What::Report { results, also, tables, charts } => {
            report::write(&record::read(&results)?, also.as_deref(), &tables, &charts)
        }
    }
}

struct Settings {
    quick: bool,
    rounds: u32,
    period: Duration,
    works: Vec<Work>,
    clients: Vec<Name>,
}

fn run(label: &str, out: &Path, settings: Settings) -> io::Result<()> {
    let begin = Instant::now();
    server::cores();
    let mut server = Server::start(label)?;
    let machine = Machine::here(server.version());
    println!("{}, {}, {} cores", machine.server, machine.cpu, machine.cores);
    if machine.load >= 0.3 {
        println!("  another process is running: the load is {}", machine.load);
    }
    let mut writer = Writer::create(out)?;
    writer.write(&Line::Machine(machine))?;
    let Settings { quick, rounds, period, works, clients } = settings;
    let mut bench = Bench { server, label: label.into(), quick, rounds, period, clients, writer };
    for work in works {
        work.run(&mut bench);
    }
    println!("measured in {} s: {}", begin.elapsed().as_secs(), out.display());
    Ok(())
}
