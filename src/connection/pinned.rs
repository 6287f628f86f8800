//! Verifies certificates by their fingerprints.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use std::fmt;
use std::fmt::Write;
use std::io;
use std::sync::Arc;
use tokio_rustls::rustls;

/// A SHA-256 fingerprint.
type Fingerprint = [u8; 32];

/// Trusts the certificates with these fingerprints, and those of the authorities, if there are any.
#[derive(Debug)]
pub(super) struct Pinned {
    fingerprints: Vec<Fingerprint>,
    others: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    pub(super) fn new(
        fingerprints: Vec<Fingerprint>,
        roots: Option<RootCertStore>,
        provider: Arc<CryptoProvider>,
    ) -> io::Result<Self> {
        let others = roots.map(|roots| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
        });
        Ok(Self { fingerprints, others: others.transpose()?, provider })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = sha256(certificate)?;
        if self.fingerprints.contains(&found) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.others {
            Some(others) => others.verify_server_cert(certificate, between, name, ocsp, now),
            None => {
                let untrusted = OtherError(Arc::new(UntrustedCertificate(found)));
                Err(rustls::Error::InvalidCertificate(CertificateError::Other(untrusted)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Parses fingerprints: hexadecimal digits, with or without colons.
pub(super) fn fingerprints(texts: &[String]) -> io::Result<Vec<Fingerprint>> {
    let read = texts.iter().map(|text| fingerprint(text));
    read.map(|read| {
        read.ok_or_else(|| {
            invalid("a SHA-256 fingerprint has 64 hexadecimal digits, with colons or without")
        })
    })
    .collect()
}

/// Returns the error of an invalid TLS setting.
pub(super) fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

fn fingerprint(text: &str) -> Option<Fingerprint> {
    let digits = text.trim().chars().filter(|c| *c != ':').map(|c| c.to_digit(16));
    let digits: Vec<u8> = digits
        .map(|digit| digit.and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high * 16 + low),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// Hashes with a cipher suite's hash: rustls exports no other way to ring.
fn sha256(certificate: &CertificateDer<'_>) -> Result<Fingerprint, rustls::Error> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13();
    let hash = suite.map(|suite| suite.common.hash_provider.hash(certificate));
    let hash = hash.and_then(|hash| hash.as_ref().try_into().ok());
    hash.ok_or_else(|| rustls::Error::General("ring has no SHA-256".to_owned()))
}

/// The error of a certificate that is not trusted.
struct UntrustedCertificate(Fingerprint);

impl std::error::Error for UntrustedCertificate {}

/// rustls prints the errors of verifiers with `Debug`.
impl fmt::Debug for UntrustedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for UntrustedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server's certificate has the SHA-256 fingerprint ")?;
        for (n, byte) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_char(':')?;
            }
            write!(f, "{byte:02X}")?;
        }
        f.write_str(", which is not one of the trusted ones")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_has_64_digits_with_or_without_colons() {
        let bare = "00ff".repeat(16);
        let colons = ["00", "FF"].repeat(16).join(":");
        for text in [bare.as_str(), colons.as_str(), &format!(" {colons}\n")] {
            assert_eq!(fingerprint(text), Some([0, 255].repeat(16).try_into().unwrap()), "{text}");
        }
        for text in ["", "00", &bare[1..], &format!("{bare}00"), &bare.replace("ff", "fg")] {
            assert_eq!(fingerprint(text), None, "{text:?}");
        }
    }
}
