//! Adds a token to a request without formatting or copying it.

use std::fmt::Display;

use http::{HeaderMap, HeaderValue, Method};

use crate::token::AccessToken;

/// The header of the proof for a request (RFC 9449 §4.1).
pub(super) const DPOP: &str = "dpop";

/// Gives requests the method `.bearer(&token)`: the builders of reqwest, `reqwest-middleware`, ureq
/// and `http`, and the headers of a request. It sets `Authorization: Bearer …` from the ready-made
/// header value of the token, which is marked sensitive. What was in that header before is
/// replaced.
///
/// ```
/// use jwt_refresh::Bearer;
///
/// # fn doc(token: &jwt_refresh::AccessToken) -> http::Result<()> {
/// let mut request = http::Request::get("https://api.example/orders").bearer(token).body(())?;
/// request.headers_mut().bearer(token);
/// # Ok(()) }
/// ```
///
/// Use it in place of reqwest's `.bearer_auth(token)`, which formats the header anew for each
/// request, and does not compile with an [`AccessToken`]: that has no `Display`, so that it cannot
/// get into a text by accident.
///
/// To a token that is bound to a key (`OAuthBuilder::dpop`) builders add the proof for the request
/// (RFC 9449 §4), whose method and URL they know: call this after those are set, and before the
/// body is set to a stream. An answer may ask for a nonce, which `RequestAuth` and
/// `Session::execute` see to, and otherwise `#[refresh_token(retry)]` on a method that returns the
/// response, or `.observed(&token)` for the next request. A map of headers knows no request, and
/// gets no proof.
pub trait Bearer {
    /// Returns the request with `token` in the `Authorization` header (RFC 6750 §2.1), or with an
    /// API key in [its header](AccessToken::header_name).
    fn bearer(self, token: &AccessToken) -> Self;
}

/// Returns the proof for a request, if `token` is bound to a key and the request is known. If there
/// can be none, the API says so.
fn proof(token: &AccessToken, request: Option<(&Method, &impl Display)>) -> Option<HeaderValue> {
    let (method, url) = request?;
    let proof = token.key()?.proof_by_hand(method, &url.to_string(), token.expose());
    proof.inspect_err(|error| tracing::debug!(target: "jwt_refresh", %error)).ok()
}

/// Puts the token and the proof into the place of those that are there.
fn put(headers: &mut HeaderMap, token: &AccessToken, proof: Option<HeaderValue>) {
    headers.insert(token.header_name().clone(), token.into());
    match proof {
        Some(proof) => drop(headers.insert(DPOP, proof)),
        // That of another request or token does not hold.
        None if token.key().is_some() => drop(headers.remove(DPOP)),
        None => {}
    }
}

impl Bearer for http::request::Builder {
    fn bearer(mut self, token: &AccessToken) -> Self {
        let proof = proof(token, self.method_ref().zip(self.uri_ref()));
        if let Some(headers) = self.headers_mut() {
            put(headers, token, proof);
        }
        self
    }
}

impl Bearer for HeaderMap {
    fn bearer(mut self, token: &AccessToken) -> Self {
        (&mut self).bearer(token);
        self
    }
}

impl Bearer for &mut HeaderMap {
    fn bearer(self, token: &AccessToken) -> Self {
        put(self, token, None);
        self
    }
}

/// The builders of reqwest show their request only when they build it, and replace a header only by
/// that of a map.
#[cfg(feature = "reqwest")]
macro_rules! for_builder_of_reqwest {
    ($builder:ty) => {
        impl Bearer for $builder {
            fn bearer(self, token: &AccessToken) -> Self {
                let shown = token.key().and_then(|_| self.try_clone()?.build().ok());
                let proof = proof(token, shown.as_ref().map(|request| (request.method(), request.url())));
                let mut headers = HeaderMap::with_capacity(1 + usize::from(proof.is_some()));
                put(&mut headers, token, proof);
                self.headers(headers)
            }
        }
    };
}

