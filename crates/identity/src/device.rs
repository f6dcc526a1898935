//! A machine's own key: made on the machine, never sent, the same in every certificate it is ever given.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What went wrong with a device key.
#[derive(Debug, thiserror::Error)]
pub enum DeviceKeyError {
    #[error("the device key cannot be read: it is not a PEM file with an ECDSA P-256 key")]
    Unreadable(#[source] rcgen::Error),
    #[error("the certificate request cannot be made")]
    Request(#[source] rcgen::Error),
}

pub struct DeviceKey(KeyPair);

impl DeviceKey {
    pub fn generate() -> Result<DeviceKey, DeviceKeyError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(DeviceKey).map_err(DeviceKeyError::Request)
    }

    pub fn from_pem(pem: &str) -> Result<DeviceKey, DeviceKeyError> {
        KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ECDSA_P256_SHA256)
            .map(DeviceKey)
            .map_err(DeviceKeyError::Unreadable)
    }

    /// The key as PEM, for a file that only the agent may read.
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The key as rustls takes it.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.serialize_der()))
    }

    /// A request (DER) that proves possession of the key and says nothing else: the site decides every name.
    pub fn request(&self) -> Result<Vec<u8>, DeviceKeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.0).map_err(DeviceKeyError::Request)?;
        Ok(request.der().to_vec())
    }
}
