//! Tests of jobs in flight, without a server.

use super::*;
use crate::client::Client;
use crate::id::EntryId;
use crate::queue::codec::tests::entry;
use crate::queue::consumer::state::Limits;
use crate::queue::settings::Settings;

pub(crate) fn state(at_most_once: bool) -> Arc<State> {
    let client = Client::lazy("redis://127.0.0.1:1").expect("a valid URL");
    let mut settings = Settings::new(b"s");
    settings.at_most_once = at_most_once;
    let shared = Arc::new(Shared::new(client.clone(), settings));
    let limits =
        Limits { buffered: 9, bytes: 1_000, until_settled: true, undecided: 9, alone_within: None };
    Arc::new(State::new(vec![shared], client, limits))
}

pub(crate) fn claim(state: &Arc<State>, settler: &Settler, ms: u64) -> InFlight {
    let now = clock::now();
    let key = (0, EntryId::new(ms, 0));
    let entry = (entry([("a", "1")]), state.hold(2));
    InFlight::claim(state, settler, key, (now, now), 1, entry).expect("a new job")
}

#[tokio::test]
async fn undecided_jobs_and_waiting_decisions_take_room() {
    let state = state(false);
    let (settler, mut jobs) = Settler::channel(9);
    let room = settler.room();
    assert_eq!(room, 9 + MAX_WAITING);
    let mut job = claim(&state, &settler, 1);
    job.mark_delivered();
    assert_eq!((settler.room(), state.is_idle()), (room - 1, false));
    job.settle(Decision::Done);
    assert_eq!((settler.room(), state.is_idle()), (room - 1, true), "it waits");
    let settlement = jobs.recv().await.expect("the settler is alive");
    assert!(matches!(settlement.action, Action::Decide(Decision::Done)));
    assert_eq!(settler.room(), room);
}

#[tokio::test]
async fn channel_without_room_still_takes_what_a_command_returns_too_much() {
    let state = state(false);
    let (settler, _jobs) = Settler::channel(0);
    let all: Vec<InFlight> =
        (0..).take(MAX_WAITING + RESERVE).map(|ms| claim(&state, &settler, ms)).collect();
    assert_eq!(settler.room(), 0);
    let key = (0, EntryId::MAX);
    let now = clock::now();
    let entry = (entry([("a", "1")]), state.hold(2));
    let more = InFlight::claim(&state, &settler, key, (now, now), 1, entry);
    assert!(more.is_none(), "{} jobs", all.len());
}

#[tokio::test]
async fn dropped_job_is_given_back_and_counts_only_if_it_was_delivered() {
    let state = state(false);
    let (settler, mut jobs) = Settler::channel(9);
    for (is_delivered, expected) in [(false, Decision::Release), (true, Decision::Drop)] {
        let mut job = claim(&state, &settler, 1);
        if is_delivered {
            job.mark_delivered();
        }
        drop(job);
        let settlement = jobs.recv().await.expect("the settler is alive");
        let Action::Decide(decision) = settlement.action else { panic!("a decision") };
        assert_eq!(decision, expected, "delivered: {is_delivered}");
        state.settled(settlement.job.key, settlement.job.ticket);
    }
    assert!(state.is_idle() && state.leases().is_empty());
}

#[tokio::test]
async fn caller_gets_stopped_when_the_settler_ends_while_other_jobs_are_in_flight() {
    let state = state(false);
    let (settler, jobs) = Settler::channel(9);
    let other = claim(&state, &settler, 1);
    let (before, after) = (claim(&state, &settler, 2), claim(&state, &settler, 3));
    let before = before.settle_and_wait(Action::Decide(Decision::Done));
    drop(jobs);
    let after = after.settle_and_wait(Action::Decide(Decision::Done));
    for settled in [before, after] {
        let settled = tokio::time::timeout(Duration::from_secs(9), settled).await;
        assert!(matches!(settled, Ok(Err(QueueError::Stopped))), "{settled:?}");
    }
    drop(other);
}

#[tokio::test]
async fn at_most_once_job_is_settled_without_the_settler() {
    let state = state(true);
    let (settler, mut jobs) = Settler::channel(9);
    let job = claim(&state, &settler, 1);
    let settled = job.settle_and_wait(Action::Decide(Decision::Done)).await;
    assert!(matches!(settled, Ok((Acked::Done, None))), "{settled:?}");
    claim(&state, &settler, 2).settle(Decision::Release);
    drop(claim(&state, &settler, 3));
    assert!(jobs.try_recv().is_err() && state.is_idle());
    let report = state.outcomes.report();
    assert_eq!((report.done, report.dropped, report.released), (1, 1, 0));
}
