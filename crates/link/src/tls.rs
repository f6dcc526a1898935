//! TLS of the agents' port, both sides: 1.3 only, one authority, server and agent certificates never interchangeable.
//!
//! Times are taken as the certificate has them. An agent's clock may be years off and must not lock it out, so it does
//! not judge the server's dates; the server leaves an agent's expiry to the application, which lets it renew and nothing
//! else.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, PeerIncompatible, ServerConfig,
    SignatureScheme,
};
use std::fmt;
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Says whether a certificate is the authority that a join token or an earlier enrolment named.
pub type PinnedAuthority = Arc<dyn Fn(&CertificateDer<'_>) -> bool + Send + Sync>;

/// Which servers an agent believes.
#[derive(Clone)]
pub enum Trust {
    /// Those that this authority vouches for.
    Authority(CertificateDer<'static>),
    /// Those whose authority comes along in the handshake and is the pinned one.
    Pinned(PinnedAuthority),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trust::Authority(_) => "Authority",
            Trust::Pinned(_) => "Pinned",
        })
    }
}

/// A certificate chain and its private key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificate and its key cannot be used for TLS")]
    Identity(#[source] rustls::Error),
    #[error("the authority's certificate cannot be read")]
    Authority(#[source] webpki::Error),
}

/// Configuration of an agent that connects.
pub fn client_config(trust: Trust, identity: Option<Identity>) -> Result<Arc<ClientConfig>, TlsError> {
    if let Trust::Authority(authority) = &trust {
        anchor_from_trusted_cert(authority).map_err(TlsError::Authority)?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(ServerVerifier { trust, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Identity)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(TlsError::Identity)?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// Configuration of the agents' port. A client certificate is asked for and need not be shown; one that is shown must
/// be an agent's, of this authority.
pub fn server_config(identity: Identity, authority: CertificateDer<'static>) -> Result<Arc<ServerConfig>, TlsError> {
    anchor_from_trusted_cert(&authority).map_err(TlsError::Authority)?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AgentVerifier { authority, provider: Arc::clone(&provider) });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Identity)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)
        .map_err(TlsError::Identity)?;
    // A resumed session would skip the look at the certificate, and costs memory per agent.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// Verifies chain, signature and purpose; dates count as if the certificate were valid now.
fn verify(
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
    now: UnixTime,
    usage: KeyUsage,
    provider: &CryptoProvider,
) -> Result<(), webpki::Error> {
    let end_entity = EndEntityCert::try_from(certificate)?;
    let anchors = [anchor_from_trusted_cert(authority)?];
    let algorithms = provider.signature_verification_algorithms.all;
    let check = |time| end_entity.verify_for_usage(algorithms, &anchors, &[], time, usage, None, None).map(drop);
    match check(now) {
        Err(webpki::Error::CertExpired { not_after, .. }) => check(not_after),
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => check(not_before),
        other => other,
    }
}

fn refusal(error: webpki::Error) -> rustls::Error {
    let error = match error {
        webpki::Error::UnknownIssuer
        | webpki::Error::InvalidSignatureForPublicKey
        | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => CertificateError::UnknownIssuer,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        webpki::Error::BadDer => CertificateError::BadEncoding,
        other => CertificateError::Other(rustls::OtherError(Arc::new(other))),
    };
    rustls::Error::InvalidCertificate(error)
}

#[derive(Debug)]
struct ServerVerifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = match &self.trust {
            Trust::Authority(authority) => authority,
            Trust::Pinned(is_pinned) => intermediates
                .iter()
                .find(|certificate| is_pinned(certificate))
                .ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?,
        };
        // The name is not compared: the authority certifies no servers but the site's own, and an administrator is
        // reached under whatever address the network gives it.
        verify(end_entity, authority, now, KeyUsage::server_auth(), &self.provider).map_err(refusal)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug)]
struct AgentVerifier {
    authority: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AgentVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        verify(end_entity, &self.authority, now, KeyUsage::client_auth(), &self.provider).map_err(refusal)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
