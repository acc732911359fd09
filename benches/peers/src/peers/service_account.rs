//! The key of a service account whose token URL is the stub's, as Google's files describe it.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::server::TokenServer;

fn pem() -> Result<&'static str, Error> {
    static PEM: OnceLock<String> = OnceLock::new();
    if let Some(pem) = PEM.get() {
        return Ok(pem);
    }
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'static> = key.as_der()?;
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    Ok(PEM.get_or_init(|| pem))
}

pub fn json(server: &TokenServer) -> Result<String, Error> {
    let key = serde_json::json!({
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "key",
        "private_key": pem()?,
        "client_email": "peer@project.iam.gserviceaccount.com",
        "token_uri": server.token_url(),
    });
    Ok(key.to_string())
}
