//! Generates certificates for each test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
    pub(crate) key_pem: String,
    pub(crate) key_der: Vec<u8>,
}

/// Validity from 2020 to 2100.
pub(crate) const GOOD: (i32, i32) = (2020, 2100);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[], name, GOOD);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> &[u8] {
        self.0.der()
    }

    /// Signs a certificate for these host names and IP addresses, valid between these years.
    pub(crate) fn sign(&self, hosts: &[&str], years: (i32, i32)) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = params(hosts, "a leaf", years);
        let certificate = params.signed_by(&key, &*self.0).expect("a certificate");
        Identity {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }
}

/// A certificate that is its own authority (CA:TRUE), as `openssl req -x509` makes it.
pub(crate) fn self_signed(hosts: &[&str], years: (i32, i32)) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(hosts, "its own authority", years);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("a certificate");
    Identity {
        pem: certificate.pem(),
        der: certificate.der().to_vec(),
        key_pem: key.serialize_pem(),
        key_der: key.serialize_der(),
    }
}

fn params(hosts: &[&str], name: &str, (from, to): (i32, i32)) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("hosts have names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}
