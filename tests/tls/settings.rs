//! Invalid settings, and the system's authorities.

use crate::authority::{Authority, GOOD};
use crate::server::{HOSTS, answers, no_tls, reason, run, start_with, to};
use bourn::{Client, Config, ConfigError, Error, Tls};
use std::env;
use std::process::Command;

/// The variable that gives the child process the server's port.
const PORT: &str = "BOURN_TLS_PORT";

#[test]
fn invalid_settings_fail_the_first_connect() {
    let authority = Authority::new("good");
    let me = authority.sign(&["me"], GOOD);
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let good = Tls::new().ca_pem(authority.pem());
    let rows = [
        ("no authority", Tls::new().ca_pem("some text"), "no certificate in the PEM"),
        ("a key as authority", Tls::new().ca_pem(&me.key_pem), "no certificate in the PEM"),
        ("malformed PEM", Tls::new().ca_pem(broken), "malformed PEM"),
        ("malformed DER", Tls::new().ca_der("some text"), "BadEncoding"),
        ("an empty chain", good.clone().client_pem("", &me.key_pem), "no certificate in the"),
        ("no key", good.clone().client_pem(&me.pem, &me.pem), "key is not"),
        ("no key in DER", good.clone().client_der([&me.der], "sesame"), "key is not"),
        ("another's key", good.clone().client_pem(authority.pem(), &me.key_pem), "KeyMismatch"),
        ("a name with a blank", good.server_name("a b"), "neither a host name nor"),
    ];
    run(async {
        for (what, tls, expected) in rows {
            let config = Config::tcp("h", 1).tls(tls);
            let dial = || async { Ok(tokio::io::duplex(1).0) };
            let error = Client::connect_with(config, dial).await.expect_err(what);
            let shown = format!("{error:?} {error:#?}");
            assert!(!shown.contains("sesame"), "{shown}");
            let reason = reason(error, true);
            assert!(reason.contains(expected), "{what}: {reason}");
        }
    });
}

#[test]
fn unix_socket_rejects_tls() {
    run(async {
        let config = Config::unix("/nonexistent/socket").tls(Tls::new());
        let error = Client::connect(config).await.expect_err("it is refused");
        assert!(matches!(error, Error::Config(ConfigError::UnixTls)), "{error:?}");
    });
}

/// The environment names the system's authorities, and a process cannot change its own environment
/// safely: the test runs itself as a child process.
#[test]
fn system_roots_are_trusted_when_enabled() {
    const SELF: &str = "settings::system_roots_are_trusted_when_enabled";
    if let Ok(port) = env::var(PORT) {
        let config = Config::tcp("localhost", port.parse().expect("a port"));
        return run(async {
            answers(config.clone().tls(Tls::new().system_roots())).await.expect("it is trusted");
            let reason = no_tls(config.tls(Tls::new()), true).await;
            assert!(reason.contains("UnknownIssuer"), "{reason}");
        });
    }
    let (authority, other) = (Authority::new("good"), Authority::new("other"));
    let server = start_with(&authority, &authority.sign(&HOSTS, GOOD), "no");
    let file = server.socket_path().with_file_name("system.pem");
    let other_process = |pem: String| {
        std::fs::write(&file, pem).expect("the file can be written");
        let mut command = Command::new(env::current_exe().expect("this test has a file"));
        command.args(["--exact", SELF]).env(PORT, server.port().to_string());
        command.env("SSL_CERT_FILE", &file).env_remove("SSL_CERT_DIR");
        command.output().expect("it can be run")
    };
    let output = other_process(authority.pem());
    assert!(output.status.success(), "{output:?}");
    let output = other_process(other.pem());
    assert!(!output.status.success(), "an untrusted certificate was accepted: {output:?}");
    run(async {
        answers(to(&server).tls(Tls::new().system_roots().ca_pem(authority.pem())))
            .await
            .expect("own authorities add to them");
    });
}
