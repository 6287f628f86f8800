use super::*;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::time::Instant as Paused;

fn addresses(list: &[&str]) -> Vec<SocketAddr> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

/// The result of each attempt: after how many milliseconds, and the error, if one.
type Plan = [(&'static str, u64, Option<io::ErrorKind>)];

/// Races the addresses of a plan; returns the winner or the error, the time and the addresses
/// tried.
async fn raced(plan: &Plan) -> (io::Result<String>, u128, String) {
    let start = Paused::now();
    let list: Vec<&str> = plan.iter().map(|(address, ..)| *address).collect();
    let tried = Tried::default();
    let result = race(&addresses(&list), &tried, |address| async move {
        let row = plan.iter().find(|(text, ..)| text.parse() == Ok(address));
        let (text, after, error) = row.expect("an address of the plan");
        sleep(Duration::from_millis(*after)).await;
        error.map_or_else(|| Ok((*text).to_owned()), |kind| Err(kind.into()))
    })
    .await;
    (result, start.elapsed().as_millis(), tried.to_string())
}

const NEVER: u64 = 1_000_000;

#[tokio::test(start_paused = true)]
async fn first_address_that_answers_wins_and_each_has_a_head_start() {
    use io::ErrorKind::ConnectionRefused;
    let rows: [(&str, &Plan, &str, u128); 6] = [
        ("one address", &[("1.1.1.1:1", 900, None)], "1.1.1.1:1", 900),
        (
            "the first is silent",
            &[("1.1.1.1:1", NEVER, None), ("2.2.2.2:1", 5, None)],
            "2.2.2.2:1",
            255,
        ),
        (
            "the first is slow, and faster than the second",
            &[("1.1.1.1:1", 300, None), ("2.2.2.2:1", 100, None)],
            "1.1.1.1:1",
            300,
        ),
        (
            "the first refuses",
            &[("[::1]:1", 5, Some(ConnectionRefused)), ("1.1.1.1:1", 5, None)],
            "1.1.1.1:1",
            10,
        ),
        (
            "two are silent",
            &[("[::1]:1", NEVER, None), ("1.1.1.1:1", NEVER, None), ("2.2.2.2:1", 5, None)],
            "2.2.2.2:1",
            505,
        ),
        (
            "a late failure does not hold up the others",
            &[
                ("[::1]:1", 300, Some(ConnectionRefused)),
                ("1.1.1.1:1", NEVER, None),
                ("2.2.2.2:1", 5, None),
            ],
            "2.2.2.2:1",
            305,
        ),
    ];
    for (what, plan, winner, after) in rows {
        let (result, elapsed, _) = raced(plan).await;
        assert_eq!((result.unwrap().as_str(), elapsed), (winner, after), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn failure_of_all_returns_the_most_informative_error_with_every_address() {
    use io::ErrorKind::{ConnectionRefused, NetworkUnreachable, TimedOut};
    let plan: &Plan = &[
        ("[::1]:7", 5, Some(NetworkUnreachable)),
        ("1.1.1.1:7", 5, Some(ConnectionRefused)),
        ("2.2.2.2:7", 900, Some(TimedOut)),
    ];
    let (result, elapsed, _) = raced(plan).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), elapsed), (ConnectionRefused, 910));
    assert_eq!(
        error.to_string(),
        "[::1]:7 (network unreachable), 1.1.1.1:7 (connection refused), 2.2.2.2:7 (timed out)"
    );
    let (result, ..) = raced(&[]).await;
    assert_eq!(result.unwrap_err().to_string(), "the name has no addresses");
}

#[tokio::test(start_paused = true)]
async fn cancelled_attempt_lists_the_silent_addresses() {
    let tried = Tried::default();
    let list = addresses(&["1.1.1.1:1", "[::1]:1"]);
    let attempt = race(&list, &tried, |address| async move {
        if address.is_ipv6() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        std::future::pending::<io::Result<()>>().await
    });
    assert!(tokio::time::timeout(Duration::from_secs(5), attempt).await.is_err());
    assert_eq!(tried.to_string(), "1.1.1.1:1 (no answer), [::1]:1 (connection refused)");
}

#[test]
fn families_alternate_and_no_address_comes_twice() {
    let rows: [(&[&str], &[&str]); 4] = [
        (&[], &[]),
        (&["1.1.1.1:1", "1.1.1.1:1"], &["1.1.1.1:1"]),
        (
            &["[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1"],
            &["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"],
        ),
        (
            &["1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"],
            &["1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"],
        ),
    ];
    for (given, expected) in rows {
        assert_eq!(interleave(&addresses(given)), addresses(expected), "{given:?}");
    }
}

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

#[tokio::test]
async fn hanging_resolver_is_asked_once_by_many_attempts() {
    let resolver = Resolver::by(|_, port| {
        LOOKUPS.fetch_add(1, SeqCst);
        thread::sleep(Duration::from_millis(300));
        Ok(addresses(&["1.1.1.1:1"]).into_iter().map(|a| SocketAddr::new(a.ip(), port)).collect())
    });
    for _ in 0..10 {
        let attempt = resolver.resolve("a name", 7);
        assert!(tokio::time::timeout(Duration::from_millis(5), attempt).await.is_err());
    }
    let (a, b) = tokio::join!(resolver.resolve("a name", 7), resolver.resolve("a name", 7));
    let expected = addresses(&["1.1.1.1:7"]);
    assert_eq!((a.unwrap(), b.unwrap(), LOOKUPS.load(SeqCst)), (expected.clone(), expected, 1));
    // A later attempt asks again.
    let later = resolver.resolve("a name", 8).await.unwrap();
    assert_eq!((later, LOOKUPS.load(SeqCst)), (addresses(&["1.1.1.1:8"]), 2));
}

#[test]
fn runtime_shutdown_does_not_wait_for_the_resolver() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = Instant::now();
    let resolver = Resolver::by(|_, _| {
        thread::sleep(Duration::from_secs(30));
        Ok(Vec::new())
    });
    runtime.block_on(async {
        let attempt = resolver.resolve("a name", 7);
        assert!(tokio::time::timeout(Duration::from_millis(20), attempt).await.is_err());
    });
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn ip_address_resolves_to_itself_and_a_failure_is_returned() {
    let resolver = Resolver::by(|_, _| Err(io::Error::other("no such name")));
    let rows = [("10.0.0.1", "10.0.0.1:7"), ("::1", "[::1]:7")];
    for (host, expected) in rows {
        assert_eq!(resolver.resolve(host, 7).await.unwrap(), addresses(&[expected]));
    }
    assert_eq!(resolver.resolve("h", 7).await.unwrap_err().to_string(), "no such name");
    let panics = Resolver::by(|_, _| panic!("a lookup that panics"));
    assert!(panics.resolve("h", 7).await.unwrap_err().to_string().contains("panicked"));
}
