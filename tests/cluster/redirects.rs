//! MOVED, ASK and other refusals, one at a time: scripted nodes on loopback, and the requests that
//! each receives.

use bourn::{Client, Code, Config, Outcome, ReadFrom, XAdd, XLen, XRead};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A node's answer to a request, given its words and how many there were before.
pub(super) type Answer = Arc<dyn Fn(&[String], usize) -> String + Send + Sync>;

/// A scripted node. It answers `CLUSTER SLOTS` with the one view that all nodes share.
pub(super) struct Node {
    pub(super) port: u16,
    seen: Arc<Mutex<Seen>>,
    view: View,
}

/// The requests that a node has received, without those of the handshake and for the map.
#[derive(Default)]
struct Seen {
    connections: usize,
    /// The requests in order.
    requests: Vec<String>,
    /// The names of the requests that came in one read.
    reads: Vec<String>,
}

/// The reply to `CLUSTER SLOTS`.
pub(super) type View = Arc<Mutex<String>>;

pub(super) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Starts two nodes. `view` and the answers are given both ports.
async fn two(
    view: impl Fn(u16, u16) -> String,
    first: impl Fn(u16, u16) -> Answer,
    second: impl Fn(u16, u16) -> Answer,
) -> [Node; 2] {
    let ((one, a), (other, b)) = (listen().await, listen().await);
    let view = Arc::new(Mutex::new(view(a, b)));
    [serve(one, a, &view, first(a, b)), serve(other, b, &view, second(a, b))]
}

pub(super) fn serve(listener: TcpListener, port: u16, view: &View, answer: Answer) -> Node {
    let node = Node { port, seen: Arc::default(), view: Arc::clone(view) };
    let (seen, view) = (Arc::clone(&node.seen), Arc::clone(view));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            seen.lock().unwrap().connections += 1;
            tokio::spawn(speak(socket, Arc::clone(&seen), Arc::clone(&view), Arc::clone(&answer)));
        }
    });
    node
}

