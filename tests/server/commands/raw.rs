//! Raw commands, and commands that users define.

use super::{WRONG_TYPE, group, set_text};
use crate::both::{id, in_both, refusal, run};
use bourn::resp::{Args, Frame, Value};
use bourn::{
    Command, DecodeError, Error, Outcome, Raw, Safety, Unsent, XAdd, XGroupCreateConsumer,
};

#[test]
fn reply_of_any_type_is_a_value() {
    in_both(async |_, client| {
        set_text(client).await;
        group(client, 1).await;
        let bytes: Vec<u8> = (0..=255).collect();
        let rows = [
            (Raw::new("PING"), Value::Simple(b"PONG".to_vec())),
            (Raw::new("ECHO").arg(&bytes), Value::Bulk(bytes.clone())),
            (Raw::new("ECHO").arg(""), Value::Bulk(vec![])),
            (Raw::new("ECHO").arg(-7), Value::Bulk(b"-7".to_vec())),
            (Raw::new("ECHO").arg(id(7)), Value::Bulk(b"7-0".to_vec())),
            (Raw::new("GET").arg("none"), Value::Null),
            (Raw::new("EXISTS").args(["text", "s", "none"]), Value::Integer(2)),
            (
                Raw::new("MGET text none"),
                Value::Array(vec![Value::Bulk(b"x".to_vec()), Value::Null].into()),
            ),
            (Raw::new("LRANGE none 0 -1"), Value::Array(vec![].into())),
        ];
        for (raw, expected) in rows {
            assert_eq!(client.send(raw.clone()).await.unwrap(), expected, "{raw:?}");
        }
    });
}

#[test]
fn map_is_the_same_value_in_both_protocols() {
    in_both(async |_, client| {
        let config = run(client, "CONFIG GET maxmemory-policy").await;
        let pairs: Vec<_> = config
            .as_list()
            .unwrap()
            .pairs()
            .map(|(key, value)| (key.as_str().unwrap(), value.as_str().unwrap()))
            .collect();
        assert_eq!(pairs, [("maxmemory-policy", "noeviction")]);
    });
}

#[test]
fn error_inside_a_reply_is_a_value_and_an_error_reply_is_an_error() {
    in_both(async |_, client| {
        set_text(client).await;
        let script = "return {1, redis.error_reply('MINE of my own')}";
        let value = client.send(Raw::new("EVAL").arg(script).arg(0)).await.unwrap();
        let inner = Value::Error(b"MINE of my own".to_vec());
        assert_eq!(value, Value::Array(vec![Value::Integer(1), inner].into()));
        assert_eq!(refusal(client.send(Raw::new("LPOP text")).await), WRONG_TYPE);
        let unknown = refusal(client.send(Raw::new("NOSUCH").arg("x")).await);
        assert!(unknown.starts_with("ERR unknown command "), "{unknown}");
    });
}

#[test]
fn commands_that_change_the_connection_are_never_sent() {
    in_both(async |_, client| {
        for words in ["MULTI", "SELECT 1", "XREAD BLOCK 0 STREAMS s 0", "SUBSCRIBE c", "QUIT", ""] {
            let error = client.send(Raw::new(words)).await.unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotSent, "{words}");
            let Error::Unsent { reason: Unsent::Refused { .. }, .. } = error else {
                panic!("{words}: {error:?}");
            };
        }
        run(client, "PING").await;
    });
}

/// `STRLEN key`, as a user might write it.
struct StrLen<'a>(&'a str);

impl Command for StrLen<'_> {
    const NAME: &'static str = "STRLEN";
    const SAFETY: Safety = Safety::ReadOnly;
    type Reply = i64;

    fn args(&self, out: &mut impl Args) {
        out.text(self.0);
    }

    fn reply(frame: Frame) -> Result<i64, DecodeError> {
        frame.cursor().integer("a length")
    }
}

#[test]
fn user_defined_command_works_like_any_other() {
    in_both(async |_, client| {
        set_text(client).await;
        assert_eq!(client.send(StrLen("text")).await.unwrap(), 1);
        group(client, 0).await;
        let all = (StrLen("text"), XGroupCreateConsumer::new("s", "g", "c"));
        let (length, created) = client.transact(all).await.unwrap();
        assert_eq!((length.unwrap(), created.unwrap()), (1, true));
        let add = XAdd::new("s").id(id(1)).field("f", "v");
        let (added, length) = client.send_all((add, StrLen("text"))).await;
        assert_eq!((added.unwrap(), length.unwrap()), (id(1), 1));
    });
}
