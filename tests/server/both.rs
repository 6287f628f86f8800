//! Runs each test in RESP2 and in RESP3, each time on a new server. Holds the common helpers.

use crate::support::{Builder, Server};
use bourn::{Client, Config, Entries, EntryId, Error, Feature, Protocol, Raw, XAdd};
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime;

/// The time limit of a test.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test with a client of an empty server.
pub(crate) fn in_both(test: impl AsyncFn(&Server, &Client)) {
    in_both_from(&Server::builder(), async |server, config| {
        let client = Client::connect(config).await.expect("the server takes connections");
        test(&server, &client).await;
    });
}

/// Runs a test with a server from this builder, and the settings to connect by TCP.
pub(crate) fn in_both_from(builder: &Builder, test: impl AsyncFn(Server, Config)) {
    let mut runtime = runtime::Builder::new_current_thread();
    in_both_on(&mut runtime, builder, async |server, config, _| test(server, config).await);
}

/// Runs a test on a runtime of this kind. The test also gets the protocol.
pub(crate) fn in_both_on(
    runtime: &mut runtime::Builder,
    builder: &Builder,
    test: impl AsyncFn(Server, Config, Protocol),
) {
    for protocol in [Protocol::Resp2, Protocol::Auto] {
        println!("in {}:", if protocol == Protocol::Auto { "RESP3" } else { "RESP2" });
        let server = builder.clone().start();
        let config = Config::tcp("127.0.0.1", server.port()).protocol(protocol);
        let config = config.reconnect(Duration::from_millis(1), Duration::from_millis(10));
        runtime.enable_all().build().expect("a runtime can be made").block_on(async {
            let test = test(server, config, protocol);
            tokio::time::timeout(LIMIT, test).await.expect("the test ends within the limit");
        });
    }
}

/// The id `ms-0`.
pub(crate) const fn id(ms: u64) -> EntryId {
    EntryId::new(ms, 0)
}

/// Adds the entries `ms-0` of this range, each with its number in the field `n`.
pub(crate) async fn add(client: &Client, key: &str, range: RangeInclusive<u64>) {
    for added in client.send_all(range.map(|n| XAdd::new(key).id(id(n)).field("n", n))).await {
        added.expect("the stream takes it");
    }
}

/// Returns the millisecond parts of the entries' ids.
pub(crate) fn ms(entries: &Entries) -> Vec<u64> {
    entries.ids().map(EntryId::ms).collect()
}

/// Sends any command, which must succeed.
pub(crate) async fn run(client: &Client, words: &str) -> bourn::resp::Value {
    client.send(Raw::new(words)).await.unwrap_or_else(|error| panic!("{words}: {error:?}"))
}

/// Returns code and text of the server's error. Panics on any other result.
#[track_caller]
pub(crate) fn refusal<T: Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Server(error)) => {
            format!("{} {}", error.code(), String::from_utf8_lossy(error.message()))
        }
        other => panic!("not an error reply: {other:?}"),
    }
}

/// Returns the server's error text. Panics if the error is not that the server is too old for these
/// features.
#[track_caller]
pub(crate) fn too_old<T: Debug>(result: Result<T, Error>, features: &[Feature]) -> String {
    match result {
        Err(Error::TooOld(error)) if features.contains(&error.feature()) => {
            refusal::<()>(Err(Error::Server(Box::new(error.refusal().clone()))))
        }
        other => panic!("not too old for one of {features:?} but {other:?}"),
    }
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Polls the condition until it holds: the server is another process, and has no event to await.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < LIMIT / 2, "timed out waiting until {what}");
        tokio::task::yield_now().await;
    }
}

/// Waits until this number of connections is blocked at the server.
pub(crate) async fn until_blocked(client: &Client, connections: u32) {
    let wanted = format!("blocked_clients:{connections}\r\n");
    until(&wanted, async || {
        run(client, "INFO clients").await.as_str().is_some_and(|info| info.contains(&wanted))
    })
    .await;
}

/// Returns the line of CLIENT LIST for a connection, or `None` if it is not listed.
pub(crate) async fn listed(client: &Client, connection: i64) -> Option<String> {
    let list = run(client, "CLIENT LIST").await;
    let start = format!("id={connection} ");
    let text = list.as_str().expect("CLIENT LIST is text");
    text.lines().find(|line| line.starts_with(&start)).map(str::to_owned)
}

/// Lets the server close a connection.
pub(crate) async fn kill(client: &Client, connection: i64) {
    let killed = client.send(Raw::new("CLIENT KILL").arg("ID").arg(connection)).await;
    assert_eq!(killed.expect("it can be killed").as_integer(), Some(1));
}

/// Pseudo-random numbers (xorshift), the same for the same seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Multiplied, so that neighbouring seeds start differently. Zero would stay zero.
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Returns the seed in `BOURN_SEED`, or one from the clock. It is printed, so that a run can be
    /// repeated.
    pub(crate) fn seed() -> u64 {
        let given = std::env::var("BOURN_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
            u64::from(now.subsec_nanos())
        });
        println!("BOURN_SEED={seed}");
        seed
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Returns one of these, or `None` if there are none.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let place = self.next().checked_rem(all.len() as u64)?;
        all.get(usize::try_from(place).ok()?)
    }

    /// Returns `len` bytes.
    pub(crate) fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}
