//! Reads that replicas answer, on scripted nodes and on a real cluster.

use crate::redirects::{Answer, Node, View, answers, listen, serve};
use crate::three::Three;
use bourn::command::key_slot;
use bourn::{Client, Config, ReadCommand, Replicas, Retry, XAdd, XLen, XRange};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Returns the reply to CLUSTER SLOTS with a master of all slots and its replicas.
fn view(master: u16, replicas: &[u16]) -> String {
    let node = |port: &u16| format!("*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$1\r\nx\r\n");
    let nodes: String = std::iter::once(&master).chain(replicas).map(node).collect();
    format!("*1\r\n*{}\r\n:0\r\n:16383\r\n{nodes}", replicas.len() + 3)
}

/// Starts a master and replicas, which answer with the master's port at hand.
async fn nodes(master: Answer, replicas: &[fn(u16) -> Answer]) -> Vec<Node> {
    let (listener, port) = listen().await;
    let map: View = Arc::default();
    let mut nodes = vec![serve(listener, port, &map, master)];
    let mut ports = Vec::new();
    for replica in replicas {
        let (listener, own) = listen().await;
        ports.push(own);
        nodes.push(serve(listener, own, &map, replica(port)));
    }
    *map.lock().unwrap() = view(port, &ports);
    nodes
}

fn config(nodes: &[Node], which: Replicas) -> Config {
    let config = Config::cluster([format!("127.0.0.1:{}", nodes[0].port)]);
    let config = config.refresh_every(Duration::from_secs(600)).probe(None).replicas(which);
    config.command_timeout(Duration::from_secs(4))
}

fn number(n: u64) -> Answer {
    answers(move |_, _| format!(":{n}\r\n"))
}

#[tokio::test]
async fn only_marked_reads_go_to_a_replica_and_only_if_the_settings_say_so() {
    let nodes = nodes(number(1), &[|_| number(2)]).await;
    let client = Client::connect(config(&nodes, Replicas::Any)).await.unwrap();
    let len = || XLen::new("orders");
    assert_eq!(client.send(len()).await.unwrap(), 1);
    assert_eq!(nodes[1].connections(), 0, "no replica is needed yet");
    assert_eq!(client.send(len().from_replica()).await.unwrap(), 2);
    assert_eq!(client.send(len()).await.unwrap(), 1);
    let (one,) = client.send_all((len().from_replica(),)).await;
    assert_eq!(one.unwrap(), 1, "a batch goes to the master");
    assert_eq!(nodes[1].requests(), ["XLEN orders"]);
    // A command to the replica itself is not sent on the connection for reads.
    assert_eq!(client.at(&client.nodes()[1]).send(len()).await.unwrap(), 2);
    assert_eq!(nodes[1].connections(), 2);
    let client = Client::connect(config(&nodes, Replicas::Never)).await.unwrap();
    assert_eq!(client.send(len().from_replica()).await.unwrap(), 1);
}

#[tokio::test]
async fn read_goes_on_at_the_master_if_the_replica_cannot_answer() {
    let moved = |port: u16| answers(move |_, _| format!("-MOVED 105 127.0.0.1:{port}\r\n"));
    let loading = |_| answers(|_, _| "-LOADING Redis is loading the dataset in memory\r\n".into());
    let silent = |_| answers(|_, _| String::new());
    let rows: [(&str, fn(u16) -> Answer, Duration); 3] = [
        ("moved", moved, Duration::ZERO),
        ("loading", loading, Duration::ZERO),
        ("silent", silent, Duration::from_secs(2)),
    ];
    for (what, replica, least) in rows {
        let nodes = nodes(number(1), &[replica]).await;
        let client = Client::connect(config(&nodes, Replicas::Any)).await.unwrap();
        let begun = Instant::now();
        let len = client.send(XLen::new("orders").from_replica()).await;
        assert_eq!(len.unwrap(), 1, "{what}");
        let took = begun.elapsed();
        assert!(took >= least && took < least + Duration::from_secs(1), "{what}: {took:?}");
        assert_eq!(nodes[1].requests(), ["XLEN orders"], "{what}");
        let client =
            Client::connect(config(&nodes, Replicas::Any).retry(Retry::Never)).await.unwrap();
        let len = client.send(XLen::new("orders").from_replica()).await;
        assert_eq!(len.is_ok(), what == "moved", "{what}: {len:?}");
    }
}

