//! TLS 1.3 between agents and administrator: who trusts whom, and why a wrong clock locks nobody out.
//!
//! Both verifiers check signature, purpose and authority with webpki, at a time clamped into the certificate's own life.
//! An expired agent is therefore let in far enough to ask for a renewal, and it is the caller who must look at
//! [`crate::AgentIdentity::expired`] before doing anything else for it; a machine whose clock is years off can still
//! reach the administrator whose key it knows.

use crate::ca::{ADMINISTRATOR_NAME, site_of};
use crate::certificate::{AgentIdentity, Fingerprint};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme, version,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::sync::Arc;
use uuid::Uuid;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The one cryptographic provider of the product.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What an agent trusts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The site's authority, known since enrolment.
    Authority(CertificateDer<'static>),
    /// Before enrolment: the authority whose fingerprint stands in the join token. It is the last of the server's chain.
    Fingerprint(Fingerprint),
}

/// Client side of the agents' port: TLS 1.3 only, the site's authority only, optionally a client certificate.
///
/// # Errors
/// A key that does not go with its certificate, or an authority's certificate that is none.
pub fn agent_config(
    trust: Trust,
    client: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> Result<rustls::ClientConfig, Error> {
    let verifier = Arc::new(AdministratorVerifier::new(trust)?);
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match client {
        Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key),
        None => Ok(config.with_no_client_auth()),
    }
}

/// Server side of the agents' port: TLS 1.3 only; a client certificate is optional, and checked where there is one.
///
/// # Errors
/// A key that does not go with its certificate.
pub fn agents_port_config(
    ca: &crate::SiteCa,
    credentials: crate::ServerCredentials,
) -> Result<rustls::ServerConfig, Error> {
    let verifier = Arc::new(AgentVerifier::new(ca.certificate().clone())?);
    rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(credentials.chain, credentials.key)
}

/// The name an agent asks for, whatever address it connects to.
pub fn administrator_name() -> ServerName<'static> {
    ServerName::try_from(ADMINISTRATOR_NAME).expect("the constant is a DNS name")
}

fn roots(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    Ok(Arc::new(roots))
}

/// `now`, or the nearest time at which the certificate is valid.
fn within_life(der: &CertificateDer<'_>, now: UnixTime) -> Result<UnixTime, Error> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
    let second = |t: x509_parser::time::ASN1Time| u64::try_from(t.timestamp()).unwrap_or(0);
    let (from, to) = (second(certificate.validity().not_before), second(certificate.validity().not_after));
    let clamped = now.as_secs().max(from).min(to);
    Ok(UnixTime::since_unix_epoch(std::time::Duration::from_secs(clamped)))
}

/// Checks client certificates of agents at the administrator.
#[derive(Debug)]
pub struct AgentVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    site: Uuid,
}

impl AgentVerifier {
    pub fn new(authority: CertificateDer<'static>) -> Result<AgentVerifier, Error> {
        let site = site_of(&authority).ok_or(CertificateError::BadEncoding)?;
        let inner = WebPkiClientVerifier::builder_with_provider(roots(&authority)?, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|e| Error::General(e.to_string()))?;
        Ok(AgentVerifier { inner, site })
    }
}

impl ClientCertVerifier for AgentVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        AgentIdentity::from_der(end_entity, self.site).map_err(|_| CertificateError::ApplicationVerificationFailure)?;
        self.inner.verify_client_cert(end_entity, intermediates, within_life(end_entity, now)?)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Checks the administrator's certificate at an agent.
#[derive(Debug)]
struct AdministratorVerifier {
    trust: Trust,
    /// Where the authority is known already.
    known: Option<Arc<WebPkiServerVerifier>>,
}

impl AdministratorVerifier {
    fn new(trust: Trust) -> Result<AdministratorVerifier, Error> {
        let known = match &trust {
            Trust::Authority(authority) => Some(for_authority(authority)?),
            Trust::Fingerprint(_) => None,
        };
        Ok(AdministratorVerifier { trust, known })
    }

    fn verifier(&self, chain: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
        match (&self.known, &self.trust) {
            (Some(known), _) => Ok(known.clone()),
            (None, Trust::Fingerprint(wanted)) => {
                let authority = chain.iter().find(|c| Fingerprint::of(c) == *wanted);
                for_authority(&authority.ok_or(CertificateError::UnknownIssuer)?.clone().into_owned())
            }
            (None, Trust::Authority(_)) => Err(CertificateError::UnknownIssuer.into()),
        }
    }
}

fn for_authority(authority: &CertificateDer<'static>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    site_of(authority).ok_or(CertificateError::BadEncoding)?;
    WebPkiServerVerifier::builder_with_provider(roots(authority)?, provider())
        .build()
        .map_err(|e| Error::General(e.to_string()))
}

impl ServerCertVerifier for AdministratorVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (verifier, at) = (self.verifier(intermediates)?, within_life(end_entity, now)?);
        verifier.verify_server_cert(end_entity, &[], &administrator_name(), ocsp_response, at)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
