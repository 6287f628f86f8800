use super::*;

const LEASE: Duration = Duration::from_secs(8);
const OLD: Capabilities = Capabilities {
    claim: false,
    nack: false,
    ack_del: false,
    idmp: false,
    max_count: false,
    max_size: false,
    deleted: true,
    listed: false,
    place: false,
};
const NEW: Capabilities = Capabilities {
    claim: true,
    nack: true,
    ack_del: true,
    idmp: true,
    max_count: true,
    max_size: true,
    deleted: true,
    listed: true,
    place: true,
};

fn plan_settings() -> PlanSettings {
    PlanSettings { lease: LEASE, at_most_once: false, levels: 1, ageing: 0 }
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

#[test]
fn sweeps_that_take_longer_than_their_interval_leave_time_for_reads() {
    let mut now = Instant::now();
    let mut plan = Plan::new(PlanSettings { levels: 2, ..plan_settings() });
    let mut reads = 0;
    for _ in 0..40 {
        match plan.next(now, 1, OLD, 0.5) {
            Step::Sweep { level, .. } => plan.sweep_done(level, None, false),
            _ => {
                reads += 1;
                plan.read_done(0, OLD);
            }
        }
        now += SWEEP;
    }
    assert!(reads >= 13, "{reads} reads, and a sweep of two streams after each");
}
