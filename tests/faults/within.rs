//! A deadline for one command: shorter or longer than the connection's, with the outcome in the
//! error.

use super::peer::{Server, config, ends, in_paused_time, ms};
use bourn::{Error, Outcome, ReadFrom, XAck, XLen, XRead};
use tokio::time::{Instant, sleep};

#[test]
fn command_has_its_own_deadline() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config().command_timeout(ms(1000))).await;
        let start = Instant::now();
        for time in [1, 50, 1500] {
            let start = Instant::now();
            let error = ends(client.send(XLen::new("s")).within(ms(time))).await.unwrap_err();
            let timed_out = matches!(error, Error::TimedOut { waited, .. } if waited == ms(time));
            assert!(timed_out && error.outcome() == Outcome::Unknown, "{error:?}");
            assert_eq!(start.elapsed(), ms(time));
            peer.answer(":1\r\n").await;
        }
        // Longer than the connection's, and answered in time.
        let (len, ()) = ends(async {
            tokio::join!(client.send(XLen::new("s")).within(ms(5000)), async {
                peer.request().await;
                sleep(ms(4000)).await;
                peer.send(":2\r\n").await;
            })
        })
        .await;
        assert_eq!(len.unwrap(), 2);
        assert_eq!(server.dials().len(), 1, "after {:?}", start.elapsed());
    });
}

#[test]
fn batch_and_transaction_have_their_own_deadline() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config().command_timeout(ms(1000))).await;
        let start = Instant::now();
        let (a, b) = ends(client.send_all((XLen::new("a"), XLen::new("b"))).within(ms(200))).await;
        assert!(matches!((a, b), (Err(Error::TimedOut { .. }), Err(Error::TimedOut { .. }))));
        assert_eq!(start.elapsed(), ms(200));
        let ack = XAck::new("s", "g", bourn::EntryId::new(1, 1));
        let error = ends(client.transact((ack,)).within(ms(300))).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { waited, .. } if waited == ms(300)), "{error:?}");
        assert_eq!(start.elapsed(), ms(500));
        peer.requests(5).await;
    });
}

#[test]
fn zero_deadline_sends_nothing() {
    in_paused_time(async {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let error = ends(client.send(XLen::new("no")).within(ms(0))).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent, "{error:?}");
        let (len, request) = tokio::join!(client.send(XLen::new("yes")), peer.answer(":1\r\n"));
        assert_eq!((len.unwrap(), request.as_str()), (1, "XLEN yes"));
    });
}

#[test]
fn reader_has_a_deadline_for_one_read_and_one_command() {
    in_paused_time(async {
        let server = Server::new();
        let (client, _peer) = server.connect(config().command_timeout(ms(1000))).await;
        let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
        let mut reader = reader.unwrap();
        let read = || XRead::new().stream("s", ReadFrom::START).block_forever();
        let start = Instant::now();
        let error = ends(reader.read(read()).within(ms(250))).await.unwrap_err();
        let timed_out = matches!(error, Error::TimedOut { waited, .. } if waited == ms(250));
        assert!(timed_out && error.outcome() == Outcome::Unknown, "{error:?}");
        assert_eq!(start.elapsed(), ms(250));
        peer.request().await;
        let mut peer = server.greet().await;
        let error = ends(reader.send(XLen::new("s")).within(ms(100))).await.unwrap_err();
        assert!(matches!(error, Error::TimedOut { waited, .. } if waited == ms(100)), "{error:?}");
        peer.request().await;
        let mut peer = server.greet().await;
        // Longer than the connection's.
        let (len, ()) = ends(async {
            tokio::join!(reader.send(XLen::new("s")).within(ms(5000)), async {
                peer.request().await;
                sleep(ms(4000)).await;
                peer.send(":2\r\n").await;
            })
        })
        .await;
        assert_eq!(len.unwrap(), 2);
    });
}
