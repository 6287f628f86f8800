//! Each step of a connection, at its level, and no password.

use crate::peer::{Server, config, ends, hello_reply, ms, settle};
use crate::wire::Plan;
use bourn::{Client, Credentials, XLen};
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Event, Metadata, Subscriber};

const SECRET: &str = "sesame-secret-password";

/// A subscriber that keeps everything, from any crate and at any level.
#[derive(Clone, Default)]
pub(crate) struct All(Arc<Mutex<String>>);

impl All {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

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
        let mut text = self.0.lock().unwrap();
        text.push_str("span");
        attributes.record(&mut Line(&mut text));
        text.push('\n');
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
async fn each_connection_step_is_logged_without_secrets() {
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
    // Other credentials are refused by a server that quotes them.
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
        "WARN message=disconnected, reconnecting",
        "DEBUG message=reconnecting",
        "DEBUG message=connect failed",
        "DEBUG message=closed",
    ];
    for step in steps {
        assert!(text.contains(step), "no {step} in\n{text}");
    }
}

/// Returns the lines that are shown by default, and clears the log.
fn loud(all: &All) -> Vec<String> {
    let text = std::mem::take(&mut *all.0.lock().unwrap());
    let loud = text.lines().filter(|line| !line.starts_with("DEBUG") && !line.starts_with("TRACE"));
    loud.filter_map(|line| line.split(" address=").next().map(str::to_owned)).collect()
}

#[tokio::test(start_paused = true)]
async fn outage_is_warned_about_at_first_and_then_once_a_minute() {
    let all = All::default();
    let _collecting = set_default(all.clone());
    let server = Server::new();
    let (client, peer) = server.connect(config().reconnect(ms(10), ms(1_000))).await;
    assert_eq!(loud(&all), ["INFO message=connected"]);
    server.plan([Plan::Refuse; 10_000]);
    drop(peer);
    tokio::time::sleep(ms(14_000)).await;
    assert!(server.dials().len() > 14, "{}", server.dials().len());
    assert_eq!(
        loud(&all),
        ["WARN message=disconnected, reconnecting", "WARN message=reconnecting"]
    );
    tokio::time::sleep(ms(120_000)).await;
    assert_eq!(loud(&all), ["WARN message=reconnecting"; 2]);
    server.unplan();
    let peer = server.greet().await;
    settle().await;
    assert_eq!(loud(&all), ["INFO message=connected"]);
    // The server disconnects repeatedly.
    drop(peer);
    for _ in 0..20 {
        drop(server.greet().await);
    }
    let peer = server.greet().await;
    settle().await;
    let flapping = loud(&all);
    assert!(flapping.len() <= 3, "{flapping:?}");
    drop((client, peer));
}
