//! The queue under all faults together, for a minute or more. Worker processes are killed, halted,
//! stopped, or abort by themselves; the server is killed and restarts from its append-only file;
//! connections are cut, reset, refused and stalled; jobs fail, always or at first, or end their
//! worker. Every process logs its actions before it takes them; then the logs are judged:
//!
//! * no confirmed job is lost, and no job runs that was not sent;
//! * each poison job is in the dead-letter stream once, after all attempts, and nothing else is;
//! * attempts keep to the limit, and to the requested retry delays;
//! * each job that was done twice has a cause, and only one worker at a time has a valid lease;
//! * at the end the stream is empty and nothing is pending.
//!
//! | module | contents |
//! |---|---|
//! | `conductor` | a soak from its start to the verdict |
//! | `producer`, `job` | the enqueuing of jobs, and their behaviour |
//! | `worker`, `pull`, `attempt` | the running of jobs, in two ways, and its log lines |
//! | `slot`, `wire`, `faults` | the life of a worker process, its connections, and their faults |
//! | `log`, `lines`, `history` | the logs, written and read |
//! | `judge`, `runs`, `causes` | the judge |
//! | `report` | the output at the end |
//! | `kept_rules`, `broken_rules` | hand-made histories that the judge must accept or reject |
//! | `defects` | workers with a defect, each of which must be detected: `scripts/soak --defects` |
//!
//! `BOURN_SERVER` selects the server; `BOURN_SEED` repeats a run; `BOURN_SECONDS` is the duration
//! of the faults (default 60), which also sets the number of jobs; `BOURN_FSYNC` is the server's
//! `appendfsync` (default `everysec`). `scripts/soak` sets them.

#[cfg(test)]
#[path = "../server/support.rs"]
mod support;

#[cfg(test)]
#[path = "../server/both.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod both;

#[cfg(test)]
#[path = "../chaos/forward.rs"]
mod forward;
#[cfg(test)]
#[path = "../chaos/proxy.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod proxy;
#[cfg(test)]
#[path = "../chaos/schedule.rs"]
#[expect(dead_code, reason = "each test binary uses its own part")]
mod schedule;

#[cfg(test)]
mod attempt;
#[cfg(test)]
mod broken_rules;
#[cfg(test)]
mod causes;
#[cfg(test)]
mod conductor;
#[cfg(test)]
mod defects;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod history;
#[cfg(test)]
mod job;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod kept_rules;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod log;
#[cfg(test)]
mod producer;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod report;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod slot;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod worker;

#[test]
fn no_job_is_lost_under_all_faults() {
    let settings = conductor::Settings::of_environment();
    let (history, verdict) = conductor::soak(&settings);
    print!("{}", report::table(&history, &verdict));
    if !verdict.wrong.is_empty() {
        panic!("{}BOURN_SEED={}", report::violations(&history, &verdict), settings.seed);
    }
}
