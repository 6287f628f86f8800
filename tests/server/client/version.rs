//! The detected server, and the features that it is too old for.

use crate::both::{in_both, refusal, too_old};
use bourn::{
    Client, Error, Feature, Features, Flavour, GroupFrom, Outcome, Raw, ReadFrom, StartAt, XAdd,
    XGroupCreate, XLen, XRead, XReadGroup,
};
use std::error::Error as _;
use std::time::Duration;

#[test]
fn server_is_detected_with_name_and_version() {
    in_both(async |server, client| {
        let info = client.send(Raw::new("INFO server")).await.unwrap();
        let info = info.as_str().unwrap().to_owned();
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let (flavour, version) = match field("valkey_version:") {
            Some(version) => (Flavour::Valkey, version),
            None => (Flavour::Redis, field("redis_version:").unwrap()),
        };
        let known = client.server().unwrap();
        assert_eq!((known.flavour(), known.version().to_string().as_str()), (flavour, version));
        assert_eq!(client.reader().await.unwrap().server(), Some(known.clone()));

        let claims = server.redis_at_least(8, 4);
        assert_eq!(known.supports(Feature::Claim), Some(claims));
        assert_eq!(known.supports(Feature::XAutoClaim), Some(true));
    });
}

/// An XADD with IDMP, which needs Redis 8.6.
fn idempotent() -> XAdd<'static> {
    XAdd::new("s").idmp("p", "1").field("f", "v")
}

const BAD_ID: &str = "ERR Invalid stream ID specified as stream command argument";

#[test]
fn option_that_the_server_lacks_is_a_feature_error() {
    in_both(async |server, client| {
        let result = client.send(idempotent()).await;
        if server.redis_at_least(8, 6) {
            result.unwrap();
            return;
        }
        let error = result.unwrap_err();
        let known = client.server().unwrap();
        assert_eq!(error.to_string(), format!("XADD IDMP needs Redis 8.6; this is {known}"));
        assert_eq!(error.outcome(), Outcome::NotApplied);
        assert_eq!(client.send(XLen::new("s")).await.unwrap(), 0);
    });
}

#[test]
fn feature_error_in_a_batch_or_transaction_names_the_command() {
    in_both(async |server, client| {
        let plain = || XAdd::new("s").field("f", "v");
        let (before, result) = client.send_all((plain(), idempotent())).await;
        before.unwrap();
        let many = client.send_all([plain(), idempotent(), plain()]).await;
        assert_eq!(many.len(), 3);
        let both = client.transact((plain(), XLen::new("s"), idempotent())).await;
        let list = client.transact([plain(), idempotent()]).await;
        if server.redis_at_least(8, 6) {
            let first = result.unwrap();
            assert_eq!(many[1].as_ref().unwrap(), &first);
            assert_eq!(both.unwrap().2.unwrap(), first);
            assert_eq!(list.unwrap().pop().unwrap().unwrap(), first);
            return;
        }
        let features = [Feature::Idmp];
        assert_eq!(too_old(result, &features), BAD_ID);
        for (nth, result) in many.into_iter().enumerate() {
            match nth {
                1 => assert_eq!(too_old(result, &features), BAD_ID),
                _ => assert!(result.is_ok()),
            }
        }
        // Some servers check the arguments while they queue, others do not.
        let both = both.and_then(|(_, _, add)| add);
        let list = list.and_then(|mut results| results.pop().unwrap());
        for result in [both, list] {
            let shown = result.as_ref().unwrap_err().to_string();
            assert!(shown.starts_with("XADD IDMP needs Redis 8.6; this is "), "{shown}");
            assert_eq!(too_old(result, &features), BAD_ID);
        }
    });
}

#[test]
fn reader_returns_feature_errors_too() {
    in_both(async |server, client| {
        client.send(XGroupCreate::new("s", "g", StartAt::End).mk_stream()).await.unwrap();
        let mut reader = client.reader().await.unwrap();
        let read = XReadGroup::new("g", "c").stream("s", GroupFrom::New).claim(Duration::ZERO);
        let read = reader.read(read.block(Duration::from_millis(1))).await;
        let sent = reader.send(idempotent()).await;
        if server.redis_at_least(8, 6) {
            assert!(read.unwrap().is_empty() && sent.is_ok());
        } else {
            assert_eq!(too_old(read, &[Feature::Claim]), "ERR syntax error");
            assert_eq!(too_old(sent, &[Feature::Idmp]), BAD_ID);
        }
    });
}

#[test]
fn error_with_a_code_of_its_own_is_not_a_feature_error() {
    in_both(async |_, client| {
        client.send(Raw::new("SET text x")).await.unwrap();
        let read = XRead::new().stream("text", ReadFrom::Last);
        // Redis before 7.4 does not know `+`, and checks the key first. The key is of the wrong
        // type on every server.
        assert!(refusal(client.send(read).await).starts_with("WRONGTYPE "));
    });
}

const INVALID: &str = "XADD: ERR The ID specified in XADD must be greater than 0-0";

/// Returns the error of a command that is invalid on every server and needs these features.
async fn explained(client: &Client, needs: Features) -> Error {
    struct Wrong(Features);

    impl bourn::Command for Wrong {
        const NAME: &'static str = "XADD";
        const SAFETY: bourn::Safety = bourn::Safety::Write;
        type Reply = ();

        fn args(&self, out: &mut impl bourn::resp::Args) {
            ["s", "0-0", "f", "v"].iter().for_each(|arg| out.text(arg));
        }

        fn reply(_: bourn::resp::Frame) -> Result<(), bourn::DecodeError> {
            Ok(())
        }

        fn needs(&self) -> Features {
            self.0
        }
    }

    client.send(Wrong(needs)).await.unwrap_err()
}

#[test]
fn invalid_command_is_not_a_feature_error() {
    in_both(async |_, client| {
        assert_eq!(explained(client, Features::NONE).await.to_string(), INVALID);
        let old = Features::from(Feature::MinId).and(Feature::XAutoClaim);
        assert_eq!(explained(client, old).await.to_string(), INVALID);
    });
}

#[test]
fn feature_error_keeps_the_servers_text() {
    in_both(async |server, client| {
        let error = explained(client, Feature::MaxSize.into()).await;
        match error {
            Error::TooOld(error) if !server.redis_at_least(8, 10) => {
                assert_eq!(error.source().unwrap().to_string(), INVALID);
            }
            error => assert_eq!(error.to_string(), INVALID),
        }
    });
}
