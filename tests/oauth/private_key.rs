//! Clients that authenticate by a JWT that they sign.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ED25519, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jwt_refresh::oauth::{Grant, OAuth, OAuthBuilder, Server as Issuer, SigningKey};
use jwt_refresh::{Authenticator, ErrorKind, SecretSource, Session};
use serde_json::Value;

use crate::provider::{for_tokens, provider, tokens, value};

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

pub(crate) fn ec(algorithm: &'static EcdsaSigningAlgorithm) -> (String, Vec<u8>) {
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let public = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref()).unwrap().public_key().as_ref().to_vec();
    (pem(key.as_ref()), public)
}

fn ed25519() -> (String, Vec<u8>) {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let public = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap().public_key().as_ref().to_vec();
    (pem(key.as_ref()), public)
}

pub(crate) fn rsa() -> (String, Vec<u8>) {
    let key = RsaKey::generate(KeySize::Rsa2048).unwrap();
    let public = aws_lc_rs::signature::RsaKeyPair::from_pkcs8(AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref());
    (pem(AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref()), public.unwrap().public_key().as_ref().to_vec())
}

fn client_credentials(server: impl Into<Issuer>, key: SigningKey) -> OAuthBuilder {
    OAuth::builder(server, Grant::client_credentials()).private_key_jwt("catalog", key)
}

/// Header and claims of an assertion whose signature is that of the key.
pub(crate) fn verified(
    assertion: &str,
    algorithm: &'static dyn VerificationAlgorithm,
    public: &[u8],
) -> (Value, Value) {
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(algorithm, public).verify(signed.as_bytes(), &signature).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (json(header), json(claims))
}

#[tokio::test]
async fn each_kind_of_key_signs_by_its_algorithm_for_the_issuer() {
    let (rsa_pem, rsa_public) = rsa();
    let keys: [(&str, String, Vec<u8>, &'static dyn VerificationAlgorithm); 5] = {
        let ((p256, p256_public), (p384, p384_public)) =
            (ec(&ECDSA_P256_SHA256_FIXED_SIGNING), ec(&ECDSA_P384_SHA384_FIXED_SIGNING));
        let (ed, ed_public) = ed25519();
        [
            ("ES256", p256, p256_public, &ECDSA_P256_SHA256_FIXED),
            ("ES384", p384, p384_public, &ECDSA_P384_SHA384_FIXED),
            ("EdDSA", ed, ed_public, &ED25519),
            ("RS256", rsa_pem.clone(), rsa_public.clone(), &RSA_PKCS1_2048_8192_SHA256),
            ("PS256", rsa_pem, rsa_public, &RSA_PSS_2048_8192_SHA256),
        ]
    };
    let server = provider(|_, number| tokens(number));
    for (name, pem, public, algorithm) in keys {
        let key = SigningKey::pem(pem).id("2026-11");
        let key = if name == "PS256" { key.pss() } else { key };
        let session = Session::new(client_credentials(server.url(""), key).build().unwrap());
        session.token().await.unwrap();
        session.refresh_now().await.unwrap();
        let seen = server.seen();
        let sent = for_tokens(&seen);
        let claims = sent.iter().map(|request| {
            let (header, claims) = verified(&value(request, "client_assertion").unwrap(), algorithm, &public);
            assert_eq!((&header["alg"], &header["kid"]), (&name.into(), &"2026-11".into()));
            claims
        });
        let [first, second] = &claims.collect::<Vec<_>>()[..] else { panic!("{seen:?}") };
        assert_eq!(
            (&first["iss"], &first["sub"], &first["aud"]),
            (&"catalog".into(), &"catalog".into(), &server.url("").into())
        );
        assert!(first["exp"].as_u64().unwrap() - first["iat"].as_u64().unwrap() <= 60, "{first}");
        assert_ne!(first["jti"], second["jti"], "an assertion is used once");
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(value(sent[0], "client_assertion_type").unwrap(), kind);
    }
}

#[tokio::test]
async fn an_assertion_is_for_the_endpoint_if_the_issuer_is_not_known_or_for_whom_it_is_said() {
    let server = provider(|_, number| tokens(number));
    let endpoint = Issuer::endpoints(server.url("/token"));
    let (pem, public) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let key = SigningKey::pem(pem);
    for (api, audience) in [
        (client_credentials(endpoint, key.clone()), server.url("/token")),
        (client_credentials(server.url(""), key.for_audience("urn:other")), "urn:other".to_owned()),
    ] {
        api.build().unwrap().login().await.unwrap();
        let seen = server.seen();
        let assertion = value(for_tokens(&seen)[0], "client_assertion").unwrap();
        assert_eq!(verified(&assertion, &ECDSA_P256_SHA256_FIXED, &public).1["aud"], audience);
    }
}

#[tokio::test]
async fn a_key_is_read_anew_and_one_that_cannot_be_used_is_named_and_not_shown() {
    let server = provider(|_, number| tokens(number));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let api = client_credentials(server.url(""), SigningKey::pem(SecretSource::file(&file))).build().unwrap();
    let body = "c2VjcmV0";
    for unfit in ["S3cret".to_owned(), format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")] {
        std::fs::write(&file, unfit).unwrap();
        let error = api.login().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SecretUnavailable);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("`private_key`") && shown.contains("key.pem"), "{shown}");
        assert!(!shown.contains("S3cret") && !shown.contains(body), "{shown}");
    }
    assert!(for_tokens(&server.seen()).is_empty());
    for _ in 0..2 {
        let (pem, public) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
        std::fs::write(&file, pem).unwrap();
        api.login().await.unwrap();
        let seen = server.seen();
        verified(&value(for_tokens(&seen)[0], "client_assertion").unwrap(), &ECDSA_P256_SHA256_FIXED, &public);
    }
}

#[tokio::test]
async fn a_revocation_and_a_refresh_are_signed_too() {
    let server = provider(|_, number| tokens(number));
    let (pem, public) = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let api = OAuth::builder(server.url(""), Grant::jwt_bearer("assertion"))
        .private_key_jwt("catalog", SigningKey::pem(pem))
        .build()
        .unwrap();
    let session = Session::new(api);
    session.token().await.unwrap();
    session.refresh_now().await.unwrap();
    session.logout().await.unwrap();
    let seen = server.seen();
    let signed = seen.iter().filter(|request| request.method() == "POST");
    let paths = signed.map(|request| {
        verified(&value(request, "client_assertion").unwrap(), &ECDSA_P256_SHA256_FIXED, &public);
        request.path()
    });
    assert_eq!(paths.collect::<Vec<_>>(), ["/token", "/token", "/revoke"]);
}
