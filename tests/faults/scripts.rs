//! Scripts and user commands: a script's error does not prove that nothing ran, and no command
//! bypasses the checks.

use super::peer::{Server, config, ends, settle};
use bourn::resp::{Args, Frame, Value};
use bourn::{Code, Command, DecodeError, Error, Outcome, Raw, Retry, Safety, Unsent, XAdd, XLen};

/// A user's script command with a lower-case name.
struct Eval;

impl Command for Eval {
    const NAME: &'static str = "eval";
    const SAFETY: Safety = Safety::Write;
    type Reply = Value;

    fn args(&self, out: &mut impl Args) {
        out.text("script");
        out.text("0");
    }

    fn reply(frame: Frame) -> Result<Value, DecodeError> {
        Ok(Value::from(&frame))
    }
}

/// A request without a word.
struct Nothing;

impl Command for Nothing {
    const NAME: &'static str = "";
    const SAFETY: Safety = Safety::Write;
    type Reply = Value;

    fn args(&self, _: &mut impl Args) {}

    fn reply(frame: Frame) -> Result<Value, DecodeError> {
        Ok(Value::from(&frame))
    }
}

const WROTE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const REFUSED: &str = "-NOSCRIPT No matching script. Please use EVAL.\r\n";

#[tokio::test(start_paused = true)]
async fn script_error_is_unknown_unless_it_proves_that_nothing_ran() {
    for (reply, outcome) in [(WROTE, Outcome::Unknown), (REFUSED, Outcome::NotApplied)] {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let other = client.clone();
        let calls = tokio::spawn(async move {
            let raw = || Raw::new("EvalSha").arg("sha").arg(0);
            let (a, b) = other.send_all((Eval, raw())).await;
            let (c, d) = other.transact((Eval, XLen::new("s"))).await.unwrap();
            assert_eq!(d.unwrap(), 3);
            let typed = other.send(Eval).await.map_err(|error| error.outcome());
            let raw = other.send(raw()).await.map_err(|error| error.outcome());
            let outcomes = [a, b, c].map(|result| result.map_err(|error| error.outcome()));
            outcomes.into_iter().chain([typed, raw]).collect::<Vec<_>>()
        });
        peer.requests(2).await;
        peer.send(reply.repeat(2)).await;
        assert_eq!(peer.requests(4).await.concat(), "MULTIeval script 0XLEN sEXEC");
        peer.send(format!("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n{reply}:3\r\n")).await;
        peer.answer(reply).await;
        peer.answer(reply).await;
        for got in ends(calls).await.unwrap() {
            assert_eq!(got, Err(outcome), "{reply}");
        }
        let (reader, mut peer) = tokio::join!(client.reader(), server.greet());
        let mut reader = reader.unwrap();
        let call = tokio::spawn(async move { reader.send(Eval).await });
        peer.answer(reply).await;
        assert_eq!(ends(call).await.unwrap().unwrap_err().outcome(), outcome, "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn script_is_retried_only_if_its_error_proves_that_it_did_not_run() {
    let rows = [
        ("TRYAGAIN later", false),
        ("LOADING later", false),
        ("BUSY later", false),
        ("READONLY You can't write against a read only replica.", false),
        ("TRYAGAIN Multiple keys request during rehashing of slot", true),
        ("LOADING Redis is loading the dataset in memory", true),
        (
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            true,
        ),
    ];
    for (refusal, again) in rows {
        let server = Server::new();
        let (client, mut peer) = server.connect(config().retry(Retry::Safe)).await;
        let call = tokio::spawn(async move { client.send(Eval).await });
        assert_eq!(peer.answer(format!("-{refusal}\r\n")).await, "eval script 0");
        if again {
            assert_eq!(peer.answer("+done\r\n").await, "eval script 0");
            assert!(ends(call).await.unwrap().is_ok(), "{refusal}");
        } else {
            let error = ends(call).await.unwrap().unwrap_err();
            // Not a time-out of a second attempt.
            assert!(matches!(error, Error::Server(_)), "{refusal}: {error:?}");
            assert_eq!(error.outcome(), Outcome::Unknown, "{refusal}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn request_without_a_word_is_rejected_and_affects_no_other() {
    let server = Server::new();
    let (client, mut peer) = server.connect(config()).await;
    let (one, other) = (client.clone(), client.clone());
    let nothing = tokio::spawn(async move { one.send(Nothing).await });
    settle().await;
    let len = tokio::spawn(async move { other.send(XLen::new("s")).await });
    assert_eq!(peer.answer(":7\r\n").await, "XLEN s");
    assert_eq!(ends(len).await.unwrap().unwrap(), 7);
    let error = ends(nothing).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unsent { reason: Unsent::Refused { .. }, .. }), "{error:?}");
    let (error, _) = client.send_all((Nothing, XLen::new("s"))).await;
    assert!(matches!(error, Err(Error::Unsent { reason: Unsent::Refused { .. }, .. })));
}

/// The replies to MULTI, XADD, XLEN and EXEC of a server that is not ready.
const NOT_READY: [(&str, [&str; 4]); 7] = [
    ("LOADING", ["+OK", "-LOADING Redis is loading the dataset in memory", "+QUEUED", ABORTED]),
    ("BUSY", ["+OK", "-BUSY Redis is busy running a script.", "-BUSY Redis is busy", BUSY_EXEC]),
    ("MASTERDOWN", ["+OK", "+QUEUED", "-MASTERDOWN Link with MASTER is down", ABORTED]),
    ("TRYAGAIN", ["+OK", "-TRYAGAIN Multiple keys request", "+QUEUED", ABORTED]),
    ("CLUSTERDOWN", ["+OK", "-CLUSTERDOWN Hash slot not served", "+QUEUED", ABORTED]),
    ("READONLY", ["+OK", "+QUEUED", "+QUEUED", READONLY_EXEC]),
    ("NOAUTH", ["-NOAUTH no", "-NOAUTH no", "-NOAUTH no", "-NOAUTH no"]),
];

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.";
const BUSY_EXEC: &str =
    "-EXECABORT Transaction discarded because of: BUSY Redis is busy running a script.";
const READONLY_EXEC: &str = "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.";

fn lines(replies: [&str; 4]) -> String {
    replies.map(|reply| format!("{reply}\r\n")).concat()
}

#[tokio::test(start_paused = true)]
async fn transaction_is_retried_while_the_server_is_not_ready() {
    for (name, replies) in NOT_READY {
        let server = Server::new();
        let (client, mut peer) = server.connect(config().retry(Retry::Safe)).await;
        // The connection must be old enough: a young one to a replica is kept.
        tokio::time::sleep(super::peer::ms(6000)).await;
        let both = (XAdd::new("s").field("k", "v"), XLen::new("s"));
        let call = tokio::spawn(async move { client.transact(both).await });
        let first = peer.requests(4).await;
        peer.send(lines(replies)).await;
        if ["READONLY", "NOAUTH"].contains(&name) {
            peer = server.greet().await;
        }
        assert_eq!(peer.requests(4).await, first, "{name}");
        peer.send("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$3\r\n1-1\r\n:1\r\n").await;
        let (id, len) = ends(call).await.unwrap().unwrap();
        assert_eq!((id.unwrap().to_string().as_str(), len.unwrap()), ("1-1", 1), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_transaction_has_the_code_and_is_not_applied() {
    let noperm = "-NOPERM User w has no permissions to run the 'multi' command";
    let rows = [
        ([noperm, "-NOPERM key", "-NOPERM key", "-ERR EXEC without MULTI"], Code::NoPerm),
        (["-NOAUTH no", "-NOAUTH no", "-NOAUTH no", ABORTED], Code::NoAuth),
        (["+OK", "+QUEUED", "+QUEUED", "-MOVED 1 10.0.0.1:6379"], Code::Moved),
        (["+OK", "+QUEUED", "+QUEUED", READONLY_EXEC], Code::ReadOnly),
        (["+OK", "-OOM no memory", "+QUEUED", ABORTED], Code::Oom),
        (["+OK", "+QUEUED", "+QUEUED", ABORTED], Code::ExecAbort),
    ];
    for (replies, code) in rows {
        let server = Server::new();
        let (client, mut peer) = server.connect(config()).await;
        let both = (XAdd::new("s").field("k", "v"), XLen::new("s"));
        let call = tokio::spawn(async move { client.transact(both).await });
        peer.requests(4).await;
        peer.send(lines(replies)).await;
        let error = ends(call).await.unwrap().map(|_| ()).unwrap_err();
        assert_eq!(
            (error.code(), error.outcome()),
            (Some(&code), Outcome::NotApplied),
            "{error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn transaction_with_a_command_run_alone_is_unknown_and_not_retried() {
    let rows = [
        // MULTI was refused, and XADD was not.
        ["-NOAUTH no", "$3\r\n1-1", "-NOAUTH no", "-ERR EXEC without MULTI"],
        ["-LOADING no", "$3\r\n1-1", ":1", "-ERR EXEC without MULTI"],
        // A proxy that answers MULTI itself.
        ["+OK", "$3\r\n1-1", "+QUEUED", "-ERR EXEC without MULTI"],
        ["+OK", "$3\r\n1-1", "+QUEUED", ABORTED],
        ["+OK", "-LOADING no", "+QUEUED", "*2\r\n$3\r\n1-1\r\n:1"],
    ];
    for replies in rows {
        let server = Server::new();
        let (client, mut peer) = server.connect(config().retry(Retry::Safe)).await;
        let both = (XAdd::new("s").field("k", "v"), XLen::new("s"));
        let call = tokio::spawn(async move { client.transact(both).await });
        peer.requests(4).await;
        peer.send(lines(replies)).await;
        let error = ends(call).await.unwrap().map(|_| ()).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{replies:?}: {error:?}");
    }
    // A script fails with an error that may be its own.
    let server = Server::new();
    let (client, mut peer) = server.connect(config().retry(Retry::Safe)).await;
    let call = tokio::spawn(async move { client.transact((Eval, XLen::new("s"))).await });
    peer.requests(4).await;
    peer.send(lines(["-NOAUTH no", "-TRYAGAIN later", "-NOAUTH no", "-NOAUTH no"])).await;
    let error = ends(call).await.unwrap().map(|_| ()).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
}
