//! The text of every error: complete, without repetition, and with the outcome.

use bourn::queue::{CodecError, QueueError, SettingsError};
use bourn::resp::RespCodecError;
use bourn::{
    ConfigError, ConnectError, ConnectReason, CredentialsError, DecodeError, Disconnect,
    DurableError, EntryId, Error, Feature, Outcome, ParseIdError, ProtocolError, Repeat, Server,
    ServerError, Unsent,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;

const RAN: &str = "; the command may have run";

fn reset() -> Arc<io::Error> {
    Arc::new(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer"))
}

fn io_error(text: &str) -> Arc<io::Error> {
    Arc::new(io::Error::other(text))
}

fn server_error(command: &'static str, text: &str) -> Box<ServerError> {
    Box::new(ServerError::new(command, text.as_bytes()))
}

fn too_old() -> Error {
    let server = || Some(Arc::new(Server::new("valkey", "9.1.2")));
    Error::refusal(ServerError::new("XNACK", b"ERR unknown command"), Feature::XNack.into(), server)
}

fn connect(reason: ConnectReason) -> ConnectError {
    ConnectError::new("10.0.0.1:6380", reason)
}

/// Checks that an error prints this text in every form, and that its source chain adds nothing.
#[track_caller]
fn prints(error: &dyn std::error::Error, expected: &str) {
    assert_eq!(error.to_string(), expected);
    assert!(error.source().is_none(), "{expected}: and then {:?}", error.source());
    assert_eq!(format!("{error:?}"), expected, "Debug");
    assert_eq!(format!("{error:#?}"), expected, "Debug");
}

#[test]
fn error_texts_name_the_command_the_cause_and_the_outcome() {
    let s = Duration::from_secs;
    let unsent = |reason| Error::Unsent { command: "XADD", reason };
    let lost = |reason| Error::Lost { command: "XADD", reason, repeat: Repeat::default() };
    let rejected = || connect(ConnectReason::Refused(server_error("HELLO", "WRONGPASS invalid")));
    let rows = [
        (
            unsent(Unsent::TimedOut { waited: s(5), source: None }),
            "XADD was not sent: timed out after 5s before it could be sent",
        ),
        (
            unsent(Unsent::TimedOut { waited: s(5), source: Some(Arc::new(rejected())) }),
            "XADD was not sent: timed out after 5s before it could be sent: cannot connect to \
             10.0.0.1:6380: refused by the server: HELLO: WRONGPASS invalid",
        ),
        (
            unsent(Unsent::Full { limit: 1024 }),
            "XADD was not sent: the budget of 1024 bytes for queued commands is used up",
        ),
        (
            unsent(Unsent::TooLarge { bytes: 536_870_913 }),
            "XADD was not sent: an argument of 536870913 bytes exceeds the server's limit of \
             512 MiB",
        ),
        (unsent(Unsent::Closed), "XADD was not sent: the client is closed"),
        (unsent(Unsent::Refused { reason: "use a reader" }), "XADD was not sent: use a reader"),
        (
            unsent(Unsent::Inconsistent),
            "XADD was not sent: its arguments changed while they were written",
        ),
        (
            unsent(Unsent::Reconnected),
            "XADD was not sent: the connection on which it had to be sent has ended",
        ),
        (
            unsent(Unsent::TwoSlots { first: (*b"{a}1").into(), other: (*b"\xffb").into() }),
            "XADD was not sent: the keys \"{a}1\" and \"\\xffb\" are in two slots of the cluster: \
             give them one {tag}",
        ),
        (
            lost(Disconnect::Eof),
            "connection lost before the reply to XADD: the server closed the connection; the \
             command may have run",
        ),
        (
            Error::TimedOut { command: "XADD", waited: s(5), repeat: Repeat::default() },
            "timed out after 5s waiting for the reply to XADD; the command may have run",
        ),
        (
            Error::Server(server_error("XADD", "WRONGTYPE not a stream")),
            "XADD: WRONGTYPE not a stream",
        ),
        (
            Error::Server(server_error("EVAL", "ERR wrong")),
            "EVAL: ERR wrong; the command may have run",
        ),
        (
            Error::Decode { command: "XADD", source: DecodeError::new("an id", "an integer") },
            "unexpected reply to XADD: expected an id, got an integer; the command may have run",
        ),
        (
            Error::Protocol { command: "XADD", source: ProtocolError::UnknownType { byte: b'H' } },
            "protocol error before the reply to XADD: no RESP value begins with byte 0x48 (an \
             HTTP server?); the command may have run",
        ),
        (
            Error::Connect(rejected()),
            "cannot connect to 10.0.0.1:6380: refused by the server: HELLO: WRONGPASS invalid",
        ),
        (
            Error::Config(ConfigError::Port),
            "invalid configuration: malformed port in the URL; expected 1 to 65535",
        ),
    ];
    for (error, expected) in rows {
        prints(&error, expected);
        assert_eq!(expected.ends_with(RAN), error.may_have_run(), "{expected}");
        assert_eq!(
            expected.contains("not sent"),
            matches!(error, Error::Unsent { .. }) && error.outcome() == Outcome::NotSent,
            "{expected}"
        );
        prints(&QueueError::Redis(error), expected);
    }
    // The only error with a source: the server's own error text, which the message leaves out.
    let old = too_old();
    assert!(matches!(old, Error::TooOld(_)));
    assert_eq!(old.to_string(), "XNACK needs Redis 8.8; this is valkey 9.1.2");
    let with_source = "XNACK needs Redis 8.8; this is valkey 9.1.2: XNACK: ERR unknown command";
    assert_eq!(format!("{old:?}"), with_source);
    assert_eq!(format!("{:#}", anyhow::Error::from(old)), with_source);
}

#[test]
fn reasons_of_disconnects_and_failed_connects_are_in_the_text() {
    let disconnects = [
        (Disconnect::Eof, "the server closed the connection"),
        (Disconnect::Io(reset()), "connection reset by peer"),
        (
            Disconnect::Protocol(ProtocolError::TooLarge { limit: 1024 }),
            "protocol error: reply larger than 1024 bytes",
        ),
        (
            Disconnect::Credentials(server_error("AUTH", "WRONGPASS invalid")),
            "the server rejected new credentials: AUTH: WRONGPASS invalid",
        ),
        (Disconnect::Silent, "the server did not respond for too long"),
        (Disconnect::Stale, "server role changed or session lost (READONLY/NOAUTH)"),
        (Disconnect::Unused, "the node has no slots"),
        (Disconnect::OtherMaster, "the sentinels named another master"),
        (Disconnect::NotYet, "not connected yet"),
        (Disconnect::Closed, "the client is closed"),
    ];
    for (reason, expected) in disconnects {
        prints(&reason, expected);
    }
    let connects = [
        (ConnectReason::Io(io_error("connection refused")), "connection refused"),
        (
            ConnectReason::Tls(io_error("certificate expired")),
            "TLS handshake failed: certificate expired",
        ),
        (
            ConnectReason::Credentials(CredentialsError::new("the vault is sealed")),
            "credentials provider failed: the vault is sealed",
        ),
        (
            ConnectReason::TimedOut {
                after: Duration::from_secs(5),
                during: "the name does not resolve".into(),
            },
            "timed out after 5s: the name does not resolve",
        ),
        (
            ConnectReason::Refused(server_error("HELLO", "ERR max number of clients reached")),
            "refused by the server: HELLO: ERR max number of clients reached",
        ),
        (
            ConnectReason::Protocol(ProtocolError::UnknownType { byte: b'S' }),
            "the server does not speak RESP: no RESP value begins with byte 0x53",
        ),
        (
            ConnectReason::Decode(DecodeError::text("a map", b"OK")),
            "unexpected reply to the handshake: expected a map, got \"OK\"",
        ),
        (
            ConnectReason::Eof,
            "the server closed the connection during the handshake (does it require TLS?)",
        ),
        (
            ConnectReason::UnknownMaster { name: "mymaster".into() },
            "the sentinels know no master named mymaster",
        ),
        (
            ConnectReason::NoSentinel { error: "timed out".into() },
            "no sentinel answered: timed out",
        ),
        (ConnectReason::NotMaster, "the server that the sentinels named is a replica"),
    ];
    for (reason, expected) in connects {
        prints(&reason, expected);
        let error = connect(reason);
        prints(&error, &format!("cannot connect to 10.0.0.1:6380: {expected}"));
        assert_eq!(error.address(), "10.0.0.1:6380");
    }
}

#[test]
fn texts_of_invalid_settings_say_what_to_write() {
    let rows = [
        (
            ConfigError::Scheme,
            "unknown URL scheme; expected redis, rediss, valkey, valkeys, redis+unix, \
             valkey+unix, unix, or one of redis, rediss, valkey and valkeys with +cluster or \
             +sentinel",
        ),
        (
            ConfigError::SentinelDialler,
            "the address of the master comes from the sentinels; use `Client::connect`",
        ),
        (
            ConfigError::MasterName,
            "missing or malformed name of the master; write redis+sentinel://host:port/name",
        ),
        (
            ConfigError::Tls,
            "rediss and valkeys URLs need the feature `tls` of bourn, which this build lacks",
        ),
        (
            ConfigError::NoRuntime,
            "no tokio runtime; create the client inside one, or pass a handle to \
             `Config::runtime`",
        ),
        (
            ConfigError::Foreign { name: "ssl".into(), instead: "write rediss://" },
            "ssl is not supported in URLs: write rediss://",
        ),
        (ConfigError::Unix, "Unix sockets are supported on Unix only: write redis://host:port"),
        (ConfigError::UnixTls, "TLS is not supported over a Unix socket"),
        (ConfigError::Host, "missing or malformed host in the URL"),
        (ConfigError::Port, "malformed port in the URL; expected 1 to 65535"),
        (
            ConfigError::Encoding,
            "malformed percent-encoding in the URL; encode `#`, `?` and `@` as `%23`, `%3F` and \
             `%40`",
        ),
        (ConfigError::Database, "malformed database number in the URL"),
        (ConfigError::Parameter { name: "colour".into() }, "unknown parameter in the URL: colour"),
        (
            ConfigError::Value { name: "protocol" },
            "malformed value of the parameter protocol in the URL",
        ),
        (
            ConfigError::Range { setting: "budget_bytes", range: "at least 1 KiB" },
            "budget_bytes must be at least 1 KiB",
        ),
        (ConfigError::ClientName, "client_name must not contain spaces or control characters"),
    ];
    for (error, expected) in rows {
        prints(&error, expected);
    }
    let rows = [
        (
            SettingsError::NotAStream("jobs".into()),
            "the key jobs of the stream holds a value that is not a stream",
        ),
        (
            SettingsError::DeadLettersNotAStream("jobs:dlq".into()),
            "the key jobs:dlq of the dead-letter stream holds a value that is not a stream",
        ),
        (
            SettingsError::OtherGroups("audit".into()),
            "other groups read the stream too: audit; use Retention::KeepUntilAllAcked",
        ),
        (
            SettingsError::OtherRetention("audit (DeleteOnAck)".into()),
            "the groups of a stream must have the same retention; there are: audit (DeleteOnAck)",
        ),
        (
            SettingsError::Value("lease must be between 100 ms and 24 h"),
            "lease must be between 100 ms and 24 h",
        ),
        (SettingsError::Differ("group"), "the queues of a merged worker must have the same group"),
        (
            SettingsError::SameStream("jobs".into()),
            "a merged worker cannot use the same stream twice: jobs",
        ),
        (
            SettingsError::OtherClient("ack_then"),
            "ack_then needs queues that were opened with the same client",
        ),
        (
            SettingsError::Layout("3 lanes on 1 servers, and now 5 lanes on 1 servers".into()),
            "the partitioned queue was opened before with 3 lanes on 1 servers, and now 5 lanes on 1 \
             servers",
        ),
        (
            SettingsError::Recurrence("0 0 30 2 * UTC has no tick".into()),
            "the recurring job cannot be set: 0 0 30 2 * UTC has no tick",
        ),
        (
            SettingsError::AtMostOnce("ack_then"),
            "ack_then needs a queue that delivers at least once",
        ),
        (
            SettingsError::TooOld("dedupe_window needs XCFGSET (Redis 8.6)"),
            "the server is too old: dedupe_window needs XCFGSET (Redis 8.6)",
        ),
    ];
    for (error, expected) in rows {
        prints(&error, expected);
        prints(&QueueError::Settings(error), &format!("invalid queue settings: {expected}"));
    }
    let rows = [
        (
            QueueError::Codec(CodecError::missing("user_id")),
            "invalid payload: field user_id: missing",
        ),
        (QueueError::LeaseLost, "lease lost: another worker may have the job"),
        (
            QueueError::Stopped,
            "the consumer stopped before the operation was confirmed; it may have been done",
        ),
    ];
    for (error, expected) in rows {
        prints(&error, expected);
        assert_eq!(expected.contains("may have been done"), error.may_have_run(), "{expected}");
    }
    let (id, closed) =
        (EntryId::new(5, 1), Error::Unsent { command: "WAIT", reason: Unsent::Closed });
    prints(&DurableError::Redis(closed.clone()), &closed.to_string());
    let reason = DurableError::NotKept { id, kept: None, reason: Some(closed.clone()) };
    let expected = format!("the entry 5-1 was added, and it is not known who has it: {closed}");
    prints(&reason, &expected);
    prints(&QueueError::NotKept { id, reason: Box::new(reason) }, &expected);
}

#[test]
fn texts_of_malformed_bytes_say_what_is_malformed() {
    let rows = [
        (
            ProtocolError::UnknownType { byte: 0x15 },
            "no RESP value begins with byte 0x15 (a TLS server?)",
        ),
        (ProtocolError::Length, "malformed length"),
        (ProtocolError::Number, "malformed number"),
        (ProtocolError::Boolean, "malformed boolean"),
        (ProtocolError::Null, "malformed null"),
        (ProtocolError::Verbatim, "malformed verbatim string"),
        (ProtocolError::Line, "CR or LF inside a line"),
        (ProtocolError::Body, "missing CRLF after a bulk string"),
        (ProtocolError::Streamed, "streamed value out of order"),
        (ProtocolError::Push, "push frame inside another value"),
        (ProtocolError::LineTooLong { limit: 65_536 }, "line longer than 65536 bytes"),
        (ProtocolError::TooDeep { limit: 64 }, "nested deeper than 64 levels"),
        (ProtocolError::TooLarge { limit: 1024 }, "reply larger than 1024 bytes"),
        (
            ProtocolError::Shifted,
            "unexpected reply to PING: replies no longer match their commands",
        ),
        (ProtocolError::Unasked, "reply that no command waited for"),
    ];
    for (error, expected) in rows {
        prints(&error, expected);
        prints(&RespCodecError::Protocol(error), expected);
    }
    prints(&RespCodecError::Io(io::Error::other("broken pipe")), "broken pipe");
    let id: Result<EntryId, ParseIdError> = "x".parse();
    prints(&id.unwrap_err(), "not an entry id; expected ms-seq, two unsigned 64-bit numbers");
    let codec = CodecError::caused_by("not UTF-8", io::Error::other("byte 3"));
    prints(&codec.in_field("name"), "field name: not UTF-8: byte 3");
}

/// Variants that cannot be constructed here are tested in their own file.
const ELSEWHERE: [&str; 1] = ["Error::EntryTooLarge"];

/// Checks that every variant of the enums above is named in this file.
#[test]
fn every_error_variant_is_covered() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = include_str!("texts.rs");
    let mut variants = 0;
    let files = [
        "src/error/mod.rs",
        "src/error/connect.rs",
        "src/queue/error.rs",
        "src/client/durable/durability.rs",
        "src/resp/error.rs",
        "src/resp/codec.rs",
    ];
    for file in files {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for block in text.split("\npub enum ").skip(1) {
            let (name, body) = block.split_once(" {\n").unwrap();
            if name == "Outcome" {
                continue;
            }
            let body = body.split_once("\n}").unwrap().0;
            let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
            for line in lines.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase())) {
                let variant = line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
                let variant = format!("{name}::{variant}");
                assert!(here.contains(&variant) || ELSEWHERE.contains(&&*variant), "{variant}");
                variants += 1;
            }
        }
    }
    assert!(variants >= 50, "only {variants}: is this the source?");
}