#[tokio::test]
async fn replica_without_a_listener_costs_no_more_than_an_attempt_to_connect() {
    let nodes = nodes(number(1), &[]).await;
    let (gone, port) = listen().await;
    drop(gone);
    nodes[0].set_view(view(nodes[0].port, &[port]));
    let client = Client::connect(config(&nodes, Replicas::Any)).await.unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.send(XLen::new("orders").from_replica()).await.unwrap(), 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn nearest_replica_is_read_most_and_any_evenly() {
    let slow = |_| {
        answers(|_, _| {
            std::thread::sleep(Duration::from_millis(3));
            ":3\r\n".into()
        })
    };
    for which in [Replicas::Near, Replicas::Any] {
        let nodes = nodes(number(1), &[|_| number(2), slow]).await;
        let client = Client::connect(config(&nodes, which)).await.unwrap();
        for _ in 0..200 {
            client.send(XLen::new("orders").from_replica()).await.unwrap();
        }
        let counts = [0, 1, 2].map(|nth: usize| nodes[nth].requests().len());
        assert_eq!((counts[0], counts[1] + counts[2]), (0, 200), "{which:?}");
        match which {
            Replicas::Near => assert!((1..40).contains(&counts[2]), "{counts:?}"),
            _ => assert!(counts[1] > 50 && counts[2] > 50, "{counts:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_replicas_answer_and_reads_go_on_through_a_failover_and_a_kill() {
    let mut three = Three::with(&["--cluster-require-full-coverage", "no"]);
    let config: Config = three.url().parse().unwrap();
    // Otherwise the client learns of no new replica: the promoted one answers all reads.
    let config = config.refresh_every(Duration::from_millis(500));
    let client = Client::connect(config).await.unwrap();
    let key = three.keys_of(0, 1).remove(0);
    for n in 0..50_u64 {
        client.send(XAdd::new(&key).field("n", n)).await.unwrap();
    }
    three.until("the replica has all", |three| {
        let offset = |nth: usize, field: &str| {
            let info = three.servers[nth].command(&["INFO", "replication"]);
            let line = info.lines().find_map(|line| line.strip_prefix(field).map(str::to_owned));
            line.unwrap_or_default()
        };
        offset(0, "master_repl_offset:") == offset(3, "slave_repl_offset:")
    });
    let read = || XRange::new(&key, ..).from_replica();
    let calls = |three: &Three, nth: usize| {
        let stats = three.servers[nth].command(&["INFO", "commandstats"]);
        // A call that was refused with MOVED is no call.
        let mut lines = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_xrange:"));
        lines.any(|calls| !calls.starts_with("calls=0,"))
    };
    assert_eq!(client.send(read()).await.unwrap().len(), 50);
    assert_eq!((calls(&three, 0), calls(&three, 3)), (false, true), "the replica has read");
    // The replica becomes the master, and the master a replica.
    three.fail_over(3);
    for _ in 0..50 {
        assert_eq!(client.send(read()).await.unwrap().len(), 50);
    }
    three.until("the old master reads", |three| {
        calls(three, 0) || {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(client.send(read())).unwrap();
            });
            false
        }
    });
    // The replica dies.
    three.servers[0].kill9();
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(client.send(read()).await.unwrap().len(), 50);
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(three.owner(key_slot(&key)), 3);
    let known: HashSet<_> = client.nodes().iter().map(|node| node.address().to_string()).collect();
    assert!(known.len() >= 5);
    client.close().await;
}
