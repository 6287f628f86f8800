//! A lost connection is replaced: not too often, with the same handshake, and commands queued
//! meanwhile are sent once and in order.

use super::peer::{Server, config, ends, hello_reply, ms, poll_once, settle};
use super::wire::Plan;
use bourn::{Client, Code, ConnectReason, Error, Outcome, Unsent, XAdd, XLen};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn commands_queued_without_a_server_are_sent_once_and_in_order() {
    for refused in [0, 1, 5] {
        let server = Server::new();
        let (client, peer) = server.connect(config()).await;
        server.plan(vec![Plan::Refuse; refused]);
        drop(peer);
        settle().await;
        let values: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let all = values.iter().map(|v| client.send(XAdd::new("jobs").field("v", v)));
        let all = futures_util::future::join_all(all);
        let (all, mut peer) = ends(async {
            tokio::join!(all, async {
                let mut peer = server.greet().await;
                for value in &values {
                    let request = peer.answer(format!("+{value}-1\r\n")).await;
                    assert_eq!(request, format!("XADD jobs * v {value}"));
                }
                peer
            })
        })
        .await;
        for (value, id) in values.iter().zip(all) {
            assert_eq!(id.unwrap().to_string(), format!("{value}-1"));
        }
        assert_eq!(server.dials().len(), refused + 2, "one dial per connection, not per caller");
        let (next, request) = tokio::join!(client.send(XLen::new("next")), peer.answer(":1\r\n"));
        assert_eq!((next.unwrap(), request.as_str()), (1, "XLEN next"));
    }
}

/// Returns how often a client dials a server within 5 s that ends every connection as `scene`
/// describes.
async fn dials_in_five_seconds(scene: &str, seed: u64) -> usize {
    fastrand::seed(seed);
    let server = Server::new();
    let (client, peer) = server.connect(config()).await;
    let start = Instant::now();
    if scene == "refuses" {
        server.plan([Plan::Refuse; 1000]);
    }
    drop(peer);
    let play = async {
        loop {
            let mut peer = server.accept().await;
            match scene {
                "hangs up at once" => {}
                "hangs up in the handshake" => {
                    peer.request().await;
                    peer.send("%4\r\n").await;
                }
                "answers one command" => {
                    peer.greet().await;
                    peer.answer(":1\r\n").await;
                }
                _ => peer.greet().await,
            }
        }
    };
    // A caller always has a command to send.
    let want = async {
        while start.elapsed() < ms(5000) {
            let _ = client.send(XLen::new("s")).await;
            sleep(ms(1)).await;
        }
    };
    tokio::select! {
        () = play => {}
        () = want => {}
        () = sleep(ms(5000)) => {}
    }
    server.dials().into_iter().filter(|at| *at - start <= ms(5000)).count() - 1
}

