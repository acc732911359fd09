//! `google-cloud-auth`: a user account. Its header is the map that it gives for a request.

use std::hint::black_box;
use std::sync::Arc;

use google_cloud_auth::credentials::user_account::Builder;
use google_cloud_auth::credentials::{AccessTokenCredentials, Credentials};
use http::Extensions;

use crate::peer::{Answer, Calls, Peer};
use crate::server::TokenServer;
use crate::{Error, calls};

struct Google {
    tokens: AccessTokenCredentials,
    headers: Credentials,
}

impl Peer for Google {
    fn token(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(&self.tokens).access_token().await.is_ok())
    }

    fn header(&self, calls: u32) -> Calls<'_> {
        calls!(calls, black_box(&self.headers).headers(Extensions::new()).await.is_ok())
    }

    fn once(self: Arc<Self>) -> Answer {
        Box::pin(async move { Ok(self.headers.headers(Extensions::new()).await.map(drop)?) })
    }
}

pub async fn make(server: TokenServer) -> Result<Arc<dyn Peer>, Error> {
    let user = serde_json::json!({
        "type": "authorized_user",
        "client_id": "client",
        "client_secret": "secret",
        "refresh_token": "refresh",
        "token_uri": server.token_url(),
    });
    // Two views of one credential.
    let tokens = Builder::new(user).build_access_token_credentials()?;
    let headers = Credentials::from(tokens.clone());
    Ok(Arc::new(Google { tokens, headers }))
}
