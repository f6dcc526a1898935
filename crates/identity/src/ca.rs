//! The site's certificate authority: made once, kept in two private files, issuing for two purposes that never mix.
//!
//! `ca.pem` holds the authority's key and certificate, `server.pem` the key of the administrator's own listeners. That
//! key stays when its certificate is issued anew, so a line pasted last month still pins the right key.

use crate::certificate::{Fingerprint, SCHEME, agent_uri, only_uri};
use crate::files::{create_private, private_dir, read_private};
use base64::Engine;
use jiff::{SignedDuration, Timestamp};
use rand::RngCore;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
    SerialNumber, SigningKey,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Name in every server certificate of the site, so that agents check it wherever they connect to.
pub const ADMINISTRATOR_NAME: &str = "administrator.bailiwick.internal";
/// How long an agent's certificate is good for; it is renewed at two thirds of it.
pub const AGENT_LIFE: SignedDuration = SignedDuration::from_hours(24);
const SERVER_LIFE: SignedDuration = SignedDuration::from_hours(24 * 397);
const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 20);
/// Clocks that differ by less than this make no trouble.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_hours(24);
const LONGEST_REQUEST: usize = 4096;

/// What the caller can do something about.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("{} cannot be used; this account needs to read and write there", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} may be read by others (mode {mode:o}); if nobody did, close it with: chmod 600 {}", path.display(), path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{} is damaged; put it back from a backup of the state directory", path.display())]
    Damaged { path: PathBuf },
    #[error("the certificate request is refused: it is not a signed request for an ECDSA P-256 key")]
    BadRequest,
    #[error("{name} cannot be put into a certificate")]
    BadName { name: String },
    #[error("the certificate cannot be signed")]
    Sign(#[source] rcgen::Error),
}

/// The authority, ready to sign.
pub struct SiteCa {
    site: Uuid,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    server_key: KeyPair,
}

/// What a TLS listener needs: its certificate, the authority's behind it, and the key.
pub struct ServerCredentials {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub not_after: Timestamp,
}

/// A certificate issued to an agent.
#[derive(Clone, Debug)]
pub struct AgentCertificate {
    pub der: CertificateDer<'static>,
    /// Serial number, in lower-case hexadecimal.
    pub serial: String,
    pub not_after: Timestamp,
}

impl SiteCa {
    /// Loads the authority kept in `dir`, or makes a new site where there is none.
    ///
    /// # Errors
    /// A directory or file that cannot be used, is damaged or was open to others.
    pub fn open(dir: &Path, now: Timestamp) -> Result<SiteCa, CaError> {
        private_dir(dir)?;
        let path = dir.join("ca.pem");
        let pem = read_or_create(&path, || new_authority(now))?;
        let damaged = || CaError::Damaged { path: path.clone() };
        let key = key_of(&pem).ok_or_else(damaged)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged())?;
        let site = site_of(&certificate).ok_or_else(damaged)?;
        if !belongs(&certificate, &key) {
            return Err(damaged());
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| damaged())?;

        let path = dir.join("server.pem");
        let pem = read_or_create(&path, || new_key().map(|key| key.serialize_pem()))?;
        let server_key = key_of(&pem).ok_or(CaError::Damaged { path })?;
        Ok(SiteCa { site, certificate, issuer, server_key })
    }

    pub fn site(&self) -> Uuid {
        self.site
    }

    /// Signs a message with the authority's key (ECDSA P-256, SHA-256). The message says what it is.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CaError> {
        self.issuer.key().sign(message).map_err(CaError::Sign)
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Base64 of the SHA-256 of the listeners' public key, as `curl --pinnedpubkey sha256//…` takes it.
    pub fn server_key_pin(&self) -> String {
        let digest = Sha256::digest(self.server_key.subject_public_key_info());
        base64::engine::general_purpose::STANDARD.encode(digest)
    }

    /// A server certificate for `names` (DNS names or addresses) and [`ADMINISTRATOR_NAME`], on the kept key.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate.
    pub fn server_credentials(&self, names: &[String], now: Timestamp) -> Result<ServerCredentials, CaError> {
        let not_after = now.saturating_add(SERVER_LIFE).unwrap_or(Timestamp::MAX);
        let mut params = leaf(now, not_after, ExtendedKeyUsagePurpose::ServerAuth)?;
        params.distinguished_name.push(DnType::CommonName, "Bailiwick administrator");
        for name in std::iter::once(ADMINISTRATOR_NAME).chain(names.iter().map(String::as_str)) {
            let san = alternative_name(name)?;
            if !params.subject_alt_names.contains(&san) {
                params.subject_alt_names.push(san);
            }
        }
        let leaf = params.signed_by(&self.server_key, &self.issuer).map_err(CaError::Sign)?;
        Ok(ServerCredentials {
            chain: vec![leaf.into(), self.certificate.clone()],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.server_key.serialize_der())),
            not_after,
        })
    }

    /// A client certificate for `machine` on the key of `request` (DER). Nothing but the key is taken from the request.
    ///
    /// # Errors
    /// [`CaError::BadRequest`] unless the request is signed by its own ECDSA P-256 key.
    pub fn issue_agent(&self, machine: Uuid, request: &[u8], now: Timestamp) -> Result<AgentCertificate, CaError> {
        let request = read_request(request)?;
        let not_after = now.saturating_add(AGENT_LIFE).unwrap_or(Timestamp::MAX);
        let mut params = leaf(now, not_after, ExtendedKeyUsagePurpose::ClientAuth)?;
        params.distinguished_name.push(DnType::CommonName, "Bailiwick agent");
        params.subject_alt_names.push(uri(agent_uri(self.site, machine))?);
        let serial = params.serial_number.as_ref().map(|s| hex::encode(s.to_bytes())).unwrap_or_default();
        let der = params.signed_by(&request.public_key, &self.issuer).map_err(CaError::Sign)?.into();
        Ok(AgentCertificate { der, serial, not_after })
    }
}

