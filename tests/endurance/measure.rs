//! Measures what the process and the server need.

use crate::load::{GROUP, STREAM};
use crate::support::Server;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::fs;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The recorder of metrics.
pub(crate) struct Series(PrometheusHandle);

/// Installs the recorder of this process.
pub(crate) fn install_recorder() -> Series {
    Series(PrometheusBuilder::new().install_recorder().expect("the first one"))
}

/// The resources in use at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// The memory of this process, in KiB.
    pub(crate) memory: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    pub(crate) tasks: u64,
    pub(crate) connections: u64,
    pub(crate) consumers: u64,
    pub(crate) keys: u64,
    /// The memory of the server, in KiB.
    pub(crate) server_memory: u64,
    pub(crate) series: u64,
    /// Entries in the stream.
    pub(crate) length: u64,
    /// The commands that the server has executed since its start, and its uptime.
    pub(crate) commands: u64,
    pub(crate) started: u64,
}

pub(crate) fn measure(server: &Server, series: &Series, start: Instant) -> Sample {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let own = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        number(line.expect("it is there").trim_start_matches(':'))
    };
    let info = server.command(&["INFO"]);
    let told = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        number(line.expect("it is there"))
    };
    let consumers = server.command(&["XINFO", "CONSUMERS", STREAM, GROUP]);
    let text = series.0.render();
    Sample {
        at: start.elapsed(),
        memory: own("VmRSS"),
        descriptors: fs::read_dir("/proc/self/fd").expect("Linux").count() as u64,
        threads: own("Threads"),
        tasks: Handle::current().metrics().num_alive_tasks() as u64,
        connections: told("connected_clients"),
        consumers: consumers.lines().filter(|line| *line == "name").count() as u64,
        keys: number(&server.command(&["DBSIZE"])),
        server_memory: told("used_memory") / 1024,
        series: text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count()
            as u64,
        length: number(&server.command(&["XLEN", STREAM])),
        commands: told("total_commands_processed"),
        started: told("process_id"),
    }
}

/// Returns the first number in a text.
fn number(text: &str) -> u64 {
    let digits = text.trim_start().split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no number: {text}"))
}

/// Returns the commands a second between two samples. `None` if the server was restarted.
pub(crate) fn commands_a_second(before: &Sample, after: &Sample) -> Option<u64> {
    let ms = u64::try_from((after.at - before.at).as_millis()).expect("a short time").max(1);
    let is_same = before.started == after.started;
    is_same.then(|| after.commands.saturating_sub(before.commands) * 1_000 / ms)
}