#[tokio::test(start_paused = true)]
async fn server_that_hangs_up_is_not_dialled_in_a_tight_loop() {
    let scenes = [
        "refuses",
        "hangs up at once",
        "hangs up in the handshake",
        "hangs up after the handshake",
        "answers one command",
    ];
    for scene in scenes {
        let mut counts = Vec::new();
        for seed in 0..20 {
            counts.push(dials_in_five_seconds(scene, seed).await);
        }
        let (sum, most) = (counts.iter().sum::<usize>(), counts.iter().max().unwrap());
        println!("a server that {scene}: {} dials in 5 s on average, {most} at most", sum / 20);
        assert!((8 * 20..=20 * 20).contains(&sum) && *most <= 26, "{scene}: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn long_lived_connection_is_replaced_at_once() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    for _ in 0..20 {
        sleep(ms(5000)).await;
        drop(peer);
        let lost = Instant::now();
        peer = server.greet().await;
        assert!(lost.elapsed() <= ms(11), "{:?}", lost.elapsed());
    }
    let (next, _) = tokio::join!(client.send(XLen::new("next")), peer.answer(":1\r\n"));
    assert_eq!(next.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_connection_starts_with_the_same_handshake() {
    let version = concat!("CLIENT SETINFO LIB-VER ", env!("CARGO_PKG_VERSION"));
    let words = [
        "HELLO 3 AUTH worker s3cret SETNAME billing-7",
        "CLIENT SETINFO LIB-NAME bourn",
        version,
        "SELECT 4",
    ];
    let config = config().user("worker").password("s3cret").client_name("billing-7").database(4);
    let server = Server::new();
    let greet = async || {
        let mut peer = server.accept().await;
        assert_eq!(peer.requests(4).await, words);
        peer.send(hello_reply(peer.number) + "+OK\r\n+OK\r\n+OK\r\n").await;
        peer
    };
    let (client, mut peer) =
        ends(async { tokio::join!(Client::connect_with(config, server.dialler()), greet()) }).await;
    let client = client.unwrap();
    for number in 1..=5 {
        assert_eq!(client.connection_id(), Some(number));
        let (len, request) = tokio::join!(client.send(XLen::new("s")), peer.answer(":1\r\n"));
        assert_eq!((len.unwrap(), request.as_str()), (1, "XLEN s"));
        drop(peer);
        peer = greet().await;
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_hello_falls_back_to_a_resp2_handshake() {
    let refusals = [
        "-ERR unknown command 'HELLO'\r\n",
        "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, \r\n",
        "-ERR Unknown Command\r\n",
        "-NOPROTO unsupported protocol version\r\n",
    ];
    let rows: [(bourn::Config, &[&str]); 4] = [
        (config(), &[]),
        (config().password("s3cret"), &["AUTH s3cret"]),
        (config().user("u").password("p"), &["AUTH u p"]),
        (
            config().password("p").client_name("me").database(2),
            &["AUTH p", "CLIENT SETNAME me", "SELECT 2"],
        ),
    ];
    for refusal in refusals {
        for (config, second) in &rows {
            let server = Server::new();
            let first = if second.last() == Some(&"SELECT 2") { 4 } else { 3 };
            let answer = async {
                let mut peer = server.accept().await;
                peer.requests(first).await;
                // The commands sent with HELLO are refused too, because there was no AUTH.
                peer.send(refusal).await;
                for _ in 1..first {
                    peer.send("-NOAUTH Authentication required.\r\n").await;
                }
                assert_eq!(peer.requests(second.len()).await, *second, "{refusal:?}");
                peer.send("+OK\r\n".repeat(second.len())).await;
                peer
            };
            let connect = Client::connect_with(config.clone(), server.dialler());
            let (client, mut peer) = ends(async { tokio::join!(connect, answer) }).await;
            let client = client.expect(refusal);
            assert_eq!(client.connection_id(), None);
            let (len, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":1\r\n"));
            assert_eq!((len.unwrap(), server.dials().len()), (1, 1), "{refusal:?}");
        }
    }
}

/// Returns the error of a handshake with these answers. The peer hangs up after them.
async fn refused(config: bourn::Config, requests: usize, answers: &str) -> Error {
    let server = Server::new();
    let answer = async {
        let mut peer = server.accept().await;
        if requests > 0 {
            peer.requests(requests).await;
        }
        peer.send(answers).await;
    };
    let connect = Client::connect_with(config, server.dialler());
    let (client, ()) = ends(async { tokio::join!(connect, answer) }).await;
    assert_eq!(server.dials().len(), 1, "{answers:?}");
    client.expect_err(answers)
}

#[tokio::test(start_paused = true)]
async fn refused_handshake_has_the_code_of_the_server() {
    let hello = hello_reply(1);
    let unknown = "-ERR unknown command 'HELLO'\r\n+OK\r\n+OK\r\n";
    let rows = [
        (3, "-NOAUTH HELLO must be called with the client already authenticated\r\n", "NOAUTH"),
        (3, "-WRONGPASS invalid username-password pair or user is disabled.\r\n", "WRONGPASS"),
        (3, "-NOPERM this user has no permissions\r\n", "NOPERM"),
        (3, "-ERR Client names cannot contain spaces\r\n", "ERR"),
        (3, "-DENIED Redis is running in protected mode\r\n", "DENIED"),
        (0, "-ERR max number of clients reached\r\n", "ERR"),
    ];
    for (requests, answers, code) in rows {
        let error = refused(config().password("p"), requests, answers).await;
        let Error::Connect(connect) = &error else { panic!("{answers:?}: {error:?}") };
        let refused = matches!(connect.reason(), ConnectReason::Refused(_));
        assert!(refused, "{answers:?}: {error:?}");
        assert_eq!(error.code().map(Code::as_str), Some(code), "{answers:?}");
        assert_eq!(error.outcome(), Outcome::NotSent);
    }
    let select = format!("{hello}+OK\r\n+OK\r\n-ERR DB index is out of range\r\n");
    let error = refused(config().database(99), 4, &select).await;
    assert_eq!(error.code(), Some(&Code::Err));
    let wrong = "-WRONGPASS invalid\r\n";
    let server = Server::new();
    let answer = async {
        let mut peer = server.accept().await;
        peer.requests(3).await;
        peer.send(unknown).await;
        peer.answer(wrong).await;
    };
    let connect = Client::connect_with(config().password("p"), server.dialler());
    let (client, ()) = ends(async { tokio::join!(connect, answer) }).await;
    assert_eq!(client.unwrap_err().code(), Some(&Code::WrongPass));
}

#[tokio::test(start_paused = true)]
async fn refused_client_setinfo_does_not_fail_the_handshake() {
    for refusal in ["-NOPERM no\r\n", "-ERR unknown subcommand\r\n", "-BUSY a script\r\n"] {
        let server = Server::new();
        let answer = async {
            let mut peer = server.accept().await;
            peer.requests(3).await;
            peer.send(hello_reply(1) + refusal + refusal).await;
            peer
        };
        let connect = Client::connect_with(config(), server.dialler());
        let (client, mut peer) = ends(async { tokio::join!(connect, answer) }).await;
        let client = client.expect(refusal);
        let (len, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":1\r\n"));
        assert_eq!(len.unwrap(), 1, "{refusal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_reconnect_is_reported_to_callers_and_retried() {
    // The password is changed, and changed back.
    let server = Server::new();
    let config = config().password("p").command_timeout(ms(700)).reconnect(ms(10), ms(100));
    let (client, peer) = server.connect(config).await;
    drop(peer);
    let refuse = async {
        for _ in 0..6 {
            let mut peer = server.accept().await;
            peer.requests(3).await;
            peer.send("-WRONGPASS invalid\r\n").await;
        }
    };
    let (unsent, ()) = ends(async { tokio::join!(client.send(XLen::new("s")), refuse) }).await;
    let error = unsent.unwrap_err();
    let Error::Unsent { reason: Unsent::TimedOut { source: Some(source), .. }, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(source.reason(), ConnectReason::Refused(e) if *e.code() == Code::WrongPass));
    let (next, request) = ends(async {
        tokio::join!(client.send(XLen::new("next")), async {
            server.greet().await.answer(":1\r\n").await
        })
    })
    .await;
    assert_eq!((next.unwrap(), request.as_str()), (1, "XLEN next"));
}

#[tokio::test(start_paused = true)]
async fn error_reply_is_not_applied_and_keeps_the_connection() {
    let refusals = [
        ("-LOADING Redis is loading the dataset in memory\r\n", Code::Loading),
        ("-BUSY Redis is busy running a script\r\n", Code::Busy),
        ("-MASTERDOWN Link with MASTER is down\r\n", Code::MasterDown),
        ("-READONLY You can't write against a read only replica.\r\n", Code::ReadOnly),
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", Code::Oom),
        ("-MISCONF Redis is configured to save RDB snapshots\r\n", Code::MisConf),
        ("-NOREPLICAS Not enough good replicas to write.\r\n", Code::NoReplicas),
        ("-NOAUTH Authentication required.\r\n", Code::NoAuth),
        ("-NOPERM User default has no permissions\r\n", Code::NoPerm),
        ("-CLUSTERDOWN Hash slot not served\r\n", Code::ClusterDown),
        ("-TRYAGAIN Multiple keys request during rehashing of slot\r\n", Code::TryAgain),
        ("-MOVED 8579 127.0.0.1:7001\r\n", Code::Moved),
        ("!19\r\nBUSY a\r\nb\r\nc\r\nd efg\r\n", Code::Busy),
    ];
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    for (refusal, code) in refusals {
        let add = client.send(XAdd::new("jobs").field("v", "a"));
        let (refused, _) = ends(async { tokio::join!(add, peer.answer(refusal)) }).await;
        let error = refused.expect_err(refusal);
        assert!(matches!(error, Error::Server(_)), "{error:?}");
        assert_eq!((error.outcome(), error.code()), (Outcome::NotApplied, Some(&code)));
        let (next, _) = tokio::join!(client.send(XLen::new("s")), peer.answer(":1\r\n"));
        assert_eq!(next.unwrap(), 1, "{refusal:?}");
    }
    assert_eq!(server.dials().len(), 1, "nothing was sent again, and there was no reconnect");
}

#[tokio::test(start_paused = true)]
async fn close_without_a_connection_ends_the_reconnect_attempts() {
    let server = Server::new();
    let (client, peer) = server.connect(config()).await;
    server.plan([Plan::Never]);
    drop(peer);
    settle().await;
    let mut queued = Box::pin(client.send(XLen::new("s")));
    assert!(poll_once(&mut queued).await.is_none());
    let start = Instant::now();
    ends(client.close()).await;
    let error = ends(queued).await.unwrap_err();
    assert!(matches!(error, Error::Unsent { reason: Unsent::Closed, .. }), "{error:?}");
    assert_eq!(start.elapsed(), ms(0));
    let dials = server.dials().len();
    sleep(ms(60_000)).await;
    assert_eq!(server.dials().len(), dials, "no more dials");
}
