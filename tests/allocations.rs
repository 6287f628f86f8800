//! How often the ways that every service takes allocate: adding an entry, and draining a group.
//!
//! Counted on one thread with a server that answers at once and does not allocate itself once it runs. The counts are
//! bounds: what passes them is a change that wants a reason.

#[path = "../benches/served/mod.rs"]
mod served;
#[path = "../benches/shapes/mod.rs"]
mod shapes;

use allocation_counter::measure;

/// Allocations of the second half of some work, which the first half has made room for.
fn steady(times: usize, mut work: impl FnMut(usize)) -> f64 {
    let few = measure(|| work(times)).count_total;
    let many = measure(|| work(2 * times)).count_total;
    many.saturating_sub(few) as f64 / times as f64
}

#[test]
fn adding_an_entry_allocates_nothing() {
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
fn draining_a_group_allocates_twice_or_so_for_a_batch() {
    for entries in [shapes::even(100, 1, 16), shapes::uneven(100, 5, 32)] {
        let batch = shapes::streams(&["orders"], &entries, true);
        let each = steady(200, |times| {
            served::run(async {
                let client = served::client(batch.clone()).await;
                let mut reader = client.reader().await.expect("it answers");
                assert!(served::drain(&client, &mut reader, times).await > 0);
            });
        });
        // The index of its entries, and its part of the buffers that they came in.
        assert!(each < 3.0, "{each} allocations for a batch of 100 entries");
    }
}
