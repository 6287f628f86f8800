//! The output at the end of a soak.

use crate::history::{End, History, SendResult};
use crate::judge::Verdict;
use std::collections::{BTreeMap, BTreeSet};

/// The maximum number of violations listed, and of log lines shown for the first of each rule.
const LISTED: usize = 40;
const LINES: usize = 60;

/// Formats the numbers of a history as a table.
pub(crate) fn table(history: &History, verdict: &Verdict) -> String {
    let sends = || history.jobs.values().flat_map(|job| job.times.iter().map(|(_, sent)| *sent));
    let enqueued = sends().filter(|sent| matches!(sent, SendResult::Enqueued(_))).count();
    let unknown = sends().filter(|sent| *sent == SendResult::Unknown).count();
    let poison = history.jobs.values().filter(|job| job.kind.is_poison()).count();
    let runs = || history.runs.values().flatten();
    let ended = |end| runs().filter(|run| run.end == end).count();
    let lost = ended(End::Dropped { lost: true });
    let kept = ended(End::Dropped { lost: false });
    let attempts = runs().map(|run| run.attempt).max().unwrap_or_default();
    let dead: BTreeSet<_> = history.dead.iter().map(|dead| dead.id).collect();
    let ends = |how: &str| {
        let lives = history.workers.values();
        lives.filter(|life| life.ended.as_deref() == Some(how)).count()
    };
    let mut causes = BTreeMap::new();
    verdict.twice.iter().for_each(|(what, _)| *causes.entry(what).or_insert(0) += 1);
    let causes = causes.into_iter().map(|(what, times)| format!("; {what}: {times}"));
    let rows = [
        ("jobs", format!("{}, {poison} of them poison", history.jobs.len())),
        (
            "sent",
            format!(
                "{} times: {enqueued} confirmed, {unknown} unknown; {} jobs are in the stream twice",
                sends().count(),
                verdict.sent_twice
            ),
        ),
        ("rolled back", format!("{} confirmed ones, by a killed server", verdict.rolled_back)),
        (
            "runs",
            format!(
                "{}: {} done, {} failed, {} aborted, {lost} with a lost lease, {kept} released, {} died with their worker; \
                 {attempts} attempts at most",
                runs().count(),
                ended(End::Done),
                ended(End::Failed),
                ended(End::Aborted),
                ended(End::None),
            ),
        ),
        (
            "dead letters",
            format!(
                "{} of {} entries; {} of them lost their workers each time",
                history.dead.len(),
                dead.len(),
                verdict.lost_workers.len()
            ),
        ),
        (
            "workers",
            format!(
                "{}: {} killed, {} aborted, {} left",
                history.workers.len(),
                ends("signal 9"),
                ends("signal 6"),
                ends("code 0") + ends("signal 15"),
            ),
        ),
        ("server", format!("killed {} times", history.restarts.len())),
        (
            "done twice",
            format!("{}, each with a cause{}", verdict.twice.len(), causes.collect::<String>()),
        ),
        ("rules broken", verdict.wrong.len().to_string()),
    ];
    let lost_workers = verdict.lost_workers.iter().map(|how| format!("lost its workers {how}\n"));
    let twice = verdict.twice.iter().map(|(_, how)| format!("twice {how}\n"));
    let rows = rows.iter().map(|(what, text)| format!("| {what:12} | {text} |\n"));
    lost_workers.chain(twice).chain(rows).collect()
}

/// Formats the violations, and the log lines about the first of each rule.
pub(crate) fn violations(history: &History, verdict: &Verdict) -> String {
    let mut all = verdict.found();
    let mut text = format!("broken: {all:?}\n");
    let first = verdict.wrong.iter().filter(|wrong| {
        let left = all.entry(wrong.rule).or_default();
        let is_first = *left > 0;
        *left = 0;
        is_first
    });
    let others = verdict.wrong.iter().take(LISTED).map(|wrong| format!("{wrong}\n"));
    others.for_each(|line| text += &line);
    for wrong in first {
        let lines = history.excerpt(&wrong.name);
        let lines: String = lines.lines().take(LINES).map(|line| format!("{line}\n")).collect();
        text += &format!("\n== {wrong}\n{lines}");
    }
    text
}
