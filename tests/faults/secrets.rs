//! The password never appears in settings, errors, or quoted server replies.

use super::peer::{Server, config, ends, ms, poll_once, settle};
use super::wire::Plan;
use bourn::{Auth, Client, Config, Error, Hello, RespVersion, XLen};
use std::error::Error as _;

const SECRET: &str = "s3cret-pässword-with-64-letters-so-that-no-server-quotes-it-whole";

/// Returns every printable form of an error.
fn printed_forms(error: &Error) -> String {
    let mut text = format!("{error:?} {error:#?} {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error:?} {error:#?} {error}");
        source = error.source();
    }
    text
}

#[track_caller]
fn is_clean(text: &str) {
    for secret in [SECRET, &SECRET[..10], &SECRET[20..]] {
        assert!(!text.contains(secret), "{text}");
    }
    // As a list of numbers, on one line or on several.
    let bytes = SECRET.as_bytes().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let squeezed: String = text.split_whitespace().collect();
    assert!(!squeezed.contains(&bytes), "{text}");
}

fn secret() -> Config {
    config().password(SECRET).command_timeout(ms(500))
}

#[tokio::test(start_paused = true)]
async fn password_quoted_by_the_server_is_not_printed() {
    let quoted = format!("with args beginning with: `3`, `AUTH`, `default`, `{SECRET}`, ");
    let cut = &quoted[..quoted.len() - 20];
    let refusals = [
        format!("-ERR Unknown subcommand, {quoted}\r\n"),
        format!("-ERR syntax error, {cut}\r\n"),
        format!("-ERR wrong argument: {SECRET}\r\n"),
        format!("-WRONGPASS {SECRET}\r\n"),
        format!("-WRONGPASS {SECRET}{SECRET} \r\n"),
        format!("!{}\r\nERR {quoted}\r\n", quoted.len() + 4),
    ];
    for refusal in &refusals {
        // In place of HELLO's answer, and of AUTH's where HELLO is unknown.
        for fall_back in [false, true] {
            let server = Server::new();
            let answer = async {
                let mut peer = server.accept().await;
                peer.requests(3).await;
                if fall_back {
                    let unknown = format!("-ERR unknown command `HELLO`, {quoted}\r\n");
                    peer.send(unknown + "+OK\r\n+OK\r\n").await;
                    assert_eq!(peer.request().await, format!("AUTH {SECRET}"));
                }
                peer.send(refusal).await;
            };
            let connect = Client::connect_with(secret(), server.dialler());
            let (client, ()) = ends(async { tokio::join!(connect, answer) }).await;
            let error = client.expect_err(refusal);
            assert!(error.code().is_some(), "{error:?}");
            is_clean(&printed_forms(&error));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_public_value_prints_the_password() {
    is_clean(&format!("{0:?} {0:#?}", secret()));
    let url = format!("redis://u:{SECRET}@h/1?client_name=n");
    is_clean(&format!("{:?}", url.parse::<Config>().unwrap()));
    let server = Server::new();
    let (client, mut peer) = server.connect(secret()).await;
    let reader = ends(async {
        let (reader, _) = tokio::join!(client.reader(), server.greet());
        reader.unwrap()
    })
    .await;
    is_clean(&format!(
        "{client:?} {client:#?} {reader:?} {:?}",
        client.tail("s", bourn::EntryId::MIN)
    ));
    let (error, _) = tokio::join!(client.send(XLen::new("s")), peer.answer("-ERR no\r\n"));
    is_clean(&printed_forms(&error.unwrap_err()));
    // The error that a caller gets while the server refuses the client.
    drop(peer);
    let refuse = async {
        for _ in 0..5 {
            let mut peer = server.accept().await;
            peer.requests(3).await;
            peer.send(format!("-WRONGPASS no user with {SECRET}\r\n")).await;
        }
    };
    let (error, ()) = ends(async { tokio::join!(client.send(XLen::new("s")), refuse) }).await;
    is_clean(&printed_forms(&error.unwrap_err()));
    is_clean(&format!("{client:?} {client:#?}"));
}

/// HELLO with a user and the password.
fn hello() -> Hello<'static> {
    Hello::new().protocol(RespVersion::Resp3).auth("u", SECRET)
}

#[tokio::test(start_paused = true)]
async fn reader_with_a_queued_password_does_not_print_it() {
    for scene in ["AUTH", "HELLO"] {
        let server = Server::new();
        let (client, _peer) = server.connect(config()).await;
        let (reader, peer) = ends(async { tokio::join!(client.reader(), server.greet()) }).await;
        let mut reader = reader.unwrap();
        // This command waits for a connection.
        server.plan([Plan::Never]);
        drop(peer);
        settle().await;
        if scene == "AUTH" {
            assert!(poll_once(&mut Box::pin(reader.send(Auth::new(SECRET)))).await.is_none());
        } else {
            assert!(poll_once(&mut Box::pin(reader.send(hello()))).await.is_none());
        }
        is_clean(&format!("{reader:?} {reader:#?} {client:?}"));
        is_clean(&format!("{:?} {:#?}", Auth::new(SECRET), hello()));
    }
}

#[tokio::test(start_paused = true)]
async fn password_sent_by_a_reader_and_quoted_by_the_server_is_not_printed() {
    let server = Server::new();
    let (client, _peer) = server.connect(config()).await;
    let (reader, peer) = ends(async { tokio::join!(client.reader(), server.greet()) }).await;
    let (mut reader, mut peer) = (reader.unwrap(), peer);
    // Redis 6 and 7 quote the arguments of an unknown command like this.
    for refusal in [
        format!("-ERR unknown command `AUTH`, with args beginning with: `{SECRET}`, \r\n"),
        format!(
            "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'u' '{SECRET}' \r\n"
        ),
        // No known server does this; a proxy might.
        format!("-WRONGPASS {SECRET}\r\n"),
        format!("-{SECRET} is no password\r\n"),
        format!("+{SECRET}\r\n"),
    ] {
        let (auth, request) =
            ends(async { tokio::join!(reader.send(Auth::new(SECRET)), peer.answer(&refusal)) })
                .await;
        assert_eq!(request, format!("AUTH {SECRET}"));
        is_clean(&printed_forms(&auth.unwrap_err()));
        let (hello, request) =
            ends(async { tokio::join!(reader.send(hello()), peer.answer(&refusal)) }).await;
        assert_eq!(request, format!("HELLO 3 AUTH u {SECRET}"));
        is_clean(&printed_forms(&hello.unwrap_err()));
    }
    is_clean(&format!("{reader:?} {reader:#?}"));
}

#[test]
fn invalid_url_is_quoted_without_its_password() {
    let urls = [
        format!("redis://u:{SECRET}@h:notaport"),
        format!("redis://u:{SECRET}@[::1"),
        format!("redis://u:{SECRET}@"),
        format!("http://u:{SECRET}@h"),
        format!("rediss://u:{SECRET}@h"),
        format!("redis://u:{SECRET}%zz@h"),
        format!("redis://u:{SECRET}@h/notadatabase"),
        format!("redis://u:{SECRET}/@h"),
        format!("redis://h?password={SECRET}%zz"),
        format!("redis://h?db={SECRET}"),
        format!("redis://u:1?{SECRET}@h"),
        format!("redis://u:1/{SECRET}@h"),
        format!("redis://u:1#{SECRET}@h/x"),
    ];
    for url in urls {
        let Err(error) = url.parse::<Config>() else { continue };
        is_clean(&printed_forms(&Error::from(error)));
    }
}
