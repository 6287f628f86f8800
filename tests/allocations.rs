//! Allocations of the two hot paths: adding an entry, and reading a group.
//!
//! Counted on one thread, with a server that answers at once and does not allocate while it runs.
//! The counts are upper bounds: a change that exceeds one needs a reason.

#[path = "../benches/served/mod.rs"]
mod served;
#[path = "../benches/shapes/mod.rs"]
mod shapes;

use allocation_counter::measure;

/// Returns allocations per repetition after warm-up: those of the second half of the work.
fn steady(times: usize, mut work: impl FnMut(usize)) -> f64 {
    let few = measure(|| work(times)).count_total;
    let many = measure(|| work(2 * times)).count_total;
    many.saturating_sub(few) as f64 / times as f64
}

#[test]
fn xadd_allocates_nothing() {
    for tasks in [1, 64] {
        let each = steady(500, |times| {
            served::run(async {
                let client = served::client(Vec::new()).await;
                served::xadd(&client, tasks, times).await;
            });
        }) / tasks as f64;
        assert!(each < 0.01, "{each} allocations for each XADD of {tasks} tasks");
    }
}

#[test]
fn group_read_allocates_about_twice_per_batch() {
    for entries in [shapes::even(100, 1, 16), shapes::uneven(100, 5, 32)] {
        let batch = shapes::streams(&["orders"], &entries, true);
        let each = steady(200, |times| {
            served::run(async {
                let client = served::client(batch.clone()).await;
                let mut reader = client.reader().await.expect("it answers");
                assert!(served::drain(&client, &mut reader, times).await > 0);
            });
        });
        // The index of its entries, and its share of the read buffers.
        assert!(each < 3.0, "{each} allocations for a batch of 100 entries");
    }
}
