//! A lazy client starts without a server. A client with `wait_for_server` waits for it.

use super::peer::{Server, config, ends, in_paused_time, ms};
use super::wire::Plan;
use bourn::{Client, ConnectReason, Disconnect, Error, Event, Outcome, XLen};
use std::future::pending;
use tokio::time::{Instant, sleep};

#[test]
fn lazy_client_connects_and_sends_queued_commands() {
    in_paused_time(async {
        let server = Server::new();
        server.plan([Plan::Refuse, Plan::Refuse]);
        let client = Client::lazy_with(config(), server.dialler()).unwrap();
        assert!(!client.is_connected() && client.server().is_none());
        let mut events = client.events();
        let first = events.next().await;
        let not_yet = matches!(first, Some(Event::Disconnected { reason: Disconnect::NotYet, .. }));
        assert!(not_yet, "{first:?}");
        let (len, mut peer) = ends(async {
            tokio::join!(client.send(XLen::new("s")), async {
                let mut peer = server.greet().await;
                assert_eq!(peer.answer(":3\r\n").await, "XLEN s");
                peer
            })
        })
        .await;
        assert_eq!(len.unwrap(), 3);
        assert!(client.is_connected());
        client.ready(ms(0)).await.unwrap();
        assert_eq!((client.requests_in_flight(), client.bytes_in_flight()), (0, 0));
        let mut call = Box::pin(client.send(XLen::new("s")));
        assert!(super::peer::poll_once(&mut call).await.is_none());
        assert_eq!(client.requests_in_flight(), 1);
        assert!(client.bytes_in_flight() > 20);
        peer.answer(":3\r\n").await;
        assert_eq!(call.await.unwrap(), 3);
    });
}

#[test]
fn lazy_client_without_a_server_fails_by_its_deadline() {
    in_paused_time(async {
        let server = Server::new();
        server.plan((0..1000).map(|_| Plan::Refuse));
        let client =
            Client::lazy_with(config().command_timeout(ms(700)), server.dialler()).unwrap();
        let start = Instant::now();
        let error = ends(client.send(XLen::new("s"))).await.unwrap_err();
        assert_eq!((error.outcome(), start.elapsed()), (Outcome::NotSent, ms(700)));
        let error = ends(client.ready(ms(500))).await.unwrap_err();
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        assert!(matches!(connect.reason(), ConnectReason::Io(_)), "{error:?}");
        assert_eq!(start.elapsed(), ms(1200));
        // A health check takes no time.
        assert!(!client.is_connected());
        client.close().await;
        let error = ends(client.ready(ms(500))).await.unwrap_err();
        assert!(matches!(error, Error::Lost { reason: Disconnect::Closed, .. }), "{error:?}");
    });
}

#[test]
fn connect_waits_for_the_server_up_to_the_configured_time() {
    in_paused_time(async {
        let server = Server::new();
        server.plan((0..3).map(|_| Plan::Refuse));
        let error = ends(Client::connect_with(config(), server.dialler())).await.unwrap_err();
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        assert!(matches!(connect.reason(), ConnectReason::Io(_)), "{error:?}");
        assert_eq!(server.dials().len(), 1, "one attempt");
        let config = config().wait_for_server(ms(60_000));
        let (client, _peer) = ends(async {
            tokio::join!(Client::connect_with(config, server.dialler()), server.greet())
        })
        .await;
        assert!(client.unwrap().is_connected());
        assert_eq!(server.dials().len(), 4);
        // When the time has passed, the last error is returned.
        server.plan((0..1000).map(|_| Plan::Refuse));
        let start = Instant::now();
        let config = super::peer::config().wait_for_server(ms(2000));
        let error = ends(Client::connect_with(config, server.dialler())).await.unwrap_err();
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        assert!(matches!(connect.reason(), ConnectReason::Io(_)), "{error:?}");
        assert!(start.elapsed() <= ms(2000), "{:?}", start.elapsed());
    });
}

#[test]
fn connection_with_an_overdue_reply_does_not_count_as_connected() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        assert!(client.is_connected());
        let late = tokio::select! {
            late = client.send(XLen::new("s")) => late,
            () = async { peer.request().await; pending().await } => unreachable!(),
        };
        assert!(late.is_err());
        sleep(ms(1)).await;
        assert!(!client.is_connected());
    });
}
