//! Certificates that are trusted by their fingerprints.

use crate::authority::{Authority, GOOD, self_signed};
use crate::server::{HOSTS, answers, no_tls, run, start_with, to};
use bourn::{Client, Config, Tls};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, version};

/// Formats a fingerprint as `openssl x509 -fingerprint -sha256` prints it.
fn fingerprint(der: &[u8]) -> String {
    let bytes: Vec<String> = Sha256::digest(der).iter().map(|b| format!("{b:02X}")).collect();
    bytes.join(":")
}

#[test]
fn fingerprint_trusts_one_self_signed_certificate_only() {
    let authority = Authority::new("good");
    // Names and dates are not checked.
    let rows = [
        ("a CA", self_signed(&HOSTS, GOOD)),
        ("a CA of another name", self_signed(&["redis.test"], GOOD)),
        ("a CA of the past", self_signed(&HOSTS, (2000, 2001))),
        ("signed by another authority", authority.sign(&HOSTS, GOOD)),
    ];
    let other = fingerprint(&self_signed(&HOSTS, GOOD).der);
    for (what, identity) in rows {
        let server = start_with(&authority, &identity, "no");
        let own = fingerprint(&identity.der);
        run(async {
            for version in ["TLSv1.2", "TLSv1.3"] {
                server.command(&["CONFIG", "SET", "tls-protocols", version]);
                let bare = own.replace(':', "").to_lowercase();
                for tls in [
                    Tls::new().fingerprint(&own),
                    Tls::new().fingerprint(bare),
                    Tls::new().fingerprint(&other).fingerprint(&own),
                    Tls::new().fingerprint(&own).ca_pem(Authority::new("one more").pem()),
                ] {
                    answers(to(&server).tls(tls)).await.expect(what);
                }
                let reason = no_tls(to(&server).tls(Tls::new().fingerprint(&other)), true).await;
                assert!(reason.contains(&format!("fingerprint {own}")), "{what}: {reason}");
            }
        });
    }
}

#[test]
fn authorities_next_to_a_fingerprint_are_verified_as_usual() {
    let (good, other) = (Authority::new("good"), Authority::new("other"));
    let pin = fingerprint(&self_signed(&HOSTS, GOOD).der);
    let rows = [
        ("signed", good.sign(&HOSTS, GOOD), ""),
        ("of another host", good.sign(&["redis.test"], GOOD), "not valid for name"),
        ("of the past", good.sign(&HOSTS, (2000, 2001)), "expired"),
        ("of another authority", other.sign(&HOSTS, GOOD), "UnknownIssuer"),
    ];
    for (what, identity, wrong) in rows {
        let server = start_with(&good, &identity, "no");
        run(async {
            let config = to(&server).tls(Tls::new().fingerprint(&pin).ca_pem(good.pem()));
            if wrong.is_empty() {
                answers(config).await.expect(what);
            } else {
                let reason = no_tls(config, true).await;
                assert!(reason.contains(wrong), "{what}: {reason}");
            }
        });
    }
}

#[test]
fn malformed_fingerprint_fails_the_first_connect() {
    run(async {
        for text in ["", "AB:CD", "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="] {
            let config = Config::tcp("h", 1).tls(Tls::new().fingerprint(text));
            let dial = || async { Ok(tokio::io::duplex(1).0) };
            let error = Client::connect_with(config, dial).await.expect_err(text);
            let reason = crate::server::reason(error, true);
            assert!(reason.contains("64 hexadecimal digits"), "{text}: {reason}");
        }
    });
}

/// Presents one certificate and signs with the key of another.
#[derive(Debug)]
struct StolenCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for StolenCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn trusted_certificate_without_its_key_is_refused() {
    let (shown, other) = (self_signed(&HOSTS, GOOD), self_signed(&HOSTS, GOOD));
    run(async {
        for version in [&version::TLS12, &version::TLS13] {
            let key = PrivateKeyDer::try_from(other.key_der.clone()).expect("a key");
            let key = any_supported_type(&key).expect("a key");
            let chain = vec![CertificateDer::from(shown.der.clone())];
            let resolver = StolenCertificate(Arc::new(CertifiedKey::new(chain, key)));
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])
                .expect("it is known")
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(resolver));
            let acceptor = TlsAcceptor::from(Arc::new(config));
            let dial = move || {
                let acceptor = acceptor.clone();
                async move {
                    let (near, far) = tokio::io::duplex(1 << 16);
                    tokio::spawn(async move {
                        if let Ok(mut peer) = acceptor.accept(far).await {
                            let _ = peer.write_all(b"-ERR unknown command\r\n+OK\r\n+OK\r\n").await;
                        }
                    });
                    Ok(near)
                }
            };
            let tls = Tls::new().fingerprint(fingerprint(&shown.der));
            let connect = Client::connect_with(Config::tcp("localhost", 1).tls(tls), dial);
            let reason =
                crate::server::reason(connect.await.expect_err("a stolen certificate"), true);
            assert!(reason.contains("BadSignature"), "{version:?}: {reason}");
        }
    });
}
