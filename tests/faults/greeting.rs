//! Handshakes with proxies, old servers and servers that send unexpected answers.

use super::peer::{Peer, Server, config, ends, hello_reply, ms, settle};
use super::wire::Plan;
use bourn::resp::ProtocolError;
use bourn::{Client, Code, Config, ConnectReason, Error, Protocol, Reader, XLen};

const LIB_NAME: &str = "CLIENT SETINFO LIB-NAME bourn";
const LIB_VER: &str = concat!("CLIENT SETINFO LIB-VER ", env!("CARGO_PKG_VERSION"));

/// Connects while `play` acts as the server.
async fn connect_while<T>(
    server: &Server,
    config: &Config,
    play: impl Future<Output = T>,
) -> (Result<Client, Error>, T) {
    let connect = Client::connect_with(config, server.dialler());
    let met = ends(async { tokio::join!(connect, play) }).await;
    settle().await;
    met
}

/// Opens a reader, which uses another connection of the same client.
async fn reader(server: &Server, client: &Client, words: &[&str], answers: &str) -> (Reader, Peer) {
    let play = async {
        let mut peer = server.accept().await;
        assert_eq!(peer.requests(words.len()).await, words);
        peer.send(answers).await;
        peer
    };
    let (reader, peer) = ends(async { tokio::join!(client.reader(), play) }).await;
    (reader.unwrap(), peer)
}

/// Checks that the connection answers commands.
async fn works(client: &Client, peer: &mut Peer) {
    let answered = async { tokio::join!(client.send(XLen::new("s")), peer.answer(":7\r\n")) };
    let (len, request) = ends(answered).await;
    assert_eq!((len.unwrap(), request.as_str()), (7, "XLEN s"));
}

#[tokio::test(start_paused = true)]
async fn refused_hello_falls_back_to_auth_and_is_remembered() {
    let refusals = [
        "-ERR unsupported command `HELLO`\r\n",
        "-ERR AUTH and SETNAME options are not supported in HELLO\r\n",
        "-ERR wrong number of arguments for 'hello' command\r\n",
        "-ERR syntax error\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-NOPERM User default has no permissions to run the 'hello' command\r\n",
        "-NOPROTO unsupported protocol version\r\n",
        "-unsupported command\r\n",
        "-PROXY HELLO is not supported\r\n",
    ];
    for refusal in refusals {
        let server = Server::new();
        let play = async {
            let mut peer = server.accept().await;
            assert_eq!(peer.requests(3).await[0], "HELLO 3 AUTH default sesame SETNAME me");
            peer.send(refusal.to_owned() + "-NOAUTH first\r\n-NOAUTH first\r\n").await;
            assert_eq!(peer.requests(2).await, ["AUTH sesame", "CLIENT SETNAME me"], "{refusal:?}");
            peer.send("+OK\r\n-ERR unknown command\r\n").await;
            peer
        };
        let config = config().password("sesame").client_name("me");
        let (client, mut peer) = connect_while(&server, &config, play).await;
        let client = client.expect(refusal);
        works(&client, &mut peer).await;
        // Later connections start with the commands that worked.
        let words = ["AUTH sesame", "CLIENT SETNAME me", "PING"];
        let (reader, _peer) = reader(&server, &client, &words, "+OK\r\n+OK\r\n+PONG\r\n").await;
        assert!(reader.server().is_none());
        // A replacement of the first connection does too. If that is refused, the next attempt
        // starts with HELLO again: the server may be another one.
        server.plan([Plan::Accept, Plan::Refuse]);
        drop(peer);
        let mut peer = server.accept().await;
        assert_eq!(peer.requests(3).await, words);
        drop(peer);
        let mut peer = server.accept().await;
        assert_eq!(peer.requests(3).await[0], "HELLO 3 AUTH default sesame SETNAME me");
        peer.send(hello_reply(9) + "+OK\r\n+OK\r\n").await;
        works(&client, &mut peer).await;
        assert_eq!(client.connection_id(), Some(9));
    }
}

