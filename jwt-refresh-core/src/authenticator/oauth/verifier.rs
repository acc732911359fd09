//! Verifies the signatures of ID tokens (RFC 7518 §3), for huskarl.

use std::sync::Arc;

use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use huskarl::core::Error as ProtocolError;
use huskarl::core::RetryAdvice;
use huskarl::core::crypto::KeyMatchStrength;
use huskarl::core::crypto::verifier::{CreateVerifierError, JwsVerifier, JwsVerifierPlatform, KeyMatch, VerifyError};
use huskarl::core::jwk::{KeyUse, PublicJwk, PublicKey};
use huskarl::core::platform::MaybeSendBoxFuture;

const RSA: &[&str] = &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const ALL: &[&str] =
    &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];

/// Makes verifiers of the keys that a server publishes.
#[derive(Debug)]
pub(super) struct Verifiers;

impl JwsVerifierPlatform for Verifiers {
    fn create_verifier_from_jwk(
        &self,
        jwk: PublicJwk,
    ) -> MaybeSendBoxFuture<'static, Result<Arc<dyn JwsVerifier>, CreateVerifierError>> {
        let is_for_signatures = jwk.key_use != Some(KeyUse::Encrypt);
        let algorithms = algorithms(&jwk).filter(|_| is_for_signatures);
        Box::pin(async move {
            let unsupported = || ProtocolError::new(RetryAdvice::No, "no key for a signature that is known here");
            let algorithms = algorithms.ok_or_else(|| CreateVerifierError::UnsupportedKey { source: unsupported() })?;
            Ok(Arc::new(VerificationKey { jwk, algorithms }) as Arc<dyn JwsVerifier>)
        })
    }

    fn supported_signature_algorithms(&self) -> &[&str] {
        ALL
    }
}

/// A public key, and the algorithms that it is for.
#[derive(Debug)]
struct VerificationKey {
    jwk: PublicJwk,
    algorithms: Vec<&'static str>,
}

/// Returns what a key can verify: what its kind can, and only that which it names, if it does.
fn algorithms(jwk: &PublicJwk) -> Option<Vec<&'static str>> {
    let of_kind: &[&'static str] = match &jwk.key {
        PublicKey::Rsa(_) => RSA,
        PublicKey::Ec(key) => match key.crv.as_str() {
            "P-256" => &["ES256"],
            "P-384" => &["ES384"],
            "P-521" => &["ES512"],
            _ => return None,
        },
        PublicKey::Okp(key) if key.crv == "Ed25519" => &["EdDSA", "Ed25519"],
        _ => return None,
    };
    let is_named = |name: &&'static str| jwk.algorithm.as_deref().is_none_or(|named| named == *name);
    Some(of_kind.iter().copied().filter(is_named).collect::<Vec<_>>()).filter(|names| !names.is_empty())
}

impl JwsVerifier for VerificationKey {
    fn key_match(&self, wanted: &KeyMatch<'_>) -> Option<KeyMatchStrength> {
        wanted.strength_for(&self.algorithms, self.jwk.kid.as_deref())
    }

    fn verify<'a>(
        &'a self,
        input: &'a [u8],
        signature: &'a [u8],
        wanted: &'a KeyMatch<'a>,
    ) -> MaybeSendBoxFuture<'a, Result<(), VerifyError>> {
        Box::pin(async move {
            if self.key_match(wanted).is_none() {
                return Err(VerifyError::NoMatchingKey);
            }
            let is_good = self.verified(wanted.alg, input, signature).ok_or(VerifyError::NoMatchingKey)?;
            if is_good { Ok(()) } else { Err(VerifyError::SignatureMismatch) }
        })
    }
}

impl VerificationKey {
    /// Returns whether the signature is good, or `None` if the key is not for the algorithm.
    fn verified(&self, algorithm: &str, input: &[u8], signature: &[u8]) -> Option<bool> {
        let answer = match &self.jwk.key {
            PublicKey::Rsa(key) => {
                let key = RsaPublicKeyComponents { n: &key.n, e: &key.e };
                key.verify(rsa_parameters(algorithm)?, input, signature)
            }
            PublicKey::Ec(key) => {
                // An uncompressed point (SEC 1 §2.3.3).
                let point: Vec<u8> = [&[4], &key.x[..], &key.y[..]].concat();
                UnparsedPublicKey::new(ec_algorithm(algorithm)?, point).verify(input, signature)
            }
            PublicKey::Okp(key) => UnparsedPublicKey::new(&signature::ED25519, &key.x).verify(input, signature),
            _ => return None,
        };
        Some(answer.is_ok())
    }
}

fn rsa_parameters(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn ec_algorithm(algorithm: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        "ES256" => &signature::ECDSA_P256_SHA256_FIXED,
        "ES384" => &signature::ECDSA_P384_SHA384_FIXED,
        "ES512" => &signature::ECDSA_P521_SHA512_FIXED,
        _ => return None,
    })
}
