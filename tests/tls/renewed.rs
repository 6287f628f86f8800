//! Settings from a provider, which change while a client lives.

use crate::authority::{Authority, GOOD};
use crate::server::{HOSTS, answers, reason, run, start_with, to};
use crate::support::Server;
use bourn::{BoxFuture, Client, Event, Events, Raw, Tls, TlsProvider};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::watch;

/// Ends the client's connection and waits for what becomes of the next attempt.
async fn again(server: &Server, client: &Client, events: &mut Events) -> Event {
    // Its id is asked for, since that of a connection before may be told.
    let _ = client.send(Raw::new("PING")).await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let mut gone = false;
    loop {
        let event = events.next().await.expect("it lives");
        gone |= matches!(event, Event::Disconnected { .. });
        if gone && matches!(event, Event::Connected { .. } | Event::ConnectFailed { .. }) {
            return event;
        }
    }
}

#[test]
fn new_certificates_and_authorities_reach_the_next_connection_of_a_live_client() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = start_with(&old, &old.sign(&HOSTS, GOOD), "yes");
    let settings = |authority: &Authority| {
        let me = authority.sign(&["me"], GOOD);
        Tls::new().ca_pem(authority.pem()).client_pem(me.pem, me.key_pem)
    };
    run(async {
        let (sender, receiver) = watch::channel(settings(&old));
        let client =
            Client::connect(to(&server).tls_provider(receiver)).await.expect("the old ones");
        let mut events = client.events();
        // The server's certificate, its authority and the one that it trusts are replaced.
        let folder = server.socket_path().with_file_name("");
        let identity = new.sign(&HOSTS, GOOD);
        let write = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).expect("the folder takes files");
            folder.join(name).display().to_string()
        };
        let (ca, cert, key) = (
            write("ca2.pem", &new.pem()),
            write("cert2.pem", &identity.pem),
            write("key2.pem", &identity.key_pem),
        );
        server.command(&[
            "CONFIG",
            "SET",
            "tls-ca-cert-file",
            &ca,
            "tls-cert-file",
            &cert,
            "tls-key-file",
            &key,
        ]);
        // Nobody told the client yet; what it has is refused.
        let event = again(&server, &client, &mut events).await;
        assert!(matches!(event, Event::ConnectFailed { .. }), "{event:?}");
        drop(sender.send_replace(settings(&new)));
        while !matches!(events.next().await.expect("it lives"), Event::Connected { .. }) {}
        client.send(Raw::new("PING")).await.expect("it is connected");
        client.reader().await.expect("a reader asks for itself");
    });
}

/// Fails, panics in the call and in the future, and then has the settings.
struct Moody(Tls, Arc<AtomicUsize>);

impl TlsProvider for Moody {
    fn tls(&self) -> BoxFuture<'_, io::Result<Tls>> {
        let n = self.1.fetch_add(1, SeqCst);
        assert_ne!(n, 1, "a bug in the call");
        Box::pin(async move {
            assert_ne!(n, 2, "a bug in the future");
            match n {
                0 => Err(io::Error::new(io::ErrorKind::NotFound, "no such file: ca.pem")),
                _ => Ok(self.0.clone()),
            }
        })
    }
}

#[test]
fn a_provider_that_fails_or_panics_is_a_failed_attempt() {
    let authority = Authority::new("good");
    let server = start_with(&authority, &authority.sign(&HOSTS, GOOD), "no");
    run(async {
        let tls = Tls::new().ca_pem(authority.pem());
        let asked = Arc::new(AtomicUsize::new(0));
        let config = to(&server).tls_provider(Moody(tls.clone(), Arc::clone(&asked)));
        for said in ["no such file: ca.pem", "a bug in the call", "a bug in the future"] {
            let error = answers(config.clone()).await.expect_err(said);
            let reason = reason(error, false);
            assert!(reason.contains(said), "{reason}");
        }
        answers(config.clone()).await.expect("it has them");
        // On a live client it is tried again.
        let client = Client::connect(config).await.expect("it has them");
        let mut events = client.events();
        asked.store(0, SeqCst);
        let event = again(&server, &client, &mut events).await;
        assert!(matches!(event, Event::ConnectFailed { .. }), "{event:?}");
        while !matches!(events.next().await.expect("it lives"), Event::Connected { .. }) {}
        assert_eq!(asked.load(SeqCst), 4);
        let closure = to(&server).tls_provider(move || {
            let tls = tls.clone();
            async move { Ok(tls) }
        });
        answers(closure).await.expect("a function is a provider");
    });
}
