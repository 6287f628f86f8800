//! The queue under everything at once, for a minute or more: worker processes that are killed, halted, told to leave, or
//! abort by themselves; a server that is killed and comes back with its append-only file; connections that are cut, reset,
//! refused and stalled; jobs that fail, always or at first, or end their worker. Everybody writes down what he does, before he
//! does it, and when the troubles are over it is judged:
//!
//! * nothing that was confirmed is lost, and nothing runs that was not sent;
//! * poison is in the dead-letter stream, each once, after all its attempts, and nothing else is;
//! * attempts keep to the limit, and the waits that were asked for;
//! * what was done twice had a cause, and no two workers believe in one job at a time;
//! * in the end the stream is empty and nothing is pending.
//!
//! | room | what is in it |
//! |---|---|
//! | `conductor` | a soak from its beginning to the verdict |
//! | `producer`, `job` | who sends jobs, and what they are |
//! | `worker`, `pull`, `attempt` | who does them, in two ways, and what is written down of it |
//! | `slot`, `wire`, `troubles` | where a worker process lives, its connections, and what befalls both |
//! | `log`, `lines`, `history` | what is written down, and read again |
//! | `check`, `runs`, `causes` | the judge |
//! | `report` | what is told in the end |
//! | `judged`, `blamed` | histories made by hand that the judge finds no fault with, or one |
//! | `bad` | workers that do something wrong, each of which has to be found: `scripts/soak --bad` |
//!
//! Which server `BOURN_SERVER` says; `BOURN_SEED` repeats what was drawn by lot; `BOURN_SECONDS` says how long the troubles
//! last, 60 by default, and with them goes the number of jobs; `BOURN_FSYNC` is the server's `appendfsync`, `everysec` by
//! default. `scripts/soak` sets them.

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
mod bad;
#[cfg(test)]
mod blamed;
#[cfg(test)]
mod causes;
#[cfg(test)]
mod check;
#[cfg(test)]
mod conductor;
#[cfg(test)]
mod history;
#[cfg(test)]
mod job;
#[cfg(test)]
mod judged;
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
mod troubles;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod worker;

#[test]
fn jobs_outlive_it() {
    let settings = conductor::Settings::of_environment();
    let (history, verdict) = conductor::soak(&settings);
    print!("{}", report::table(&history, &verdict));
    if !verdict.wrong.is_empty() {
        panic!("{}BOURN_SEED={}", report::blame(&history, &verdict), settings.seed);
    }
}
