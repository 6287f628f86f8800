//! Events: a connection that is lost, refused and made again tells each step, once, in order, to everyone who listens.

use super::peer::{Server, config, ends, hello_reply, ms, settle};
use super::wire::Plan;
use bourn::{Client, Config, Event, Events, XLen};

/// The next events, in a word each, until one of this name.
async fn until(events: &mut Events, last: &str) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let event = ends(events.next()).await.expect("the connection lives");
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
async fn each_step_is_told_to_everyone() {
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
async fn the_server_is_told_and_the_end_is_the_end() {
    let server = Server::new();
    let (client, _peer) = server.connect(config()).await;
    let mut events = client.events();
    let first = events.next().await;
    let Some(Event::Connected { server: Some(who), .. }) = first else { panic!("{first:?}") };
    assert_eq!(who.version().to_string(), "7.4.0");
    ends(client.close()).await;
    assert_eq!(until(&mut events, "disconnected: the client is closed").await.len(), 1);
    assert!(ends(events.next()).await.is_none() && ends(events.next()).await.is_none());
    let mut late = client.events();
    assert!(matches!(ends(late.next()).await, Some(Event::Disconnected { .. })));
    assert!(ends(late.next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_told_and_tried_at_the_slow_end() {
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
    // Twenty attempts below a bound of a second each; with the quick start there would be eight in the first of them.
    assert!(*dials.last().unwrap() - dials[0] > ms(5000), "{dials:?}");
    let told = until(&mut events, "rejected").await;
    let steps =
        ["connected", "disconnected: the server closed the connection", "reconnecting", "rejected"];
    assert_eq!(told, steps);
    let error = ends(client.send(XLen::new("s"))).await.unwrap_err();
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_slow_holds_nothing_up_and_is_told_what_it_missed() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config().events_buffer(3)).await;
    let mut events = client.events();
    for _ in 0..5 {
        drop(peer);
        peer = server.greet().await;
        settle().await;
    }
    // One that says how things stand, and three for each time.
    assert_eq!(until(&mut events, "connected").await[0], "missed 13");
    drop(client);
    settle().await;
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn connected_event_comes_when_the_new_id_and_server_are_known() {
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
