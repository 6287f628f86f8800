//! The measured operations. Each work is written once and runs with every client.
//!
//! A case is run in rounds, with all clients in each round, so that other load on the machine
//! affects all of them alike.

pub mod drain;
pub mod instructions;
pub mod memory;
pub mod one;
pub mod parse;
pub mod replies;
pub mod wake;
pub mod xadd;

use crate::clients::Name;
use crate::record::{Line, Record, Values, Writer};
use crate::server::Server;
use clap::ValueEnum;
use std::io::Write as _;
use std::time::Duration;

/// The works by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    Parse,
    Xadd,
    Drain,
    One,
    Wake,
    Memory,
    Instructions,
}

impl Work {
    pub const ALL: [Self; 7] = [
        Self::Parse,
        Self::Xadd,
        Self::Drain,
        Self::One,
        Self::Wake,
        Self::Memory,
        Self::Instructions,
    ];

    pub fn run(self, bench: &mut Bench) {
        match self {
            Self::Parse => parse::run(bench),
            Self::Xadd => xadd::run(bench),
            Self::Drain => drain::run(bench),
            Self::One => one::run(bench),
            Self::Wake => wake::run(bench),
            Self::Memory => memory::run(bench),
            Self::Instructions => instructions::run(bench),
        }
    }
}

/// The common parameters of every work: the server, the duration, the rounds, and the output.
pub struct Bench {
    pub server: Server,
    pub label: String,
    pub quick: bool,
    pub rounds: u32,
    pub period: Duration,
    pub clients: Vec<Name>,
    pub writer: Writer,
}

impl Bench {
    /// Records a run.
    pub fn note(&mut self, work: &str, case: &str, client: &str, round: u32, values: Values) {
        let record =
            Record { work: work.into(), case: case.into(), client: client.into(), round, values };
        self.writer.write(&Line::Run(record)).expect("the results can be written");
    }

    /// Returns the clients, in another order each round.
    pub fn turn(&self, round: u32) -> Vec<Name> {
        let mut clients = self.clients.clone();
        clients.rotate_left(round as usize % self.clients.len().max(1));
        clients
    }

    /// Prints what is measured now.
    pub fn say(&self, what: &str) {
        println!("  {what}");
        let _ = std::io::stdout().flush();
    }
}
