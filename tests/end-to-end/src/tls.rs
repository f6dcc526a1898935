//! A TLS client that trusts everybody, to ask a server what it accepts.

use anyhow::{Context, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Who the client says it is.
pub struct Credentials {
    pub certificate: Vec<u8>,
    /// PKCS #8.
    pub key: Vec<u8>,
}

impl Credentials {
    /// What an agent with this state shows.
    pub fn of_agent(state: &Path) -> Result<Credentials> {
        let enrolment: Value = serde_json::from_slice(&std::fs::read(state.join("enrolment.json"))?)?;
        let certificate = enrolment["certificate"].as_str().context("no certificate")?;
        let pem = format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).context("no certificate")?.to_vec();
        let key = PrivatePkcs8KeyDer::from_pem_file(state.join("device.key")).context("no key")?;
        Ok(Credentials { certificate, key: key.secret_pkcs8_der().to_vec() })
    }
}

/// A connection that was made, though perhaps not let in.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects; what the server makes of it shows with the first bytes.
pub fn connect(
    address: SocketAddr,
    versions: &[&'static SupportedProtocolVersion],
    credentials: Option<&Credentials>,
    limit: Duration,
) -> Result<Stream> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let config = match credentials {
        Some(own) => builder.with_client_auth_cert(
            vec![CertificateDer::from(own.certificate.clone())],
            PrivateKeyDer::Pkcs8(own.key.clone().into()),
        )?,
        None => builder.with_no_client_auth(),
    };
    let tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(limit))?;
    let connection = ClientConnection::new(Arc::new(config), ServerName::IpAddress(address.ip().into()))?;
    Ok(StreamOwned::new(connection, tcp))
}

/// Sends one request over TLS and returns what comes back; an error is a refusal below HTTP.
pub fn ask(
    address: SocketAddr,
    versions: &[&'static SupportedProtocolVersion],
    credentials: Option<&Credentials>,
    request: &str,
) -> Result<String> {
    let mut stream = connect(address, versions, credentials, Duration::from_secs(5))?;
    stream.write_all(request.as_bytes()).context("the handshake was refused")?;
    let mut answer = Vec::new();
    let end = Read::by_ref(&mut stream).take(64 * 1024).read_to_end(&mut answer);
    if answer.is_empty() {
        end.context("refused without an answer")?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
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
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
