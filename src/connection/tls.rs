//! TLS on a stream, with rustls and ring.
//!
//! The settings are converted to those of rustls when a connection is opened, and kept while they
//! stay the same. All connections of a client share them and the session tickets, which shorten the
//! next handshake.

use super::panics::Caught;
use super::pinned::{Pinned, fingerprints, invalid};
use super::transport::{ByteStream, Dialled, Io};
use crate::config::{Address, BoxFuture, Config, Text, Tls, TlsProvider, TlsSource};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_rustls::{TlsConnector, rustls};

/// Does the TLS handshake, with the current settings.
#[derive(Clone, Default)]
pub(super) struct Connector(Arc<Mutex<Option<(Tls, TlsConnector)>>>);

impl Connector {
    /// Returns the connection on a dialled stream: with TLS, if the settings enable it.
    pub(super) async fn secure(&self, config: &Config, dialled: Dialled) -> io::Result<Io> {
        let tls = match &config.tls {
            None => return Ok(dialled.into()),
            Some(TlsSource::Fixed(tls)) => tls.clone(),
            Some(TlsSource::Provider(provider)) => {
                Caught::new(|| provider.tls()).await.unwrap_or_else(|panic| {
                    Err(io::Error::other(format!("the TLS provider panicked: {panic}")))
                })?
            }
        };
        let name = match (&tls.server_name, &config.address) {
            (Some(name), _) => name.as_str(),
            // Certificates have no zones.
            (None, Address::Tcp { host, .. }) => host.split('%').next().unwrap_or_default(),
            #[cfg(unix)]
            (None, Address::Unix { .. }) => "",
        };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| invalid("the server's name is neither a host name nor an IP address"))?;
        let stream: Box<dyn ByteStream> = match dialled {
            Dialled::Tcp(socket) => Box::new(socket),
            #[cfg(unix)]
            Dialled::Unix(socket) => Box::new(socket),
            Dialled::Other(stream) => stream,
        };
        let stream = self.connector(tls).await?.connect(name, stream).await.map_err(explain)?;
        Ok(Io::Tls(Box::new(stream)))
    }

    async fn connector(&self, tls: Tls) -> io::Result<TlsConnector> {
        if let Some((_, connector)) = self.kept().as_ref().filter(|(kept, _)| *kept == tls) {
            return Ok(connector.clone());
        }
        // The system's authorities are read from files.
        let read = spawn_blocking(move || client(&tls).map(|client| (tls, client))).await;
        let (tls, client) = read.map_err(io::Error::other)??;
        let connector = TlsConnector::from(Arc::new(client));
        *self.kept() = Some((tls, connector.clone()));
        Ok(connector)
    }

    fn kept(&self) -> MutexGuard<'_, Option<(Tls, TlsConnector)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the settings that were sent last.
impl TlsProvider for watch::Receiver<Tls> {
    fn tls(&self) -> BoxFuture<'_, io::Result<Tls>> {
        let last = self.borrow().clone();
        Box::pin(async { Ok(last) })
    }
}

/// Whether an error comes from TLS while reading or writing: in TLS 1.3 a client certificate is
/// rejected only then.
pub(super) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Replaces the error of data that is not a TLS record: rustls names the wrong byte, and this text
/// names the cause.
fn explain(error: io::Error) -> io::Error {
    let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match rustls {
        Some(rustls::Error::InvalidMessage(_)) => {
            io::Error::new(io::ErrorKind::InvalidData, "the server does not speak TLS")
        }
        _ => error,
    }
}

fn client(tls: &Tls) -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(invalid_settings)?;
    let builder = if tls.accept_any {
        let verifier = Arc::new(AnyCertificate(provider));
        builder.dangerous().with_custom_certificate_verifier(verifier)
    } else if !tls.fingerprints.is_empty() {
        let roots = (tls.system_roots || !tls.authorities.is_empty()).then(|| roots(tls));
        let verifier = Pinned::new(fingerprints(&tls.fingerprints)?, roots.transpose()?, provider)?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        builder.with_root_certificates(roots(tls)?)
    };
    match &tls.client {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let chain = certificates(chain)?;
            if chain.is_empty() {
                return Err(invalid("there is no certificate in the client's chain"));
            }
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(invalid_settings)
        }
    }
}

fn roots(tls: &Tls) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for text in &tls.authorities {
        let authorities = certificates(std::slice::from_ref(text))?;
        if authorities.is_empty() {
            return Err(invalid("there is no certificate in the PEM of the authorities"));
        }
        for authority in authorities {
            roots.add(authority).map_err(invalid_settings)?;
        }
    }
    if tls.system_roots {
        // Some of a system's authorities are often too old to be parsed; they are skipped.
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            return Err(invalid("the system has no authorities that can be read"));
        }
    } else if tls.authorities.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

fn certificates(texts: &[Text]) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut certificates = Vec::new();
    for text in texts {
        match text {
            Text::Der(der) => certificates.push(CertificateDer::from(der.to_vec())),
            Text::Pem(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    certificates.push(certificate.map_err(|_| invalid("malformed PEM"))?);
                }
            }
        }
    }
    Ok(certificates)
}

/// The parser's error is dropped, because it may quote the key.
fn private_key(text: &Text) -> io::Result<PrivateKeyDer<'static>> {
    let key = match text {
        Text::Der(der) => PrivateKeyDer::try_from(der.to_vec()).ok(),
        Text::Pem(pem) => PrivateKeyDer::from_pem_slice(pem).ok(),
    };
    key.ok_or_else(|| invalid("the client's key is not PKCS #8, PKCS #1 or SEC1"))
}

fn invalid_settings(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// Accepts any certificate. The signature is not checked either: without trust it proves nothing,
/// and a certificate may be too old to be parsed.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