#[cfg(feature = "reqwest")]
for_builder_of_reqwest!(reqwest::RequestBuilder);
#[cfg(all(feature = "reqwest", feature = "blocking"))]
for_builder_of_reqwest!(reqwest::blocking::RequestBuilder);
#[cfg(feature = "reqwest-middleware")]
for_builder_of_reqwest!(reqwest_middleware::RequestBuilder);

#[cfg(feature = "ureq")]
impl<B> Bearer for ureq::RequestBuilder<B> {
    fn bearer(mut self, token: &AccessToken) -> Self {
        let proof = proof(token, self.method_ref().zip(self.uri_ref()));
        if let Some(headers) = self.headers_mut() {
            put(headers, token, proof);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the values of the headers of a request whose token was set twice, and what a bound
    /// token has beside itself.
    fn check(client: &str, send: impl Fn(&[&AccessToken]) -> HeaderMap) {
        let [old, new] = ["old", "new"].map(|token| AccessToken::new(token).unwrap());
        let headers = send(&[&old, &new]);
        let values: Vec<_> = headers.get_all("authorization").iter().collect();
        assert_eq!(values, ["Bearer new"], "{client}");
        assert!(values[0].is_sensitive());

        #[cfg(feature = "oauth")]
        {
            let key = crate::token::ProofKey::generate().unwrap();
            let [old, new] = [old, new].map(|token| token.bound_to(key.clone()));
            let once = send(&[&old]);
            let headers = send(&[&old, &new]);
            assert_eq!(headers.get_all("authorization").iter().collect::<Vec<_>>(), ["DPoP new"], "{client}");
            let proofs: Vec<_> = headers.get_all(DPOP).iter().collect();
            assert_eq!(proofs.len(), once.get_all(DPOP).iter().count(), "{client}");
            assert!(proofs.iter().all(|proof| proof.is_sensitive() && once.get(DPOP) != Some(proof)), "{client}");
        }
    }

    #[test]
    fn a_token_that_is_set_again_replaces_the_first_one_and_its_proof() {
        let url = "https://api.example/orders";
        check("http", |tokens| {
            let request = tokens.iter().fold(http::Request::get(url), |request, token| request.bearer(token));
            request.body(()).unwrap().headers().clone()
        });
        check("headers", |tokens| tokens.iter().fold(HeaderMap::new(), |headers, token| headers.bearer(token)));
        #[cfg(feature = "reqwest")]
        check("reqwest", |tokens| {
            let request = reqwest::Client::new().get(url);
            let request = tokens.iter().fold(request, |request, token| request.bearer(token));
            request.build().unwrap().headers().clone()
        });
        #[cfg(all(feature = "reqwest", feature = "blocking"))]
        check("blocking reqwest", |tokens| {
            let request = reqwest::blocking::Client::new().get(url);
            let request = tokens.iter().fold(request, |request, token| request.bearer(token));
            request.build().unwrap().headers().clone()
        });
        #[cfg(feature = "reqwest-middleware")]
        check("reqwest-middleware", |tokens| {
            let request = reqwest_middleware::ClientWithMiddleware::from(reqwest::Client::new()).get(url);
            let request = tokens.iter().fold(request, |request, token| request.bearer(token));
            request.build().unwrap().headers().clone()
        });
        #[cfg(feature = "ureq")]
        check("ureq", |tokens| {
            let request = tokens.iter().fold(ureq::get(url), |request, token| request.bearer(token));
            request.headers_ref().unwrap().clone()
        });
    }

    #[test]
    fn a_map_of_headers_keeps_no_proof_of_another_request() {
        let mut headers =
            HeaderMap::from_iter([(http::HeaderName::from_static(DPOP), HeaderValue::from_static("old"))]);
        let token = AccessToken::new("a").unwrap();
        assert_eq!((&mut headers).bearer(&token).get(DPOP).unwrap(), "old", "it may be of somebody else");
        #[cfg(feature = "oauth")]
        {
            let bound = token.bound_to(crate::token::ProofKey::generate().unwrap());
            assert!(headers.bearer(&bound).get(DPOP).is_none());
        }
    }
}
