//! Results as JSON lines: one for the machine, then one for each run of a client.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;

/// Measured values by name; the unit is in the name.
pub type Values = BTreeMap<String, f64>;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    Machine(Machine),
    Run(Record),
}

/// The machine and the versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    /// The load of the last minute before the run, caused by other processes.
    pub load: f64,
    pub kernel: String,
    pub rustc: String,
    pub server: String,
    pub bourn: String,
    pub versions: BTreeMap<String, String>,
    pub command: String,
}

/// One run of one client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub work: String,
    pub case: String,
    pub client: String,
    pub round: u32,
    pub values: Values,
}

impl Machine {
    pub fn here(server: String) -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cpu =
            cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cpu: cpu.map_or("unknown".into(), |(_, name)| name.into()),
            cores: crate::server::cores().len(),
            load: load.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0.0),
            kernel: said("uname", &["-sr"]),
            rustc: said("rustc", &["--version"]),
            server,
            bourn: said(
                "git",
                &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"],
            ),
            versions: versions(),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        }
    }
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or("unknown".into(), |o| String::from_utf8_lossy(&o.stdout).trim().into())
}

/// Returns the versions of the clients, from the lock file of this build.
fn versions() -> BTreeMap<String, String> {
    let lock = include_str!("../Cargo.lock");
    let packages = lock.split("[[package]]").filter_map(|package| {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        Some((field("name = ")?, field("version = ")?))
    });
    let shown = ["bourn", "redis", "fred", "rustis", "tokio"];
    packages
        .filter(|(name, _)| shown.contains(&name.as_str()))
        .map(|(name, version)| match (name.as_str(), version.starts_with('1')) {
            ("redis", true) => ("redis-rs 1".to_owned(), version),
            ("redis", false) => ("redis-rs 2 rc".to_owned(), version),
            _ => (name, version),
        })
        .collect()
}

/// Writes each line at once, so that an interrupted run keeps its results.
pub struct Writer(File);

impl Writer {
    pub fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Self)
    }

    pub fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.0.write_all(text.as_bytes())
    }
}

/// Reads all lines of a file.
pub fn read(path: &Path) -> io::Result<Vec<Line>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}
