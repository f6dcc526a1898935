//! Reading an agent's certificate: who it is comes from one canonical SAN URI and nothing else.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

pub(crate) const SCHEME: &str = "bailiwick";

/// SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` shows it.
#[derive(Clone, Copy, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub fn of(certificate_der: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(certificate_der).into())
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Fingerprint) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Fingerprint, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Fingerprint(bytes))
    }
}

/// Why a certificate is not that of one of the site's agents.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate is not for an agent: its purpose is not client authentication alone")]
    WrongPurpose,
    #[error("the certificate does not carry exactly one name of the form bailiwick://SITE/machine/ID")]
    WrongName,
    #[error("the certificate is of another site")]
    OtherSite,
}

/// What a client certificate says. The signature is checked by [`crate::tls::AgentVerifier`], not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentIdentity {
    pub site: Uuid,
    pub machine: Uuid,
    /// Serial number, in lower-case hexadecimal.
    pub serial: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// SHA-256 of the public key: the same device key gives the same value in every certificate.
    pub key: Fingerprint,
}

impl AgentIdentity {
    /// Reads a certificate that must be an agent's of `site`.
    ///
    /// # Errors
    /// The first reason why it is not.
    pub fn from_der(der: &[u8], site: Uuid) -> Result<AgentIdentity, CertificateError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
        if !rest.is_empty() {
            return Err(CertificateError::Unreadable);
        }
        check_purpose(&certificate)?;
        let (named_site, machine) = parse_agent_uri(only_uri(&certificate)?).ok_or(CertificateError::WrongName)?;
        if named_site != site {
            return Err(CertificateError::OtherSite);
        }
        let validity = certificate.validity();
        let time = |t: x509_parser::time::ASN1Time| {
            Timestamp::from_second(t.timestamp()).map_err(|_| CertificateError::Unreadable)
        };
        Ok(AgentIdentity {
            site,
            machine,
            serial: hex::encode(certificate.raw_serial()),
            not_before: time(validity.not_before)?,
            not_after: time(validity.not_after)?,
            key: Fingerprint::of(certificate.public_key().raw),
        })
    }

    /// When the site issued it, to the second.
    pub fn issued_at(&self) -> Timestamp {
        self.not_before.saturating_add(crate::ca::SKEW).unwrap_or(Timestamp::MAX)
    }

    /// Whether the certificate's time is over. Such an agent may renew and nothing else.
    pub fn expired(&self, now: Timestamp) -> bool {
        now > self.not_after
    }
}

fn check_purpose(certificate: &X509Certificate<'_>) -> Result<(), CertificateError> {
    let usage = certificate.extended_key_usage().map_err(|_| CertificateError::Unreadable)?;
    let usage = usage.ok_or(CertificateError::WrongPurpose)?.value;
    let client_alone = usage.client_auth
        && !(usage.any || usage.server_auth || usage.code_signing || usage.email_protection)
        && !(usage.time_stamping || usage.ocsp_signing)
        && usage.other.is_empty();
    if client_alone && !certificate.is_ca() { Ok(()) } else { Err(CertificateError::WrongPurpose) }
}

/// The single subject alternative name, which must be a URI.
pub(crate) fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, CertificateError> {
    let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Unreadable)?;
    match names.ok_or(CertificateError::WrongName)?.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => Ok(uri),
        _ => Err(CertificateError::WrongName),
    }
}

pub(crate) fn agent_uri(site: Uuid, machine: Uuid) -> String {
    format!("{SCHEME}://{site}/machine/{machine}")
}

/// Accepts the one canonical spelling only: what is not byte for byte what we write is not ours.
fn parse_agent_uri(uri: &str) -> Option<(Uuid, Uuid)> {
    let (site, machine) = uri.strip_prefix(SCHEME)?.strip_prefix("://")?.split_once("/machine/")?;
    let (site, machine) = (Uuid::try_parse(site).ok()?, Uuid::try_parse(machine).ok()?);
    (agent_uri(site, machine) == uri).then_some((site, machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_name_is_read() {
        let (site, machine) = (Uuid::now_v7(), Uuid::now_v7());
        let good = agent_uri(site, machine);
        assert_eq!(parse_agent_uri(&good), Some((site, machine)));
        for bad in [
            good.to_uppercase(),
            good.replace("machine", "Machine"),
            good.replace('-', ""),
            format!("{good}/"),
            format!("{good}?x"),
            format!("{good}/../machine/{site}"),
            good.replace("://", ":///"),
            good.replace("bailiwick", "http"),
            format!(" {good}"),
            format!("{good}\0"),
        ] {
            assert_eq!(parse_agent_uri(&bad), None, "{bad}");
        }
    }
}
