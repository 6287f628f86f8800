//! The client's own certificate.

use crate::authority::{Authority, GOOD};
use crate::server::{HOSTS, answers, no_tls, run, start_with, to};
use bourn::Tls;

#[test]
fn client_certificate_is_sent_and_required_by_the_server() {
    let (authority, other) = (Authority::new("good"), Authority::new("other"));
    let server = start_with(&authority, &authority.sign(&HOSTS, GOOD), "yes");
    let (me, expired, untrusted) = (
        authority.sign(&["me"], GOOD),
        authority.sign(&["me"], (2000, 2001)),
        other.sign(&["me"], GOOD),
    );
    run(async {
        for version in ["TLSv1.2", "TLSv1.3"] {
            server.command(&["CONFIG", "SET", "tls-protocols", version]);
            let tls = Tls::new().ca_pem(authority.pem());
            let to = |tls| to(&server).tls(tls);
            let pem = tls.clone().client_pem(&me.pem, &me.key_pem);
            answers(to(pem)).await.expect("it is signed by the server's authority");
            let der = tls.clone().client_der([&me.der], &me.key_der);
            answers(to(der)).await.expect("it is the same in DER");
            // In TLS 1.3 the refusal arrives after the client considers the handshake complete.
            for _ in 0..20 {
                let reason = no_tls(to(tls.clone()), true).await;
                assert!(reason.contains("received fatal alert"), "{version}, none: {reason}");
            }
            for (what, id) in [("expired", &expired), ("untrusted", &untrusted)] {
                let tls = tls.clone().client_pem(&id.pem, &id.key_pem);
                let reason = no_tls(to(tls), true).await;
                assert!(reason.contains("received fatal alert"), "{version}, {what}: {reason}");
            }
        }
    });
}
