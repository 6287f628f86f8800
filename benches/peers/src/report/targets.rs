//! The targets that were set beforehand, and whether they are met.

use super::stats::Better::{Less, More};
use super::stats::{Better, Stats};
use super::table::number;
use std::fmt::Write as _;

/// A figure with a minimum or a maximum.
struct Target {
    text: String,
    value: Option<f64>,
    bound: f64,
    better: Better,
}

struct Targets<'a> {
    stats: &'a Stats,
    list: Vec<Target>,
}

impl Targets<'_> {
    fn add(&mut self, text: impl Into<String>, value: Option<f64>, better: Better, bound: f64) {
        self.list.push(Target { text: text.into(), value, bound, better });
    }

    /// Adds a target for bourn relative to the best peer.
    fn peer(&mut self, work: &str, case: &str, metric: &str, better: Better, bound: f64) {
        let value = self.stats.ratio(work, case, metric, better);
        let text = format!("{work}, {case}: {}, by the best peer's", named(metric));
        self.add(text, value, better, bound);
    }

    /// Adds a target for bourn relative to this limit or client.
    fn to(&mut self, place: [&str; 3], client: &str, better: Better, bound: f64) {
        let [work, case, metric] = place;
        let value = self.stats.ratio_to(work, case, metric, client);
        self.add(format!("{work}, {case}: {}, by {client}", named(metric)), value, better, bound);
    }

    /// Adds a target for how many times as fast as this client bourn is.
    fn times(&mut self, case: &str, clients: &[&str], bound: f64) {
        let times = clients.iter().filter_map(|client| {
            self.stats.ratio_to("parse", case, "ns", client).map(|ratio| 1.0 / ratio)
        });
        let value = times.reduce(f64::min);
        self.add(format!("parse, {case}: times as fast as {}", clients[0]), value, More, bound);
    }
}

fn named(metric: &str) -> &str {
    match metric {
        "per_s" => "throughput",
        "client_us" => "client CPU",
        "p50_us" => "p50",
        "p99_us" => "p99",
        other => other,
    }
}

/// Returns the table of all targets with results.
pub fn table(stats: &Stats) -> String {
    let mut targets = Targets { stats, list: Vec::new() };
    parse(&mut targets);
    xadd(&mut targets);
    others(&mut targets);
    let mut text =
        String::from("## Targets\n\n| figure | bound | measured | |\n|---|---|---|---|\n");
    for Target { text: what, value, bound, better } in targets.list {
        let (word, met) = match better {
            More => ("at least", value.map(|value| value >= bound)),
            Less => ("at most", value.map(|value| value <= bound)),
        };
        let met = met.map_or("not measured", |met| if met { "met" } else { "**not met**" });
        let value = value.map_or("–".into(), number);
        let _ = writeln!(text, "| {what} | {word} {} | {value} | {met} |", number(bound));
    }
    text.push('\n');
    text
}

fn parse(targets: &mut Targets) {
    let redis = ["redis-rs 1", "redis-rs 2 rc"];
    let (five, mixed) = ("1,000 × 5 × 32 B", "1,000 × 5 × mixed");
    targets.times(five, &redis, 50.0);
    targets.times(five, &["rustis"], 20.0);
    targets.to(["instructions", &format!("parse {five}"), "instructions"], "headers", Less, 1.35);
    targets.times(mixed, &redis, 25.0);
    targets.times(mixed, &["rustis"], 10.0);
    let stats = targets.stats;
    for case in [five, mixed] {
        let allocations = stats.bourn("parse", case, "allocations");
        targets.add(format!("parse, {case}: allocations an entry"), allocations, Less, 0.01);
    }
    let held = stats.bourn("parse", five, "held_ratio");
    targets.add(format!("parse, {five}: bytes held by bytes on the wire"), held, Less, 1.4);
    let received = stats.bourn("memory", "350,000 × 5 × 32 B", "held_ratio");
    targets.add("memory, received: bytes held by bytes on the wire", received, Less, 1.4);
    let large = stats.bourn("parse", "100,000 × 5 × 32 B", "ns");
    let growth = large.zip(stats.bourn("parse", five, "ns")).map(|(large, small)| large / small);
    targets.add("parse: ns an entry at 100,000 by that at 1,000", growth, Less, 1.3);
}

fn xadd(targets: &mut Targets) {
    let case = |n: usize| format!("ct tcp 1x16 {n}");
    for (n, bound) in [(1, 0.95), (16, 0.65), (64, 0.55), (256, 1.0 / 3.0), (1024, 1.0 / 3.0)] {
        targets.peer("xadd", &case(n), "client_us", Less, bound);
    }
    targets.peer("xadd", &case(64), "per_s", More, 1.3);
    for n in [256, 1024] {
        // The better of the two raw sockets is the limit.
        let waves = [1, 2].iter().filter_map(|waves| {
            targets.stats.ratio_to("xadd", &case(n), "per_s", &format!("raw, waves: {waves}"))
        });
        let value = waves.reduce(f64::min);
        targets.add(format!("xadd, {}: throughput, by raw", case(n)), value, More, 0.95);
        targets.peer("xadd", &case(n), "per_s", More, 0.98);
    }
    for n in [64, 256, 1024] {
        let case = format!("mt tcp 1x16 {n}");
        targets.peer("xadd", &case, "per_s", More, 1.5);
        targets.peer("xadd", &case, "client_us", Less, 0.5);
    }
    targets.peer("xadd", "mt tcp 1x16 256 x4", "per_s", More, 1.8);
    targets.peer("xadd", "mt tcp 1x16 256 x4", "client_us", Less, 0.35);
    targets.peer("instructions", "xadd 256", "instructions", Less, 0.28);
    let allocations = targets.stats.bourn("allocations", &case(256), "allocations");
    targets.add("XADD in steady state: allocations", allocations, Less, 1.0);
}

fn others(targets: &mut Targets) {
    for (count, more, less) in [(100, 1.3, 0.35), (1000, 1.4, 0.22)] {
        let case = format!("COUNT {count}, one XACK");
        targets.peer("drain", &case, "per_s", More, more);
        targets.peer("drain", &case, "client_us", Less, less);
        let allocations = targets.stats.bourn("drain", &case, "allocations");
        targets.add(format!("drain, {case}: allocations an entry"), allocations, Less, 0.1);
    }
    targets.to(["drain", "COUNT 1000, one XACK", "per_s"], "raw", More, 0.95);
    targets.to(["one", "ct tcp", "p50_us"], "minimal tokio", Less, 1.08);
    targets.peer("one", "ct tcp", "client_us", Less, 0.9);
    targets.peer("wake", "ct tcp", "p50_us", Less, 0.95);
    targets.peer("wake", "ct tcp", "p99_us", Less, 0.95);
    let peak = targets.stats.bourn("memory", "350,000 × 5 × 32 B", "peak_ratio");
    targets.add("memory, a reply of 100 MB: peak by the batch's own size", peak, Less, 1.1);
}
