//! Each step of a connection, at its level, and no password.

use crate::peer::{Server, config, ends, hello_reply, ms, settle};
use bourn::{Client, Credentials, XLen};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Event, Metadata, Subscriber};

const SECRET: &str = "sesame-that-nobody-may-see";

/// Keeps everything, from whatever crate and at whatever level.
#[derive(Clone, Default)]
struct All(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for All {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut Line(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        write!(text, "{}", event.metadata().level()).unwrap();
        event.record(&mut Line(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_step_is_told_and_no_secret() {
    let all = All::default();
    let _collecting = set_default(all.clone());
    let server = Server::new();
    let (sender, receiver) = watch::channel(Credentials::new(SECRET));
    let config = config().credentials(receiver).reconnect(ms(10), ms(10));
    let (client, mut peer) = ends(async {
        tokio::join!(Client::connect_with(config, server.dialler()), async {
            let mut peer = server.accept().await;
            assert!(peer.requests(3).await[0].contains(SECRET));
            peer.send(hello_reply(1) + "+OK\r\n+OK\r\n").await;
            peer
        })
    })
    .await;
    let client = client.unwrap();
    settle().await;
    // Others are refused, by a server that quotes them.
    let other = format!("{SECRET}-too");
    sender.send_replace(Credentials::new(&*other));
    peer.answer(format!("-WRONGPASS {other} is no password\r\n")).await;
    let mut peer = server.accept().await;
    peer.requests(3).await;
    peer.send(format!("-WRONGPASS {other} is no password\r\n+OK\r\n+OK\r\n")).await;
    let mut peer = server.accept().await;
    peer.requests(3).await;
    drop(peer);
    peer = server.accept().await;
    peer.requests(3).await;
    peer.send(hello_reply(2) + "+OK\r\n+OK\r\n").await;
    let (len, _) =
        ends(async { tokio::join!(client.send(XLen::new("s")), peer.answer(":1\r\n")) }).await;
    assert_eq!(len.unwrap(), 1);
    ends(client.close()).await;
    let text = all.0.lock().unwrap().clone();
    assert!(!text.contains("sesame"), "{text}");
    let steps = [
        "INFO message=connected",
        "ERROR message=credentials rejected",
        "WARN message=disconnected",
        "DEBUG message=reconnecting",
        "WARN message=connect failed",
        "DEBUG message=closed",
    ];
    for step in steps {
        assert!(text.contains(step), "no {step} in\n{text}");
    }
}
