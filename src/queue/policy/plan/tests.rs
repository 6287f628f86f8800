use super::*;
use bytes::Bytes;

const LEASE: Duration = Duration::from_secs(8);
const OLD: Capabilities = Capabilities {
    claim: false,
    nack: false,
    ack_del: false,
    idmp: false,
    max_count: false,
    max_size: false,
    deleted: true,
};
const NEW: Capabilities = Capabilities {
    claim: true,
    nack: true,
    ack_del: true,
    idmp: true,
    max_count: true,
    max_size: true,
    deleted: true,
};

fn plan_settings() -> PlanSettings {
    PlanSettings { lease: LEASE, uses_buckets: false, at_most_once: false, levels: 1, ageing: 0 }
}

fn read(levels: &[usize], count: usize, block_ms: u64) -> Step {
    let block = (block_ms > 0).then(|| Duration::from_millis(block_ms));
    Step::Read(Read { levels: levels.to_vec(), count, max_count: None, block, claim: None })
}

#[test]
fn plan_uses_xreadgroup_claim_on_redis_8_4() {
    let now = Instant::now();
    let mut plan = Plan::new(plan_settings());
    let claim = Some(LEASE);
    let block = Some(SWEEP);
    let expected = Read { levels: vec![0], count: 7, max_count: None, block, claim };
    for _ in 0..3 {
        assert_eq!(plan.next(now, 7, NEW, 0.5), Step::Read(expected.clone()));
        plan.read_done(0, NEW);
    }
    assert_eq!(plan.next(now, 0, NEW, 0.5), Step::Full);
}

#[test]
fn old_server_is_swept_to_the_end_and_then_read_until_the_next_sweep() {
    let now = Instant::now();
    let mut plan = Plan::new(plan_settings());
    let sweep = |cursor, count| Step::Sweep { level: 0, cursor, count };
    assert_eq!(plan.next(now, 7, OLD, 0.5), sweep(EntryId::MIN, 7));
    let cursor = EntryId::new(5, 0);
    plan.sweep_done(0, Some(cursor), false);
    assert_eq!(plan.next(now, 500, OLD, 0.5), sweep(cursor, PAGE));
    plan.sweep_done(0, None, false);
    assert_eq!(plan.next(now, 7, OLD, 0.5), read(&[0], 7, 1_000));
    plan.read_done(3, OLD);
    let later = now + Duration::from_millis(600);
    assert_eq!(plan.next(later, 4, OLD, 0.5), read(&[0], 4, 400));
    plan.read_done(0, OLD);
    assert_eq!(plan.next(now + SWEEP, 4, OLD, 0.5), sweep(EntryId::MIN, 4));
}

#[test]
fn long_sweep_continues_at_its_cursor() {
    let now = Instant::now();
    let mut plan = Plan::new(plan_settings());
    for call in 0..u64::from(CALLS) {
        let cursor = if call == 0 { EntryId::MIN } else { EntryId::new(call, 0) };
        assert_eq!(plan.next(now, 1, OLD, 0.0), Step::Sweep { level: 0, cursor, count: 1 });
        plan.sweep_done(0, Some(EntryId::new(call + 1, 0)), false);
    }
    assert!(matches!(plan.next(now, 1, OLD, 0.0), Step::Read(_)));
    let cursor = EntryId::new(u64::from(CALLS), 0);
    let step = plan.next(now + SWEEP, 1, OLD, 0.0);
    assert_eq!(step, Step::Sweep { level: 0, cursor, count: 1 });
}

#[test]
fn delayed_entries_are_claimed_after_the_delay_of_their_bucket() {
    let now = Instant::now();
    let mut plan = Plan::new(PlanSettings { uses_buckets: true, ..plan_settings() });
    assert_eq!(plan.next(now, 9, NEW, 0.5), Step::ListOwners(0));
    plan.owners_listed(0, vec![b"~delay:2m".to_vec(), b"w".to_vec()], now);
    let list = |owner: &[u8]| Step::ListPending { level: 0, owner: owner.to_vec(), after: None };
    assert_eq!(plan.next(now, 9, NEW, 0.5), list(b"~delay:2m"));
    let entry = |ms, idle_s| PendingEntry {
        id: EntryId::new(ms, 0),
        consumer: Bytes::new(),
        idle: Some(Duration::from_secs(idle_s)),
        deliveries: 1,
    };
    let page = [entry(1, 119), entry(2, 120), entry(3, 500)];
    let ids = vec![EntryId::new(2, 0), EntryId::new(3, 0)];
    let two_minutes = Duration::from_secs(120);
    assert_eq!(plan.pending_listed(&page, 9, |_, _| false), Some((0, two_minutes, ids)));
    assert_eq!(plan.next(now, 9, NEW, 0.5), list(b"w"));
    let held = |_, id| id == EntryId::new(2, 0);
    let ids = vec![EntryId::new(1, 0), EntryId::new(3, 0)];
    assert_eq!(plan.pending_listed(&page, 9, held), Some((0, LEASE, ids)));
    assert_eq!(plan.next(now, 9, NEW, 0.5), read(&[0], 9, 1_000));
    // The workers are checked each second, the two-minute bucket every six.
    let next = now + SWEEP;
    assert_eq!(plan.next(next, 9, NEW, 0.5), Step::ListOwners(0));
    plan.owners_listed(0, vec![b"~delay:2m".to_vec(), b"w".to_vec()], next);
    assert_eq!(plan.next(next, 9, NEW, 0.5), list(b"w"));
}

