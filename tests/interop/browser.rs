//! A browser without a screen: it follows redirects, and keeps cookies.

use std::collections::BTreeMap;

use jwt_refresh::ClientAuth;
use jwt_refresh::oauth::{AuthorizationCode, OAuth};
use reqwest::redirect;
use url::Url;

/// The resource that the server has, and its scopes.
pub(crate) const RESOURCE: &str = "urn:test:api";
/// The other one.
pub(crate) const FILES: &str = "urn:test:files";
pub(crate) const SCOPE: &str = "openid offline_access read write";

/// How many redirects a login takes at most.
const MOST_REDIRECTS: usize = 20;

/// A login by a person in this browser.
pub(crate) fn login(issuer: &str) -> OAuth {
    login_for(issuer, SCOPE)
}

/// A login for these scopes.
pub(crate) fn login_for(issuer: &str, scope: &str) -> OAuth {
    let builder = OAuth::builder(issuer, grant()).client_auth(ClientAuth::public("cli"));
    builder.scope(scope).resource(RESOURCE).other_resource(FILES).build().unwrap()
}

/// A login for tokens that are bound to a key (DPoP), which the provider's own `/me` takes.
pub(crate) fn bound_login(issuer: &str) -> OAuth {
    let builder = OAuth::builder(issuer, grant()).client_auth(ClientAuth::public("cli"));
    builder.scope("openid offline_access").dpop().build().unwrap()
}

pub(crate) fn grant() -> AuthorizationCode {
    AuthorizationCode::new(|url| {
        tokio::spawn(visit(Url::parse(url).unwrap()));
        Ok(())
    })
}

async fn visit(mut url: Url) {
    let http = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
    let mut cookies = BTreeMap::new();
    for _ in 0..MOST_REDIRECTS {
        let sent: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = http.get(url.clone()).header("cookie", sent.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let Some(location) = answer.headers().get("location") else {
            assert_eq!(answer.status(), 200, "{url}");
            return;
        };
        url = url.join(location.to_str().unwrap()).unwrap();
    }
    panic!("redirected for ever, last to {url}");
}
