//! Scripts: an error after a write has an unknown outcome. An error of the server's own checks
//! proves that nothing ran.

use crate::both::{in_both, run};
use bourn::resp::{Args, Frame, Value};
use bourn::{Client, Code, Command, DecodeError, Outcome, Raw, Safety};

/// A user's script command: its text and its key.
struct Eval(&'static str, &'static str);

impl Command for Eval {
    const NAME: &'static str = "eval";
    const SAFETY: Safety = Safety::Write;
    type Reply = Value;

    fn args(&self, out: &mut impl Args) {
        [self.0, "1", self.1].into_iter().for_each(|arg| out.text(arg));
    }

    fn reply(frame: Frame) -> Result<Value, DecodeError> {
        Ok(Value::from(&frame))
    }
}

async fn count(client: &Client, key: &str) -> Option<Vec<u8>> {
    let value = client.send(Raw::new("GET").arg(key)).await.unwrap();
    value.as_bytes().map(<[u8]>::to_vec)
}

/// Scripts that write and then fail, each in another way.
const FAILING: [&str; 8] = [
    "redis.call('INCR', KEYS[1]) return redis.call('XLEN', KEYS[1])",
    "redis.call('INCR', KEYS[1]) return redis.pcall('XLEN', KEYS[1])",
    "redis.call('INCR', KEYS[1]) return redis.call('XREADGROUP','GROUP','g','c','STREAMS','n','>')",
    "redis.call('INCR', KEYS[1]) return redis.error_reply('TRYAGAIN later')",
    "redis.call('INCR', KEYS[1]) return redis.error_reply('MY thing')",
    "redis.call('INCR', KEYS[1]) return redis.call('GET')",
    "redis.call('INCR', KEYS[1]) return redis.call('NOSUCH')",
    "redis.call('INCR', KEYS[1]) error('x')",
];

#[test]
fn script_that_wrote_and_failed_is_unknown_and_ran_once() {
    in_both(async |_, client| {
        for script in FAILING {
            run(client, "DEL a").await;
            let typed = client.send(Eval(script, "a")).await.unwrap_err();
            assert_eq!(typed.outcome(), Outcome::Unknown, "{script}: {typed}");
            let raw = Raw::new("EVAL").arg(script).arg(1).arg("a");
            let raw = client.send(raw).await.unwrap_err();
            assert_eq!(raw.outcome(), Outcome::Unknown, "{script}: {raw}");
            let (batched,) = client.send_all((Eval(script, "a"),)).await;
            assert_eq!(batched.unwrap_err().outcome(), Outcome::Unknown, "{script}");
            let (within,) = client.transact((Eval(script, "a"),)).await.unwrap();
            assert_eq!(within.unwrap_err().outcome(), Outcome::Unknown, "{script}");
            assert_eq!(count(client, "a").await.as_deref(), Some(&b"4"[..]), "{script}");
        }
    });
}

#[test]
fn error_of_the_servers_checks_proves_that_a_script_did_not_run() {
    in_both(async |_, client| {
        let script = "redis.call('INCR', KEYS[1]) return 1";
        let calls = [
            Raw::new("EVALSHA").arg("0000000000000000000000000000000000000000").arg(1).arg("b"),
            Raw::new("EVAL").arg(script),
            Raw::new("EVAL").arg("return (").arg(1).arg("b"),
        ];
        for call in calls {
            let error = client.send(call).await.unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
        }
        run(client, "ACL SETUSER default -eval").await;
        let error = client.send(Eval(script, "b")).await.unwrap_err();
        assert_eq!((error.code(), error.outcome()), (Some(&Code::NoPerm), Outcome::NotApplied));
        assert_eq!(count(client, "b").await, None);
    });
}