#[test]
fn page_that_does_not_fit_is_continued_where_it_was_left() {
    let now = Instant::now();
    let mut plan = Plan::new(PlanSettings { uses_buckets: true, ..plan_settings() });
    plan.next(now, 1, OLD, 0.5);
    plan.owners_listed(0, vec![b"w".to_vec()], now);
    let page: Vec<_> = (1..=3)
        .map(|ms| PendingEntry {
            id: EntryId::new(ms, 0),
            consumer: Bytes::new(),
            idle: None,
            deliveries: 1,
        })
        .collect();
    let (_, _, ids) = plan.pending_listed(&page, 2, |_, _| false).unwrap();
    assert_eq!(ids, [EntryId::new(1, 0), EntryId::new(2, 0)]);
    let after = Some(EntryId::new(2, 0));
    let list = Step::ListPending { level: 0, owner: b"w".to_vec(), after };
    assert_eq!(plan.next(now, 1, OLD, 0.5), list);
}

#[test]
fn urgent_streams_come_first_and_others_regularly() {
    let now = Instant::now();
    let mut plan = Plan::new(PlanSettings { levels: 3, ageing: 3, ..plan_settings() });
    let mut orders = Vec::new();
    for _ in 0..9 {
        let Step::Read(read) = plan.next(now, 5, NEW, 0.5) else { panic!("no read") };
        assert_eq!(read.max_count, Some(5));
        orders.push(read.levels);
        plan.read_done(5, NEW);
    }
    let usual = [0, 1, 2];
    let expected = [usual, usual, [2, 0, 1], usual, usual, [1, 0, 2], usual, usual, [2, 0, 1]];
    assert_eq!(orders, expected);
}

#[test]
fn streams_are_read_in_turn_where_one_read_cannot_serve_all() {
    let now = Instant::now();
    let mut plan = Plan::new(PlanSettings { levels: 2, at_most_once: true, ..plan_settings() });
    assert_eq!(plan.next(now, 5, OLD, 0.5), read(&[0], 5, 0));
    plan.read_done(0, OLD);
    assert_eq!(plan.next(now, 5, OLD, 0.5), read(&[1], 5, 0));
    plan.read_done(0, OLD);
    assert_eq!(plan.next(now, 5, OLD, 0.5), read(&[0, 1], 1, 2_000), "waits for any");
    plan.read_done(1, OLD);
    assert_eq!(plan.next(now, 5, OLD, 0.5), read(&[0], 5, 0));
    plan.read_done(3, OLD);
    assert_eq!(plan.next(now, 2, OLD, 0.5), read(&[1], 2, 0));
    plan.read_done(1, OLD);
    assert_eq!(plan.next(now, 5, OLD, 0.5), read(&[0], 5, 0), "does not wait");
    plan.read_done(5, OLD);
    assert_eq!(plan.next(now, 4, OLD, 0.5), read(&[0], 4, 0), "there may be more of those");
    plan.read_done(3, OLD);
    assert_eq!(plan.next(now, 0, OLD, 0.5), Step::Full);
    assert_eq!(plan.next(now, 1, OLD, 0.5), read(&[0], 1, 0), "and starts from the first");
}

#[test]
fn failures_are_retried_with_increasing_pauses_and_then_recovered() {
    let now = Instant::now();
    let mut plan = Plan::new(plan_settings());
    let mut pauses = Vec::new();
    for _ in 0..7 {
        plan.failed(Failure::NoGroup, now, 0.5);
        let Step::Wait(pause) = plan.next(now, 1, NEW, 0.5) else { panic!("no rest") };
        pauses.push(pause.as_millis());
    }
    assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 2_000]);
    let later = now + PAUSE.1;
    assert_eq!(plan.next(later, 0, NEW, 0.5), Step::CreateGroup, "even without capacity");
    plan.created();
    assert!(matches!(plan.next(later, 1, NEW, 0.5), Step::Read(_)));
    plan.read_done(0, NEW);
    plan.failed(Failure::Unknown, later, 0.5);
    assert_eq!(plan.next(later, 1, NEW, 0.5), Step::Wait(PAUSE.0), "short again");
    assert_eq!(plan.next(later + PAUSE.0, 1, NEW, 0.5), Step::Recover(0));
    plan.recovered(0, false);
    assert_eq!(plan.next(later + PAUSE.0, 1, NEW, 0.5), Step::Recover(0));
    plan.recovered(0, true);
    assert!(matches!(plan.next(later + PAUSE.0, 1, NEW, 0.5), Step::Read(_)));
}

#[test]
fn full_sweep_continues_at_once() {
    let now = Instant::now();
    let mut plan = Plan::new(plan_settings());
    for call in 0..100 {
        let cursor = if call == 0 { EntryId::MIN } else { EntryId::new(call, 0) };
        assert_eq!(plan.next(now, 1, OLD, 0.5), Step::Sweep { level: 0, cursor, count: 1 });
        plan.sweep_done(0, Some(EntryId::new(call + 1, 0)), true);
        assert_eq!(plan.next(now, 0, OLD, 0.5), Step::Full);
    }
    plan.sweep_done(0, None, true);
    assert!(matches!(plan.next(now, 1, OLD, 0.5), Step::Read(_)));
}

#[test]
fn new_connection_is_checked_first_and_a_failed_check_waits_too() {
    let now = Instant::now();
    let mut plan = Plan::new(plan_settings());
    plan.connection_changed();
    assert_eq!(plan.next(now, 0, NEW, 0.5), Step::Check);
    plan.failed(Failure::Refused, now, 0.5);
    plan.connection_changed();
    assert_eq!(plan.next(now, 7, NEW, 0.5), Step::Wait(PAUSE.0));
    assert_eq!(plan.next(now + PAUSE.0, 7, NEW, 0.5), Step::Check);
    plan.checked();
    assert_eq!(plan.next(now + PAUSE.0, 7, NEW, 0.5), Step::Recover(0));
}