async fn speak(mut socket: TcpStream, seen: Arc<Mutex<Seen>>, view: View, answer: Answer) {
    // With room for all that one write may have.
    let mut input = Vec::with_capacity(1 << 20);
    while let Ok(1..) = socket.read_buf(&mut input).await {
        let mut out = String::new();
        let mut names = Vec::new();
        while let Some(words) = next_request(&mut input) {
            match words[0].as_str() {
                "HELLO" => out += "-ERR unknown command 'HELLO'\r\n",
                "READONLY" => out += "+OK\r\n",
                "CLIENT" | "INFO" | "PING" => out += "-ERR no\r\n",
                "CLUSTER" => out += &view.lock().unwrap(),
                _ => {
                    let mut seen = seen.lock().unwrap();
                    out += &answer(&words, seen.requests.len());
                    seen.requests.push(words.join(" "));
                    names.push(words[0].clone());
                }
            }
        }
        if !names.is_empty() {
            seen.lock().unwrap().reads.push(names.join(" "));
        }
        if socket.write_all(out.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Takes the words of the first request, if it is complete.
fn next_request(input: &mut Vec<u8>) -> Option<Vec<String>> {
    let mut at = 0;
    let number = |at: &mut usize| {
        let rest = input.get(*at..)?;
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let text = std::str::from_utf8(rest.get(1..end)?).unwrap();
        *at += end + 2;
        Some(text.parse::<usize>().unwrap())
    };
    let count = number(&mut at)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let len = number(&mut at)?;
        let word = input.get(at..at + len)?;
        words.push(String::from_utf8_lossy(word).into_owned());
        at += len + 2;
    }
    if at > input.len() {
        return None;
    }
    input.drain(..at);
    Some(words)
}

/// Returns the reply to CLUSTER SLOTS in which one node has all slots.
fn all_at(port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$1\r\nx\r\n")
}

pub(super) fn answers(
    answer: impl Fn(&[String], usize) -> String + Send + Sync + 'static,
) -> Answer {
    Arc::new(answer)
}

async fn client(nodes: &[Node]) -> Client {
    let config = Config::cluster([format!("127.0.0.1:{}", nodes[0].port)]);
    let config = config.refresh_every(Duration::from_secs(600)).probe(None);
    Client::connect(config.command_timeout(Duration::from_secs(10))).await.unwrap()
}

impl Node {
    /// Changes the view that this node and those that share it have.
    pub(super) fn set_view(&self, view: String) {
        *self.view.lock().unwrap() = view;
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub(super) fn reads(&self) -> Vec<String> {
        self.seen.lock().unwrap().reads.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }
}

#[tokio::test]
async fn moved_command_goes_to_the_named_node_and_the_next_one_directly() {
    let nodes = two(
        |a, _| all_at(a),
        |_, b| answers(move |_, _| format!("-MOVED 105 127.0.0.1:{b}\r\n")),
        |_, _| answers(|_, nth| format!(":{nth}\r\n")),
    )
    .await;
    let client = client(&nodes).await;
    for expected in 0..3 {
        assert_eq!(client.send(XLen::new("orders")).await.unwrap(), expected);
    }
    assert_eq!(nodes[0].requests(), ["XLEN orders"]);
    assert_eq!(nodes[1].requests(), ["XLEN orders"; 3]);
    let refused = client.at(&client.nodes()[0]).send(XLen::new("orders")).await.unwrap_err();
    assert_eq!(refused.code(), Some(&Code::Moved), "at a node nothing is followed");
}

#[tokio::test]
async fn asking_and_its_command_are_one_write() {
    let nodes = two(
        |a, _| all_at(a),
        |_, b| answers(move |_, _| format!("-ASK 105 127.0.0.1:{b}\r\n")),
        |_, _| {
            answers(|words, _| match words[0].as_str() {
                "XLEN" => ":7\r\n".into(),
                "XREAD" => "*-1\r\n".into(),
                "XADD" => "$3\r\n1-1\r\n".into(),
                _ => "+OK\r\n".into(),
            })
        },
    )
    .await;
    let client = client(&nodes).await;
    assert_eq!(client.send(XLen::new("orders")).await.unwrap(), 7);
    let (added, len) =
        client.send_all((XAdd::new("orders").field("k", "v"), XLen::new("{orders}2"))).await;
    assert_eq!((added.unwrap().to_string(), len.unwrap()), ("1-1".to_owned(), 7));
    let mut reader = client.reader().await.unwrap();
    let read = XRead::new().stream("orders", ReadFrom::START).block(Duration::from_millis(50));
    assert!(reader.read(read).await.unwrap().is_empty());
    // The slot stays where it is.
    assert_eq!(nodes[0].requests().len(), 4);
    assert_eq!(nodes[1].reads(), ["ASKING XLEN", "ASKING XADD ASKING XLEN", "ASKING XREAD"]);
}

#[tokio::test]
async fn transaction_is_redirected_as_a_whole() {
    // MOVED in place of QUEUED, ASK at EXEC, and TRYAGAIN at EXEC.
    for (queued, exec, asking) in [
        ("-MOVED 105 127.0.0.1:PORT\r\n", "-EXECABORT previous errors\r\n", false),
        ("+QUEUED\r\n", "-ASK 105 127.0.0.1:PORT\r\n", true),
        ("+QUEUED\r\n", "-MOVED 105 127.0.0.1:PORT\r\n", false),
    ] {
        let nodes = two(
            |a, _| all_at(a),
            |_, b| {
                answers(move |words, _| match words[0].as_str() {
                    "MULTI" => "+OK\r\n".into(),
                    "EXEC" => exec.replace("PORT", &b.to_string()),
                    _ => queued.replace("PORT", &b.to_string()),
                })
            },
            |_, _| {
                answers(|words, _| match words[0].as_str() {
                    "MULTI" | "ASKING" => "+OK\r\n".into(),
                    "EXEC" => "*1\r\n:3\r\n".into(),
                    _ => "+QUEUED\r\n".into(),
                })
            },
        )
        .await;
        let client = client(&nodes).await;
        let (len,) = client.transact((XLen::new("orders"),)).await.unwrap();
        assert_eq!(len.unwrap(), 3, "{exec}");
        let prefix = if asking { "ASKING " } else { "" };
        assert_eq!(nodes[1].reads(), [format!("{prefix}MULTI XLEN EXEC")], "{exec}");
    }
}

#[tokio::test]
async fn nodes_that_disagree_for_ever_are_left_after_16_redirects() {
    let nodes = two(
        |a, _| all_at(a),
        |_, b| answers(move |_, _| format!("-MOVED 105 127.0.0.1:{b}\r\n")),
        |a, _| answers(move |_, _| format!("-MOVED 105 127.0.0.1:{a}\r\n")),
    )
    .await;
    let client = client(&nodes).await;
    let error = client.send(XAdd::new("orders").field("k", "v")).await.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (Some(&Code::Moved), Outcome::NotApplied));
    let all = nodes[0].requests().len() + nodes[1].requests().len();
    assert_eq!(all, 17, "the first attempt and 16 redirects");
}

#[tokio::test]
async fn nodes_without_a_name_are_found() {
    // An empty host is the one that was asked; `?` is the node with that port.
    for host in ["", "?"] {
        let nodes = two(
            |a, b| {
                let range = |first, last, port: u16| {
                    format!("*3\r\n:{first}\r\n:{last}\r\n*3\r\n$-1\r\n:{port}\r\n$1\r\nx\r\n")
                };
                format!("*2\r\n{}{}", range(0, 8191, a), range(8192, 16_383, b))
            },
            |_, b| answers(move |_, _| format!("-MOVED 105 {host}:{b}\r\n")),
            |_, _| answers(|_, _| ":1\r\n".into()),
        )
        .await;
        let client = client(&nodes).await;
        assert_eq!(client.send(XLen::new("orders")).await.unwrap(), 1, "{host:?}");
        assert_eq!(nodes[1].requests(), ["XLEN orders"], "{host:?}");
    }
}

#[tokio::test]
async fn announced_addresses_are_mapped() {
    let nodes = two(
        |_, _| "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$8\r\n10.0.0.9\r\n:1\r\n$1\r\nx\r\n".into(),
        |_, _| answers(|_, _| "-MOVED 105 10.0.0.9:2\r\n".into()),
        |_, _| answers(|_, _| ":1\r\n".into()),
    )
    .await;
    let ports = [nodes[0].port, nodes[1].port];
    let config = Config::cluster([format!("127.0.0.1:{}", ports[0])]);
    let config = config.map_address(move |host, port| {
        assert_eq!(host, "10.0.0.9");
        ("127.0.0.1".to_owned(), ports[usize::from(port) - 1])
    });
    let client = Client::connect(config).await.unwrap();
    assert_eq!(client.send(XLen::new("orders")).await.unwrap(), 1);
    assert_eq!((nodes[0].requests().len(), nodes[1].requests().len()), (1, 1));
}

#[tokio::test]
async fn passing_refusals_are_waited_for_and_others_are_not() {
    for (refusal, follows) in [
        ("TRYAGAIN Multiple keys request during rehashing of slot", true),
        ("CLUSTERDOWN Hash slot not served", true),
        ("LOADING Redis is loading the dataset in memory", true),
        ("CROSSSLOT Keys in request don't hash to the same slot", false),
        ("WRONGTYPE Operation against a key", false),
    ] {
        let first = move |_: u16, _: u16| {
            answers(move |_, nth| match nth {
                0 | 2 => format!("-{refusal}\r\n"),
                _ => ":1\r\n".into(),
            })
        };
        let nodes = two(|a, _| all_at(a), first, |_, _| answers(|_, _| String::new())).await;
        let client = client(&nodes).await;
        let single = client.send(XLen::new("orders")).await;
        assert_eq!(single.is_ok(), follows, "{refusal}: {single:?}");
        if follows {
            let (len,) = client.send_all((XLen::new("orders"),)).await;
            assert_eq!(len.unwrap(), 1, "{refusal}");
            assert_eq!(nodes[0].requests().len(), 4, "{refusal}");
        }
    }
}

#[tokio::test]
async fn batch_sends_only_the_redirected_commands_again_and_in_order() {
    let nodes = two(
        |a, _| all_at(a),
        |_, b| {
            answers(move |words, _| match words[1].as_str() {
                "orders" => format!("-MOVED 105 127.0.0.1:{b}\r\n"),
                _ => ":1\r\n".into(),
            })
        },
        |_, _| answers(|_, nth| format!("$3\r\n1-{nth}\r\n")),
    )
    .await;
    let client = client(&nodes).await;
    let add = |n: u64| XAdd::new("orders").field("n", n);
    let (a, other, b, c) = client.send_all((add(1), XLen::new("elsewhere"), add(2), add(3))).await;
    assert_eq!(other.unwrap(), 1);
    let ids = [a, b, c].map(|id| id.unwrap().to_string());
    assert_eq!(ids, ["1-0", "1-1", "1-2"]);
    assert_eq!(nodes[0].requests().len(), 4);
    let again = ["XADD orders * n 1", "XADD orders * n 2", "XADD orders * n 3"];
    assert_eq!(nodes[1].requests(), again);
    assert_eq!(nodes[1].reads().len(), 1, "as one part");
}

#[tokio::test]
async fn batch_keeps_the_order_of_a_slot_while_a_command_waits() {
    let nodes = two(
        |a, _| all_at(a),
        |_, _| {
            answers(|_, nth| match nth {
                0 => "-TRYAGAIN Multiple keys request during rehashing of slot\r\n".into(),
                _ => format!("$4\r\n1-{nth:02}\r\n"),
            })
        },
        |_, _| answers(|_, _| String::new()),
    )
    .await;
    let client = client(&nodes).await;
    // Two commands are a part, and four parts are in flight.
    let text = "x".repeat(30_000);
    let adds = (0..20).map(|n| XAdd::new("orders").field(n, &text));
    let ids = client.send_all(adds).await;
    assert!(ids.iter().all(Result::is_ok), "{ids:?}");
    let field = |request: String| request.split(' ').nth(3).unwrap().parse::<u64>().unwrap();
    let order: Vec<_> = nodes[0].requests().into_iter().map(field).collect();
    let again = order.iter().skip(1).position(|n| *n == 0).expect("it is sent again");
    let behind = &order[again + 2..];
    assert_eq!(order.len(), 21);
    assert!(behind.len() >= 12 && behind.is_sorted(), "none overtakes it: {order:?}");
}

#[tokio::test]
async fn command_that_waits_for_a_dead_node_goes_to_the_new_one() {
    let (gone, dead) = listen().await;
    drop(gone);
    let (listener, port) = listen().await;
    let view: View = Arc::new(Mutex::new(all_at(dead)));
    let node = serve(listener, port, &view, answers(|_, _| ":1\r\n".into()));
    let client = client(std::slice::from_ref(&node)).await;
    let begin = std::time::Instant::now();
    let waiting = client.send(XLen::new("orders"));
    let taking_over = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        *view.lock().unwrap() = all_at(port);
    };
    let (len, ()) = futures_util::future::join(waiting, taking_over).await;
    assert_eq!(len.unwrap(), 1);
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(node.requests(), ["XLEN orders"]);
}

#[tokio::test]
async fn node_without_slots_is_not_dialled() {
    let nodes = two(
        |a, b| {
            let node = |port| format!("*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$1\r\nx\r\n");
            format!("*1\r\n*4\r\n:0\r\n:16383\r\n{}{}", node(a), node(b))
        },
        |_, _| answers(|_, _| ":1\r\n".into()),
        |_, _| answers(|_, _| ":1\r\n".into()),
    )
    .await;
    let client = client(&nodes).await;
    client.send(XLen::new("orders")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(client.nodes().len(), 2, "the replica is known");
    assert_eq!((nodes[0].connections(), nodes[1].connections()), (1, 0));
    // It is when a command needs it.
    let replica = &client.nodes()[1];
    assert_eq!(client.at(replica).send(XLen::new("orders")).await.unwrap(), 1);
    assert_eq!(nodes[1].connections(), 1);
}