#[tokio::test(start_paused = true)]
async fn proxy_that_hangs_up_at_hello_gets_no_hello_from_then_on() {
    for protocol in [Protocol::Auto, Protocol::Resp2] {
        let server = Server::new();
        let config = config().password("p").database(2).protocol(protocol);
        let play = async {
            let mut peer = server.accept().await;
            let first = peer.request().await;
            assert_eq!(first.starts_with("HELLO 3"), protocol == Protocol::Auto, "{first}");
            drop(peer);
            let mut bare = server.accept().await;
            assert_eq!(bare.requests(3).await, ["AUTH p", "SELECT 2", "PING"]);
            bare.send("+OK\r\n+OK\r\n+PONG\r\n").await;
            // The second hang-up confirms that HELLO is the cause.
            assert_eq!(server.accept().await.request().await, first);
            bare
        };
        let (client, mut peer) = connect_while(&server, &config, play).await;
        let client = client.unwrap();
        works(&client, &mut peer).await;
        let words = ["AUTH p", "SELECT 2", "PING"];
        reader(&server, &client, &words, "+OK\r\n+OK\r\n+PONG\r\n").await;
        assert_eq!(server.dials().len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_hung_up_while_starting_gets_hello_again() {
    let server = Server::new();
    let play = async {
        drop(server.accept().await);
        let mut bare = server.accept().await;
        assert_eq!(bare.request().await, "PING");
        bare.send("+PONG\r\n").await;
        let full = server.greet().await;
        assert!(bare.rest().await.is_empty());
        full
    };
    let (client, mut peer) = connect_while(&server, &config(), play).await;
    let client = client.unwrap();
    assert_eq!(client.connection_id(), Some(3));
    works(&client, &mut peer).await;
    // After a successful HELLO, a hang-up is no reason to leave HELLO out.
    drop(peer);
    drop(server.accept().await);
    let mut peer = server.greet().await;
    works(&client, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn server_that_always_hangs_up_gives_eof_within_the_connect_timeout() {
    for hangs in [false, true] {
        let server = Server::new();
        if hangs {
            server.plan([Plan::Accept, Plan::Never]);
        }
        let start = tokio::time::Instant::now();
        let play = async {
            drop(server.accept().await);
            if !hangs {
                drop(server.accept().await);
            }
        };
        let (client, ()) = connect_while(&server, &config().connect_timeout(ms(900)), play).await;
        let error = client.unwrap_err();
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        assert!(matches!(connect.reason(), ConnectReason::Eof), "{error:?}");
        assert_eq!((server.dials().len(), start.elapsed()), (2, ms(if hangs { 900 } else { 0 })));
    }
}

const ALL: [&str; 7] =
    ["AUTH u p", "CLIENT SETNAME me", LIB_NAME, LIB_VER, "SELECT 1", "CLIENT ID", "INFO server"];

fn resp2() -> Config {
    let config = config().protocol(Protocol::Resp2);
    config.user("u").password("p").client_name("me").database(1)
}

#[tokio::test(start_paused = true)]
async fn resp2_setting_sends_no_hello_and_still_detects_the_server() {
    let info = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n";
    let info = format!("${}\r\n{info}\r\n", info.len());
    let server = Server::new();
    let play = async {
        let mut peer = server.accept().await;
        assert_eq!(peer.requests(7).await, ALL);
        peer.send("+OK\r\n".repeat(5) + ":44\r\n" + &info).await;
        peer
    };
    let (client, mut peer) = connect_while(&server, &resp2(), play).await;
    let client = client.unwrap();
    assert_eq!(client.connection_id(), Some(44));
    assert_eq!(client.server().unwrap().to_string(), "valkey 9.1.2");
    works(&client, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn refused_handshake_commands_are_not_sent_again_unless_busy() {
    let refused = "-ERR unknown command\r\n";
    let server = Server::new();
    let play = async {
        let mut peer = server.accept().await;
        assert_eq!(peer.requests(7).await, ALL);
        peer.send(format!("+OK\r\n+OK\r\n{refused}{refused}+OK\r\n{refused}-BUSY a script\r\n"))
            .await;
        peer
    };
    let (client, _peer) = connect_while(&server, &resp2(), play).await;
    let client = client.unwrap();
    assert_eq!((client.connection_id(), client.server()), (None, None));
    let words = ["AUTH u p", "CLIENT SETNAME me", "SELECT 1", "INFO server"];
    reader(&server, &client, &words, "+OK\r\n+OK\r\n+OK\r\n-NOPERM no\r\n").await;
    let words = ["AUTH u p", "CLIENT SETNAME me", "SELECT 1"];
    reader(&server, &client, &words, "+OK\r\n+OK\r\n+OK\r\n").await;
    // The same in RESP3.
    for (answer, again) in [("-NOPERM no\r\n", false), ("-BUSY a script\r\n", true)] {
        let server = Server::new();
        let play = async {
            let mut peer = server.accept().await;
            peer.requests(3).await;
            peer.send(hello_reply(1) + answer + answer).await;
            peer
        };
        let (client, _peer) = connect_while(&server, &config(), play).await;
        let words: &[&str] = if again { &["HELLO 3", LIB_NAME, LIB_VER] } else { &["HELLO 3"] };
        let answers = hello_reply(2) + if again { "+OK\r\n+OK\r\n" } else { "" };
        reader(&server, &client.unwrap(), words, &answers).await;
    }
}

#[tokio::test(start_paused = true)]
async fn client_setinfo_can_be_turned_off() {
    for config in [
        config().send_client_info(false),
        "redis://h?client_info=false".parse::<Config>().unwrap().probe(None),
    ] {
        let server = Server::new();
        let play = async {
            let mut peer = server.accept().await;
            peer.answer(hello_reply(1)).await;
            peer
        };
        let (client, mut peer) = connect_while(&server, &config, play).await;
        works(&client.unwrap(), &mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn user_without_a_password_is_sent_with_an_empty_one() {
    // A user with `nopass` is accepted, another user is not.
    let server = Server::new();
    for (answer, code) in
        [(hello_reply(1), None), ("-WRONGPASS no\r\n".to_owned(), Some("WRONGPASS"))]
    {
        let play = async {
            let mut peer = server.accept().await;
            assert_eq!(peer.requests(3).await[0], "HELLO 3 AUTH u ");
            peer.send(answer + "+OK\r\n+OK\r\n").await;
        };
        let (client, ()) = connect_while(&server, &config().user("u"), play).await;
        assert_eq!(
            client.err().and_then(|error| Some(error.code()?.as_str().to_owned())).as_deref(),
            code
        );
    }
}

#[tokio::test(start_paused = true)]
async fn server_before_6_0_gets_auth_with_the_password_only() {
    let arity = "-ERR wrong number of arguments for 'auth' command\r\n";
    for protocol in [Protocol::Auto, Protocol::Resp2] {
        let server = Server::new();
        let config = config().user("h").password("p").database(1).protocol(protocol);
        let play = async {
            let mut peer = server.accept().await;
            let unknown = "-ERR unknown command\r\n";
            if protocol == Protocol::Auto {
                peer.requests(4).await;
                peer.send(unknown.repeat(4)).await;
                assert_eq!(peer.requests(2).await, ["AUTH h p", "SELECT 1"]);
                peer.send(arity.to_owned() + "-NOAUTH no\r\n").await;
            } else {
                assert_eq!(peer.requests(6).await[0], "AUTH h p");
                peer.send(arity.to_owned() + &"-NOAUTH no\r\n".repeat(5)).await;
            }
            assert_eq!(peer.request().await, "AUTH p");
            let rest = if protocol == Protocol::Auto { 1 } else { 5 };
            let rest = peer.requests(rest).await;
            let answers = rest.iter().map(|request| match request.as_str() {
                "SELECT 1" => "+OK\r\n",
                "CLIENT ID" => ":5\r\n",
                _ => unknown,
            });
            peer.send("+OK\r\n".to_owned() + &answers.collect::<String>()).await;
            peer
        };
        let (client, mut peer) = connect_while(&server, &config, play).await;
        works(&client.unwrap(), &mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_answer_of_a_handshake_is_checked() {
    let hello = hello_reply(1);
    let fall_back = "-ERR unknown command\r\n+OK\r\n+OK\r\n";
    let (ok, select) = ("+OK\r\n", config().database(1));
    let rows: [(&str, Config, Vec<String>); 11] = [
        ("SELECT answered *0", select.clone(), vec![format!("{hello}{ok}{ok}*0\r\n")]),
        ("SELECT answered a number", select, vec![format!("{hello}{ok}{ok}:1\r\n")]),
        ("a line before HELLO's answer", config(), vec![format!("+hi\r\n{hello}{ok}")]),
        ("a line after HELLO's answer", config(), vec![format!("{hello}+hi\r\n{ok}")]),
        ("an extra OK", config(), vec![format!("{hello}{ok}{ok}{ok}")]),
        ("half an extra line", config(), vec![format!("{hello}{ok}{ok}+")]),
        ("a line after a push", config(), vec![format!("{hello}{ok}{ok}>1\r\n+a\r\n{ok}")]),
        ("HELLO answered OK", config(), vec![format!("{ok}{ok}{ok}")]),
        ("AUTH answered 1", config().password("p"), vec![fall_back.into(), ":1\r\n".into()]),
        (
            "SETNAME answered null",
            config().client_name("me"),
            vec![fall_back.into(), "$-1\r\n".into()],
        ),
        (
            "PING answered by an empty array",
            config().protocol(Protocol::Resp2).send_client_info(false),
            vec!["-ERR no\r\n-ERR no\r\n".into(), "*0\r\n".into()],
        ),
    ];
    for (what, config, answers) in rows {
        let server = Server::new();
        let is_ping = what.starts_with("PING");
        let play = async {
            let mut peer = server.accept().await;
            if is_ping {
                // Any answer to CLIENT ID and INFO is accepted. The next connection sends neither.
                peer.requests(2).await;
                peer.send(&answers[0]).await;
                return;
            }
            for answer in &answers {
                peer.request().await;
                peer.send(answer).await;
            }
        };
        let (mut client, ()) = connect_while(&server, &config, play).await;
        if is_ping {
            let second = async {
                let mut peer = server.accept().await;
                assert_eq!(peer.answer(&answers[1]).await, "PING");
            };
            let client_ = client.unwrap();
            let (reader, ()) = ends(async { tokio::join!(client_.reader(), second) }).await;
            client = reader.map(|_| client_);
        }
        let Err(Error::Connect(error)) = client else { panic!("{what}: {client:?}") };
        assert!(
            matches!(
                error.reason(),
                ConnectReason::Decode(_) | ConnectReason::Protocol(ProtocolError::Unasked)
            ),
            "{what}: {error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn hello_map_without_version_and_protocol_is_accepted() {
    let server = Server::new();
    let play = async {
        let mut peer = server.accept().await;
        peer.requests(3).await;
        peer.send("%2\r\n+server\r\n+redis\r\n+id\r\n:3\r\n+OK\r\n+OK\r\n").await;
        peer
    };
    let (client, mut peer) = connect_while(&server, &config(), play).await;
    let client = client.unwrap();
    assert_eq!(client.connection_id(), Some(3));
    works(&client, &mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn missing_password_is_reported_at_once_in_resp2() {
    let server = Server::new();
    let play = async {
        let mut peer = server.accept().await;
        peer.requests(4).await;
        peer.send("-NOAUTH Authentication required.\r\n".repeat(4)).await;
    };
    let (client, ()) = connect_while(&server, &config().protocol(Protocol::Resp2), play).await;
    assert_eq!(client.unwrap_err().code(), Some(&Code::NoAuth));
}

#[tokio::test(start_paused = true)]
async fn error_sent_before_a_hang_up_is_reported_in_resp2() {
    for reason in ["-ERR max number of clients reached\r\n", "-DENIED protected mode\r\n"] {
        let server = Server::new();
        let play = async { server.accept().await.send(reason).await };
        let (client, ()) = connect_while(&server, &config().protocol(Protocol::Resp2), play).await;
        let error = client.unwrap_err();
        let Error::Connect(connect) = &error else { panic!("{error:?}") };
        let ConnectReason::Refused(refused) = connect.reason() else { panic!("{error:?}") };
        assert!(reason.contains(&String::from_utf8_lossy(refused.message()).into_owned()));
        assert_eq!(server.dials().len(), 1);
    }
}
