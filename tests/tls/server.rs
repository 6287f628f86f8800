//! Redis with TLS, and shared helpers.

use crate::authority::{Authority, GOOD, Identity};
use crate::support::Server;
use bourn::{Client, Config, ConnectReason, Error, Outcome, Raw, Tls};
use std::fs;
use std::future::Future;
use std::time::Duration;

/// The limit after which a test counts as hung.
const LIMIT: Duration = Duration::from_secs(60);

/// The names of a valid certificate.
pub(crate) const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

/// Starts a server that speaks TLS with this certificate, on its only port. If `clients` is `no`,
/// clients without a certificate from `authority` are accepted, too.
pub(crate) fn start_with(authority: &Authority, identity: &Identity, clients: &str) -> Server {
    let server = Server::builder().label("redis-7.0").start();
    let folder = server.socket_path().with_file_name("");
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("the file can be written");
        path.display().to_string()
    };
    let (ca, cert, key) = (
        file("ca.pem", &authority.pem()),
        file("cert.pem", &identity.pem),
        file("key.pem", &identity.key_pem),
    );
    server.command(&["CONFIG", "SET", "port", "0"]);
    server.command(&[
        "CONFIG",
        "SET",
        "tls-ca-cert-file",
        &ca,
        "tls-cert-file",
        &cert,
        "tls-key-file",
        &key,
        "tls-auth-clients",
        clients,
    ]);
    server.command(&["CONFIG", "SET", "tls-port", &server.port().to_string()]);
    server
}

/// Starts a server with a valid certificate; returns it with the settings to reach it.
pub(crate) fn start() -> (Server, Config) {
    let authority = Authority::new("good");
    let server = start_with(&authority, &authority.sign(&HOSTS, GOOD), "no");
    let config = to(&server).tls(Tls::new().ca_pem(authority.pem()));
    (server, config)
}

/// The server's address, with a short reconnect backoff.
pub(crate) fn to(server: &Server) -> Config {
    let config = Config::tcp("127.0.0.1", server.port());
    config.reconnect(Duration::from_millis(1), Duration::from_millis(10))
}

/// Runs a test on its own runtime, with a time limit.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let limited =
        async { tokio::time::timeout(LIMIT, test).await.expect("the test comes to an end") };
    runtime.enable_all().build().expect("a runtime can be made").block_on(limited);
}

/// Connects and sends one command.
pub(crate) async fn answers(config: Config) -> Result<(), Error> {
    let client = Client::connect(config).await?;
    client.send(Raw::new("XLEN s")).await.map(|_| ())
}

/// Returns the reason of the failed TLS connection, and checks that it is permanent or not.
pub(crate) async fn no_tls(config: Config, permanent: bool) -> String {
    reason(answers(config).await.expect_err("there is no such connection"), permanent)
}

#[track_caller]
pub(crate) fn reason(error: Error, permanent: bool) -> String {
    assert_eq!(error.outcome(), Outcome::NotSent);
    let Error::Connect(connect) = &error else {
        panic!("{error:?}");
    };
    let ConnectReason::Tls(source) = connect.reason() else {
        panic!("{error:?}");
    };
    assert_eq!(connect.is_permanent(), permanent, "{error:?}");
    source.to_string()
}
