//! Events: each listener gets every step of a lost, refused and restored connection once and in
//! order.

use super::peer::{Server, config, ends, hello_reply, ms, settle};
use super::wire::Plan;
use bourn::{Client, Config, Event, Events, XLen};

/// Returns the names of the next events, up to and including the event `last`.
async fn until(events: &mut Events, last: &str) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let event = ends(events.next()).await.expect("the connection is open");
        let name = match &event {
            Event::Connected { .. } => "connected".into(),
            Event::Disconnected { reason, .. } => format!("disconnected: {reason}"),
            Event::Reconnecting { after, .. } => {
                assert!(*after <= ms(1000));
                "reconnecting".into()
            }
            Event::ConnectFailed { .. } => "failed".into(),
            Event::CredentialsRejected { error, .. } => {
                assert!(error.is_credentials() && error.is_permanent());
                "rejected".into()
            }
            Event::Missed { events, .. } => format!("missed {events}"),
            other => panic!("{other:?}"),
        };
        let done = name == last;
        names.push(name);
        if done {
            return names;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_listener_gets_each_step() {
    let server = Server::new();
    let (client, peer) = server.connect(config()).await;
    let mut listeners = [client.events(), client.events()];
    server.plan([Plan::Refuse, Plan::Refuse]);
    drop(peer);
    let _peer = server.greet().await;
    for events in &mut listeners {
        assert_eq!(until(events, "connected").await, ["connected"]);
        let rest = until(events, "connected").await;
        let steps =
            ["reconnecting", "failed", "reconnecting", "failed", "reconnecting", "connected"];
        assert_eq!(rest.first().unwrap(), "disconnected: the server closed the connection");
        assert_eq!(rest[1..], steps);
    }
}

#[tokio::test(start_paused = true)]
async fn connected_event_has_the_server_and_close_ends_the_events() {
    let server = Server::new();
    let (client, _peer) = server.connect(config()).await;
    let mut events = client.events();
    let first = events.next().await;
    let Some(Event::Connected { server: Some(server_info), .. }) = first else {
        panic!("{first:?}")
    };
    assert_eq!(server_info.version().to_string(), "7.4.0");
    ends(client.close()).await;
    assert_eq!(until(&mut events, "disconnected: the client is closed").await.len(), 1);
    assert!(ends(events.next()).await.is_none() && ends(events.next()).await.is_none());
    let mut late = client.events();
    assert!(matches!(ends(late.next()).await, Some(Event::Disconnected { .. })));
    assert!(ends(late.next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_are_reported_and_retried_at_the_slowest_rate() {
    let server = Server::new();
    let secret: Config = config().password("s3cret");
    let (client, peer) = {
        let connect = Client::connect_with(secret, server.dialler());
        let (client, peer) = ends(async {
            tokio::join!(connect, async {
                let mut peer = server.accept().await;
                for reply in [hello_reply(1).as_str(), "+OK\r\n", "+OK\r\n"] {
                    peer.answer(reply).await;
                }
                peer
            })
        })
        .await;
        (client.unwrap(), peer)
    };
    let mut events = client.events();
    drop(peer);
    for _ in 0..20 {
        let mut peer = server.accept().await;
        peer.request().await;
        peer.send(
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n+OK\r\n",
        )
        .await;
        settle().await;
    }
    let dials = server.dials();
    // Twenty attempts with a maximum backoff of one second each. The fast start would give eight in
    // the first second.
    assert!(*dials.last().unwrap() - dials[0] > ms(5000), "{dials:?}");
    let seen = until(&mut events, "rejected").await;
    let steps =
        ["connected", "disconnected: the server closed the connection", "reconnecting", "rejected"];
    assert_eq!(seen, steps);
    let error = ends(client.send(XLen::new("s"))).await.unwrap_err();
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn slow_listener_blocks_nothing_and_gets_the_count_of_missed_events() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().events_buffer(3)).await;
    let mut events = client.events();
    for _ in 0..5 {
        drop(peer);
        peer = server.greet().await;
        settle().await;
    }
    // One event for the current state, and three for each reconnect.
    assert_eq!(until(&mut events, "connected").await[0], "missed 13");
    drop(client);
    settle().await;
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn connected_event_follows_the_new_id_and_server() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let mut events = client.events();
    until(&mut events, "connected").await;
    for number in 2..10 {
        drop(peer);
        let listener = client.clone();
        let seen = async {
            until(&mut events, "connected").await;
            listener.connection_id()
        };
        let (seen, next) = ends(async { tokio::join!(biased; seen, server.greet()) }).await;
        assert_eq!(seen, Some(number));
        peer = next;
    }
}

/// Reads the connection's id when it is woken.
struct ReadsId {
    client: bourn::Client,
    seen: std::sync::Mutex<Vec<Option<i64>>>,
}

impl std::task::Wake for ReadsId {
    fn wake(self: std::sync::Arc<Self>) {
        self.seen.lock().unwrap().push(self.client.connection_id());
    }
}

#[tokio::test(start_paused = true)]
async fn listener_on_another_thread_can_read_the_new_id_at_once() {
    let server = Server::new();
    let (client, peer) = server.connect(config()).await;
    let mut events = client.events();
    until(&mut events, "connected").await;
    drop(peer);
    until(&mut events, "reconnecting").await;
    // A listener of another thread may run within the call that wakes it.
    let listener = std::sync::Arc::new(ReadsId { client, seen: std::sync::Mutex::default() });
    let waker = std::task::Waker::from(std::sync::Arc::clone(&listener));
    let mut next = std::pin::pin!(events.next());
    assert!(next.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    let _peer = server.greet().await;
    settle().await;
    assert_eq!(*listener.seen.lock().unwrap(), [Some(2)]);
}
