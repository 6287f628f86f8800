//! Verification of the server's certificate.

use crate::authority::{Authority, GOOD};
use crate::server::{HOSTS, answers, no_tls, run, start, start_with, to};
use bourn::{Config, Tls};

#[test]
fn valid_certificate_is_accepted_by_name_and_by_address() {
    let (server, config) = start();
    run(async {
        let Some(url) = server.url().strip_prefix("redis").map(|rest| format!("rediss{rest}"))
        else {
            panic!("{}", server.url());
        };
        for version in ["TLSv1.2", "TLSv1.3"] {
            server.command(&["CONFIG", "SET", "tls-protocols", version]);
            answers(config.clone()).await.expect(version);
            // The built-in Mozilla roots have not signed it.
            let untrusted: Config = url.parse().expect("a URL");
            let reason = no_tls(untrusted, true).await;
            assert!(reason.contains("UnknownIssuer"), "{version}: {reason}");
        }
        // The same authority in DER.
        let authority = Authority::new("another");
        let server = start_with(&authority, &authority.sign(&HOSTS, GOOD), "no");
        answers(to(&server).tls(Tls::new().ca_der(authority.der()))).await.expect("DER");
        let both = authority.pem() + "some text\n" + &Authority::new("one more").pem();
        for host in ["localhost", "127.0.0.1"] {
            let config = Config::tcp(host, server.port());
            answers(config.tls(Tls::new().ca_pem(&both))).await.expect(host);
        }
    });
}

#[test]
fn invalid_certificate_is_refused_unless_any_is_accepted() {
    let (good, other) = (Authority::new("good"), Authority::new("other"));
    let rows = [
        ("of another host", good.sign(&["redis.test"], GOOD), "not valid for name"),
        ("of another address", good.sign(&["127.0.0.2"], GOOD), "not valid for name"),
        ("without names", good.sign(&[], GOOD), "not valid for"),
        ("of the past", good.sign(&HOSTS, (2000, 2001)), "expired"),
        ("of the future", good.sign(&HOSTS, (2090, 2100)), "not valid yet"),
        ("of another authority", other.sign(&HOSTS, GOOD), "UnknownIssuer"),
    ];
    for (what, identity, expected) in rows {
        let server = start_with(&good, &identity, "no");
        run(async {
            for version in ["TLSv1.2", "TLSv1.3"] {
                server.command(&["CONFIG", "SET", "tls-protocols", version]);
                let tls = Tls::new().ca_pem(good.pem());
                let reason = no_tls(to(&server).tls(tls.clone()), true).await;
                assert!(reason.contains(expected), "{what}, {version}: {reason}");
                let any = tls.dangerously_accept_any_certificate();
                answers(to(&server).tls(any)).await.expect(what);
            }
        });
    }
}

#[test]
fn configured_server_name_is_the_one_that_is_verified() {
    let authority = Authority::new("good");
    let server = start_with(&authority, &authority.sign(&["redis.test"], GOOD), "no");
    run(async {
        let tls = Tls::new().ca_pem(authority.pem());
        for (name, good) in [("redis.test", true), ("127.0.0.1", false), ("edis.test", false)] {
            let config = to(&server).tls(tls.clone().server_name(name));
            assert_eq!(answers(config).await.is_ok(), good, "{name}");
        }
    });
}
