//! The private key by which a client authenticates (RFC 7523 §2.2), or signs who it is.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use huskarl::core::crypto::signer::JwsSigner;
use huskarl::core::jwt::Jwt;
use huskarl::core::platform::MaybeSendBoxFuture;
use huskarl::core::secrets::SecretString;
use huskarl::core::{Error as ProtocolError, RetryAdvice};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_core::Serialize;

use crate::authenticator::http::SecretSource;
use crate::error::{Error, ErrorKind};

/// The private key of a client, in PEM: RSA of at least 2048 bits, P-256, P-384 or Ed25519, as
/// PKCS#8, PKCS#1 or SEC 1. It is read for each exchange, and never kept, so a file that is
/// replaced is used at once.
#[derive(Clone)]
pub struct SigningKey {
    pub(super) pem: SecretSource,
    id: Option<String>,
    certificate: Option<SecretSource>,
    audience: Option<String>,
    pss: bool,
}

impl SigningKey {
    /// A key from this source. The algorithm follows from the key: `RS256`, `ES256`, `ES384` or
    /// `EdDSA` (RFC 7518 §3.1, RFC 8037 §3.1).
    pub fn pem(pem: impl Into<SecretSource>) -> Self {
        Self { pem: pem.into(), id: None, certificate: None, audience: None, pss: false }
    }

    /// Sets the name by which the server knows the key (`kid`, RFC 7515 §4.1.4).
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Names the key by its certificate in PEM, at servers that know it so (`x5t#S256`, RFC 7515
    /// §4.1.8). It may be the file that has the key.
    pub fn certificate(mut self, pem: impl Into<SecretSource>) -> Self {
        self.certificate = Some(pem.into());
        self
    }

    /// Sets for whom it signs (`aud`, RFC 7523 §3). By default that is the issuer, or if that is
    /// not known, the endpoint that the JWT is sent to. Some servers want their token endpoint,
    /// always.
    pub fn for_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Signs by `PS256` with an RSA key (RFC 7518 §3.5). By default it is `RS256`.
    pub fn pss(mut self) -> Self {
        self.pss = true;
        self
    }

    pub(super) fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// Reads the key, and its certificate if it has one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecretUnavailable`] if it cannot be read, or is no such key.
    pub(super) async fn read(&self) -> Result<JwtSigner, Error> {
        let pem = self.pem.read("private_key").await?;
        let signer = JwtSigner::parse(pem.expose(), self.id.clone());
        let signer = signer.map_err(|why| unfit("private_key", &self.pem, why))?;
        let thumbprint = match &self.certificate {
            Some(certificate) => Some(thumbprint(certificate).await?),
            None => None,
        };
        Ok(JwtSigner { thumbprint, pss: self.pss, ..signer })
    }
}

/// Returns the error for a secret that was read.
pub(super) fn unfit(name: &str, source: &SecretSource, why: &str) -> Error {
    let what = format!("the secret `{name}` from {source} cannot be used: {why}");
    Error::new(ErrorKind::SecretUnavailable, what)
}

async fn thumbprint(certificate: &SecretSource) -> Result<String, Error> {
    let pem = certificate.read("certificate").await?;
    let der = CertificateDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|_| unfit("certificate", certificate, "it is no certificate in PEM"))?;
    Ok(URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("pem", &self.pem).field("id", &self.id).finish_non_exhaustive()
    }
}

enum KeyPair {
    Rsa(RsaKeyPair),
    Ec(&'static str, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The curves, by the names of their algorithms.
const CURVES: [(&str, &EcdsaSigningAlgorithm); 2] =
    [("ES256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING), ("ES384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING)];

impl KeyPair {
    fn parse(der: &PrivateKeyDer<'_>) -> Option<Self> {
        let bytes = der.secret_der();
        let curve = |parse: &dyn Fn(&'static EcdsaSigningAlgorithm) -> Option<EcdsaKeyPair>| {
            CURVES.iter().find_map(|(name, algorithm)| Some(Self::Ec(name, parse(algorithm)?)))
        };
        match der {
            PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(bytes).ok().map(Self::Rsa),
            PrivateKeyDer::Sec1(_) => curve(&|algorithm| EcdsaKeyPair::from_private_key_der(algorithm, bytes).ok()),
            PrivateKeyDer::Pkcs8(_) => RsaKeyPair::from_pkcs8(bytes)
                .ok()
                .map(Self::Rsa)
                .or_else(|| curve(&|algorithm| EcdsaKeyPair::from_pkcs8(algorithm, bytes).ok()))
                .or_else(|| Ed25519KeyPair::from_pkcs8(bytes).ok().map(Self::Ed25519)),
            _ => None,
        }
    }
}

/// A key that was read, for one exchange.
pub(super) struct JwtSigner {
    key: KeyPair,
    id: Option<String>,
    /// That of the certificate (SHA-256, in Base64).
    pub(super) thumbprint: Option<String>,
    pss: bool,
}

impl JwtSigner {
    /// Parses a key in PEM. An error says what is wrong with it.
    pub(super) fn parse(pem: &str, id: Option<String>) -> Result<Self, &'static str> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "it is no private key in PEM")?;
        let key = KeyPair::parse(&der).ok_or("it is not RSA, P-256, P-384 or Ed25519")?;
        Ok(Self { key, id, thumbprint: None, pss: false })
    }

    /// Signs the JWT of a login.
    pub(super) async fn signed<C: Serialize + Clone>(&self, jwt: &Jwt<'_, (), C>) -> Result<SecretString, Error> {
        jwt.to_jws_compact(self).await.map_err(|error| {
            let action = "login";
            let what = format!("the {action} cannot be sent");
            Error::new(ErrorKind::Configuration, what).detailed(format!("{error:#}"))
        })
    }

    fn sign(&self, input: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.key {
            KeyPair::Rsa(key) => {
                let padding: &dyn RsaEncoding =
                    if self.pss { &signature::RSA_PSS_SHA256 } else { &signature::RSA_PKCS1_SHA256 };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, input, &mut signature).ok()?;
                Some(signature)
            }
            KeyPair::Ec(_, key) => Some(key.sign(&random, input).ok()?.as_ref().to_vec()),
            KeyPair::Ed25519(key) => Some(key.sign(input).as_ref().to_vec()),
        }
    }
}

impl JwsSigner for JwtSigner {
    fn jws_algorithm(&self) -> Cow<'_, str> {
        match &self.key {
            KeyPair::Rsa(_) if self.pss => "PS256",
            KeyPair::Rsa(_) => "RS256",
            KeyPair::Ec(name, _) => name,
            KeyPair::Ed25519(_) => "EdDSA",
        }
        .into()
    }

    fn key_id(&self) -> Option<Cow<'_, str>> {
        self.id.as_deref().map(Cow::Borrowed)
    }

    fn sign<'a>(&'a self, input: &'a [u8]) -> MaybeSendBoxFuture<'a, Result<Vec<u8>, ProtocolError>> {
        let failed = || ProtocolError::new(RetryAdvice::No, "the private key cannot sign");
        Box::pin(async move { self.sign(input).ok_or_else(failed) })
    }
}

impl fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSigner").field("id", &self.id).finish_non_exhaustive()
    }
}
