//! TLS settings: trusted authorities, the client's certificate, the server's name, and their
//! provider. No I/O.
//!
//! The settings are parsed when a connection is opened: a malformed certificate is an error of the
//! first connect.

use super::BoxFuture;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

/// TLS settings (1.2 or 1.3), for [`Config::tls`](crate::Config::tls) (feature `tls`).
///
/// The server's certificate must be signed by a trusted authority, be within its dates, and name
/// the dialled host (a name or an IP address). By default Mozilla's authorities are trusted, as of
/// the build (`webpki-roots`). [`system_roots`](Self::system_roots), [`ca_pem`](Self::ca_pem) and
/// [`ca_der`](Self::ca_der) replace them, and can be combined.
///
/// Debug output shows no key.
///
/// ```
/// # use bourn::{Config, Tls};
/// # fn f(ca: &[u8], chain: &[u8], key: &[u8]) {
/// let tls = Tls::new().ca_pem(ca).client_pem(chain, key);
/// let config = Config::tcp("redis.internal", 6380).tls(tls);
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Tls {
    pub(crate) system_roots: bool,
    pub(crate) authorities: Vec<Text>,
    /// The client's chain, its own certificate first, and its key.
    pub(crate) client: Option<(Vec<Text>, Text)>,
    pub(crate) server_name: Option<String>,
    /// The fingerprints as they were given.
    pub(crate) fingerprints: Vec<String>,
    pub(crate) accept_any: bool,
}

/// Certificates or a key, as they were given. Not shown, because it may be a key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Text {
    /// PEM with any number of items; other content is ignored.
    Pem(Box<[u8]>),
    /// One item in DER.
    Der(Box<[u8]>),
}

impl Tls {
    /// Creates settings that trust Mozilla's authorities and present no client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the operating system's authorities, as they are when the first connection is made.
    pub fn system_roots(self) -> Self {
        Self { system_roots: true, ..self }
    }

    /// Trusts the authorities in this PEM text, which must contain at least one.
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.authorities.push(Text::Pem(pem.as_ref().into()));
        self
    }

    /// Trusts the authority with this certificate in DER.
    pub fn ca_der(mut self, der: impl AsRef<[u8]>) -> Self {
        self.authorities.push(Text::Der(der.as_ref().into()));
        self
    }

    /// Sets the client certificate, presented to a server that requests one. `chain` is PEM: the
    /// client's certificate first, then the intermediate ones up to the server's authority. `key`
    /// is its private key in PEM (PKCS #8, PKCS #1 or SEC1).
    pub fn client_pem(self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let chain = vec![Text::Pem(chain.as_ref().into())];
        Self { client: Some((chain, Text::Pem(key.as_ref().into()))), ..self }
    }

    /// Sets the client certificate as [`client_pem`](Self::client_pem) does, in DER, one
    /// certificate per item.
    pub fn client_der<C: AsRef<[u8]>>(
        self,
        chain: impl IntoIterator<Item = C>,
        key: impl AsRef<[u8]>,
    ) -> Self {
        let chain = chain.into_iter().map(|der| Text::Der(der.as_ref().into())).collect();
        Self { client: Some((chain, Text::Der(key.as_ref().into()))), ..self }
    }

    /// Sets the name or IP address that the server's certificate must have. A name is also sent to
    /// the server (SNI). Default: the dialled host.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }

    /// Trusts the certificate with this SHA-256 fingerprint (of its DER), with any issuer. Use it
    /// for a self-signed certificate, including one with `CA:TRUE` as `openssl req -x509` creates
    /// it, which the usual rules reject as a server certificate.
    ///
    /// The text has 64 hexadecimal digits, with or without colons, as printed by
    /// `openssl x509 -in cert.pem -noout -fingerprint -sha256`. Call it several times to trust
    /// several certificates, for example during a rotation. The server must prove that it has the
    /// certificate's key. Names and dates of the certificate are not checked, because the
    /// fingerprint identifies it.
    ///
    /// Other certificates are rejected, unless authorities are set as well
    /// ([`ca_pem`](Self::ca_pem), [`ca_der`](Self::ca_der), [`system_roots`](Self::system_roots)):
    /// then they are verified as usual.
    ///
    /// ```
    /// # use bourn::Tls;
    /// let tls = Tls::new().fingerprint(
    ///     "8A:6B:1C:5E:0F:E1:66:2F:0C:4B:9A:3D:61:CE:2B:4A:9C:E2:0C:0D:15:5A:7B:D5:21:9E:33:B0:61:F4:08:77",
    /// );
    /// ```
    pub fn fingerprint(mut self, sha256: impl Into<String>) -> Self {
        self.fingerprints.push(sha256.into());
        self
    }

    /// Disables certificate verification (testing only). An attacker can pose as the server, and
    /// read and change all traffic, including the password.
    pub fn dangerously_accept_any_certificate(self) -> Self {
        Self { accept_any: true, ..self }
    }
}

/// Shows no certificates and no keys.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("system_roots", &self.system_roots)
            .field("authorities", &self.authorities.len())
            .field("client", &self.client.as_ref().map(|_| format_args!("***")))
            .field("server_name", &self.server_name)
            .field("fingerprints", &self.fingerprints)
            .field("accept_any", &self.accept_any)
            .finish()
    }
}

/// A source of TLS settings, for [`Config::tls_provider`](crate::Config::tls_provider): renewed
/// files, a vault.
///
/// Implemented by functions that return a future, and by `tokio::sync::watch::Receiver<Tls>`.
///
/// ```
/// use bourn::{Config, Tls};
/// use tokio::sync::watch;
///
/// // Another task sends new settings when the certificate is renewed.
/// let (renewed, settings) = watch::channel(Tls::new());
/// let config = Config::tcp("redis.internal", 6380).tls_provider(settings);
/// renewed.send_replace(Tls::new());
/// # let _ = config;
/// ```
pub trait TlsProvider: Send + Sync + 'static {
    /// Returns the settings for a new connection. It is called each time the client or one of its
    /// readers connects, within the connect timeout.
    ///
    /// Equal settings are parsed once; connections that use them share session tickets.
    ///
    /// # Errors
    ///
    /// The reason why there are no settings. The attempt to connect then fails with
    /// [`ConnectReason::Tls`](crate::ConnectReason::Tls), and another one follows.
    fn tls(&self) -> BoxFuture<'_, io::Result<Tls>>;
}

impl<F, R> TlsProvider for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = io::Result<Tls>> + Send + 'static,
{
    fn tls(&self) -> BoxFuture<'_, io::Result<Tls>> {
        Box::pin(self())
    }
}

/// The source of a connection's TLS settings.
#[derive(Clone)]
pub(crate) enum TlsSource {
    Fixed(Tls),
    Provider(Arc<dyn TlsProvider>),
}

impl fmt::Debug for TlsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(tls) => tls.fmt(f),
            Self::Provider(_) => f.write_str("TlsProvider"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_key() {
        let secret = b"-----BEGIN PRIVATE KEY-----\nc2VzYW1l\n";
        let digits = secret.map(|byte| byte.to_string()).join(", ");
        for tls in [
            Tls::new().client_pem(secret, secret).ca_pem(secret).ca_der(secret),
            Tls::new().client_der([secret], secret).system_roots().server_name("h"),
        ] {
            for shown in [format!("{tls:?}"), format!("{tls:#?}")] {
                assert!(shown.contains("***"), "{shown}");
                assert!(!shown.contains("c2Vz") && !shown.contains(&digits), "{shown}");
            }
        }
    }
}
