//! TLS settings: trusted authorities, the client's certificate, the server's name; and who provides them. Pure.
//!
//! Settings only. They are read where a connection is opened: a certificate that cannot be read is an error of the first
//! connect.

use super::BoxFuture;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;

/// TLS 1.2 or 1.3, for [`Config::tls`](crate::Config::tls) (feature `tls`).
///
/// The server's certificate has to be signed by an authority that is trusted, to be within its dates and to name the host that
/// is dialled, a name or an IP address. Mozilla's authorities are trusted (as of the build, from `webpki-roots`), unless
/// others are named: [`system_roots`](Self::system_roots), [`ca_pem`](Self::ca_pem) and [`ca_der`](Self::ca_der) take their
/// place, and add to each other.
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
    /// The certificates, the client's own first; and its key.
    pub(crate) client: Option<(Vec<Text>, Text)>,
    pub(crate) server_name: Option<String>,
    /// As they were given.
    pub(crate) fingerprints: Vec<String>,
    pub(crate) accept_any: bool,
}

/// Certificates or a key, as they were given. Not shown, for a key is among them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Text {
    /// Any number of them; what else stands in it is passed over.
    Pem(Box<[u8]>),
    /// One.
    Der(Box<[u8]>),
}

impl Tls {
    /// Trusts Mozilla's authorities, and shows no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the authorities that the operating system trusts, as they are when the first connection is made.
    pub fn system_roots(self) -> Self {
        Self { system_roots: true, ..self }
    }

    /// Trusts the authorities in this PEM text, one at least.
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.authorities.push(Text::Pem(pem.as_ref().into()));
        self
    }

    /// Trusts the authority with this certificate in DER.
    pub fn ca_der(mut self, der: impl AsRef<[u8]>) -> Self {
        self.authorities.push(Text::Der(der.as_ref().into()));
        self
    }

    /// Shows this certificate to a server that asks for one. `chain` is PEM with the certificate first and those between it
    /// and the server's authority behind it, `key` its private key in PEM (PKCS #8, PKCS #1 or SEC1).
    pub fn client_pem(self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let chain = vec![Text::Pem(chain.as_ref().into())];
        Self { client: Some((chain, Text::Pem(key.as_ref().into()))), ..self }
    }

    /// [`client_pem`](Self::client_pem) in DER, one certificate an item.
    pub fn client_der<C: AsRef<[u8]>>(
        self,
        chain: impl IntoIterator<Item = C>,
        key: impl AsRef<[u8]>,
    ) -> Self {
        let chain = chain.into_iter().map(|der| Text::Der(der.as_ref().into())).collect();
        Self { client: Some((chain, Text::Der(key.as_ref().into()))), ..self }
    }

    /// The name, or the IP address, that the server's certificate must have; a name is also what the server is asked for
    /// (SNI). By default the host that is dialled.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }

    /// Trusts the one certificate that has this SHA-256 fingerprint (of its DER), whoever signed it: for a self-signed
    /// certificate, also one with `CA:TRUE` as `openssl req -x509` makes it, which is no server's certificate by the usual
    /// rules.
    ///
    /// The text has 64 hexadecimal digits, with colons or without, as in the output of
    /// `openssl x509 -in cert.pem -noout -fingerprint -sha256`. Call it several times to trust several certificates, for
    /// instance while one is replaced. The server must prove that it has the certificate's key. Names and dates of the
    /// certificate are not checked: the fingerprint says more.
    ///
    /// Other certificates are refused, unless authorities are set as well ([`ca_pem`](Self::ca_pem),
    /// [`ca_der`](Self::ca_der), [`system_roots`](Self::system_roots)): then those are checked as usual.
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

    /// Takes any certificate: whoever answers is believed to be the server, and can read and change all that is sent, the
    /// password too. For tests.
    pub fn dangerously_accept_any_certificate(self) -> Self {
        Self { accept_any: true, ..self }
    }
}

/// Without certificates and keys.
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

/// A source of TLS settings, for [`Config::tls_provider`](crate::Config::tls_provider): files that are renewed, a vault.
///
/// A function that returns a future is one, and so is a `tokio::sync::watch::Receiver<Tls>`.
pub trait TlsProvider: Send + Sync + 'static {
    /// Returns the settings for a new connection. It is called each time a connection is made, by the client and by each of
    /// its readers, within the connect timeout.
    ///
    /// Equal settings are read once; connections that use them share session tickets.
    ///
    /// # Errors
    ///
    /// The reason why there are no settings. The attempt to connect has then failed
    /// ([`ConnectReason::Tls`](crate::ConnectReason::Tls)), and another one follows.
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

/// Where the settings for a connection come from.
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
    fn a_key_is_never_shown() {
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
