//! Settings from a provider, which change while a client lives.

use crate::authority::{Authority, GOOD};
use crate::server::{HOSTS, answers, reason, run, start_with, to};
use crate::support::Server;
use bourn::{BoxFuture, Client, Event, Events, Raw, Tls, TlsProvider};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::watch;

/// Kills the client's connection and returns the event of the next attempt.
async fn reconnect(server: &Server, client: &Client, events: &mut Events) -> Event {
    // A command first: the client may not have noticed that an earlier connection was lost.
    let _ = client.send(Raw::new("PING")).await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let mut gone = false;
    loop {
        let event = events.next().await.expect("the client is open");
        gone |= matches!(event, Event::Disconnected { .. });
        if gone && matches!(event, Event::Connected { .. } | Event::ConnectFailed { .. }) {
            return event;
        }
    }
}

#[test]
fn renewed_certificates_reach_the_next_connection_of_a_live_client() {
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
            std::fs::write(folder.join(name), text).expect("the file can be written");
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
        // The client still has the old settings, which the server refuses.
        let event = reconnect(&server, &client, &mut events).await;
        assert!(matches!(event, Event::ConnectFailed { .. }), "{event:?}");
        drop(sender.send_replace(settings(&new)));
        while !matches!(events.next().await.expect("the client is open"), Event::Connected { .. }) {
        }
        client.send(Raw::new("PING")).await.expect("it is connected");
        client.reader().await.expect("a reader asks the provider, too");
    });
}

/// Fails, panics in the call, panics in the future, and then returns the settings.
struct FlakyProvider(Tls, Arc<AtomicUsize>);

impl TlsProvider for FlakyProvider {
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
fn failing_or_panicking_provider_is_a_failed_attempt() {
    let authority = Authority::new("good");
    let server = start_with(&authority, &authority.sign(&HOSTS, GOOD), "no");
    run(async {
        let tls = Tls::new().ca_pem(authority.pem());
        let asked = Arc::new(AtomicUsize::new(0));
        let config = to(&server).tls_provider(FlakyProvider(tls.clone(), Arc::clone(&asked)));
        for said in ["no such file: ca.pem", "a bug in the call", "a bug in the future"] {
            let error = answers(config.clone()).await.expect_err(said);
            let reason = reason(error, false);
            assert!(reason.contains(said), "{reason}");
        }
        answers(config.clone()).await.expect("it has them");
        // A live client tries again.
        let client = Client::connect(config).await.expect("it has them");
        let mut events = client.events();
        asked.store(0, SeqCst);
        let event = reconnect(&server, &client, &mut events).await;
        assert!(matches!(event, Event::ConnectFailed { .. }), "{event:?}");
        while !matches!(events.next().await.expect("the client is open"), Event::Connected { .. }) {
        }
        assert_eq!(asked.load(SeqCst), 4);
        let closure = to(&server).tls_provider(move || {
            let tls = tls.clone();
            async move { Ok(tls) }
        });
        answers(closure).await.expect("a function is a provider");
    });
}