/// The key that `request` (DER) asks a certificate for, as [`crate::AgentIdentity::key`] shows it afterwards.
///
/// # Errors
/// As [`SiteCa::issue_agent`].
pub fn key_of_request(request: &[u8]) -> Result<Fingerprint, CaError> {
    Ok(Fingerprint::of(&read_request(request)?.public_key.subject_public_key_info()))
}

fn read_request(request: &[u8]) -> Result<CertificateSigningRequestParams, CaError> {
    if request.len() > LONGEST_REQUEST {
        return Err(CaError::BadRequest);
    }
    let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
        .map_err(|_| CaError::BadRequest)?;
    let fits = PublicKeyData::algorithm(&request.public_key) == &PKCS_ECDSA_P256_SHA256;
    if fits { Ok(request) } else { Err(CaError::BadRequest) }
}

/// The certificate of the authority kept in `dir`, without its key; nothing is created.
///
/// # Errors
/// There is none, or it cannot be used.
pub fn read_certificate(dir: &Path) -> Result<CertificateDer<'static>, CaError> {
    let path = dir.join("ca.pem");
    let pem = read_private(&path)?.ok_or_else(|| CaError::Damaged { path: path.clone() })?;
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CaError::Damaged { path })
}

fn read_or_create(path: &Path, make: impl FnOnce() -> Result<String, CaError>) -> Result<String, CaError> {
    if let Some(text) = read_private(path)? {
        return Ok(text);
    }
    create_private(path, &make()?)?;
    read_private(path)?.ok_or_else(|| CaError::Damaged { path: path.to_owned() })
}

fn new_key() -> Result<KeyPair, CaError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CaError::Sign)
}

/// Key and certificate of a new site, in one file so that there is never one without the other.
fn new_authority(now: Timestamp) -> Result<String, CaError> {
    let (key, site) = (new_key()?, Uuid::now_v7());
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Bailiwick site {site}"));
    params.subject_alt_names.push(uri(site_uri(site))?);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(new_serial());
    (params.not_before, params.not_after) = (date(now, -SKEW)?, date(now, CA_LIFE)?);
    let certificate = params.self_signed(&key).map_err(CaError::Sign)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

fn leaf(now: Timestamp, not_after: Timestamp, purpose: ExtendedKeyUsagePurpose) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(new_serial());
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    (params.not_before, params.not_after) = (date(now, -SKEW)?, date(not_after, SignedDuration::ZERO)?);
    Ok(params)
}

/// 127 random bits, never zero, never negative.
fn new_serial() -> SerialNumber {
    let mut bytes = [0u8; 16];
    rand::rng().fill_bytes(&mut bytes);
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn date(from: Timestamp, plus: SignedDuration) -> Result<OffsetDateTime, CaError> {
    let at = from.saturating_add(plus).unwrap_or(Timestamp::MAX);
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| CaError::BadName { name: at.to_string() })
}

fn alternative_name(name: &str) -> Result<SanType, CaError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let bad = || CaError::BadName { name: name.to_owned() };
    let plain =
        !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !plain {
        return Err(bad());
    }
    name.to_ascii_lowercase().try_into().map(SanType::DnsName).map_err(|_| bad())
}

fn uri(text: String) -> Result<SanType, CaError> {
    text.as_str().try_into().map(SanType::URI).map_err(|_| CaError::BadName { name: text })
}

fn site_uri(site: Uuid) -> String {
    format!("{SCHEME}://{site}")
}

/// The site that an authority's certificate speaks for.
pub(crate) fn site_of(certificate: &CertificateDer<'_>) -> Option<Uuid> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let uri = only_uri(&certificate).ok()?;
    let site = Uuid::try_parse(uri.strip_prefix(SCHEME)?.strip_prefix("://")?).ok()?;
    (certificate.is_ca() && site_uri(site) == uri).then_some(site)
}

fn key_of(pem: &str) -> Option<KeyPair> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    KeyPair::from_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).ok()
}

fn belongs(certificate: &CertificateDer<'_>, key: &KeyPair) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, c)| c.public_key().raw == key.subject_public_key_info())
}

#[cfg(test)]
mod tests;
