//! The key file of a Google service account, and the assertion that it signs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use huskarl::core::EndpointUrl;
use huskarl::core::jwt::Jwt;
use huskarl::core::secrets::SecretString;
use serde_json::Value;
use zeroize::Zeroizing;

use super::server::parsed;
use super::signing_key::{JwtSigner, unfit};
use crate::authenticator::http::SecretSource;
use crate::error::Error;
use crate::json::Object;

/// The longest that the server takes.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A service account by its key file in JSON, which is read for each login.
#[derive(Clone)]
pub(super) struct ServiceAccount(pub(super) SecretSource);

/// A key file that was read.
pub(super) struct ServiceAccountKey {
    email: String,
    signer: JwtSigner,
    pub(super) token_endpoint: EndpointUrl,
}

impl ServiceAccount {
    /// Reads the key file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SecretUnavailable`](crate::ErrorKind::SecretUnavailable) if it cannot be read,
    /// or is no such file.
    pub(super) async fn read(&self) -> Result<ServiceAccountKey, Error> {
        let json = self.0.read("service_account").await?;
        ServiceAccountKey::parse(json.expose()).map_err(|why| unfit("service_account", &self.0, &why))
    }
}

impl ServiceAccountKey {
    fn parse(json: &str) -> Result<Self, String> {
        let object = Object::parse(json.as_bytes()).map_err(|_| "it is no JSON object".to_owned())?;
        let text = |name: &str| match object.at(name) {
            Ok(Some(Value::String(text))) => Ok(Zeroizing::new(text)),
            _ => Err(format!("its `{name}` is missing, or is no string")),
        };
        let signer = JwtSigner::parse(&text("private_key")?, text("private_key_id").ok().map(|id| id.to_string()));
        let signer = signer.map_err(|why| format!("its `private_key` is none: {why}"))?;
        let token_endpoint = parsed(&text("token_uri")?).map_err(|_| "its `token_uri` is not a URL".to_owned())?;
        Ok(Self { email: text("client_email")?.to_string(), signer, token_endpoint })
    }

    /// Returns an assertion for a token with these scopes.
    pub(super) async fn assertion(&self, scopes: Option<&[String]>) -> Result<SecretString, Error> {
        let scope = scopes.map(|scopes| ("scope", scopes.join(" ")));
        let jwt = Jwt::builder()
            .iss(&*self.email)
            .audience(self.token_endpoint.to_string())
            .issued_now_expires_after(LIFETIME)
            .jti(None::<String>)
            .claims(scope.into_iter().collect::<BTreeMap<_, _>>())
            .build();
        self.signer.signed(&jwt).await
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceAccount").field(&self.0).finish()
    }
}
