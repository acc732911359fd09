//! A server and its API that issue and take tokens which are bound to a key (DPoP, RFC 9449), and
//! check each proof as the RFC says.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_refresh_testkit::Answer;
use serde_json::{Value, json};

use crate::provider::{OPENID, document, refusal, value};
use crate::server::{Seen, Server};

#[derive(Clone, Default)]
pub(crate) struct DpopServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What the next proof for the token endpoint, and for the API, has to have.
    nonce: Option<String>,
    api_nonce: Option<String>,
    /// Whether each proof for the API is refused for its nonce, and gets another one.
    api_wants_ever_newer: bool,
    /// Whether each call that is served brings the nonce for the next one.
    api_hands_out_nonces: bool,
    /// What the API wants in proofs once it has refused a token.
    api_nonce_after_refusal: Option<String>,
    /// Whether the API keeps the nonce that it wants to itself.
    hides_nonce: bool,
    /// By how many seconds the clock of the server and of the API is ahead.
    ahead: i64,
    issued: usize,
    /// The thumbprints of the keys that the tokens are bound to.
    keys: HashMap<String, String>,
    seen: HashSet<String>,
    log: Vec<String>,
}

impl DpopServer {
    pub(crate) fn start(&self) -> Server {
        let dpop = self.clone();
        Server::start(move |request, _| {
            let mut state = dpop.0.lock().unwrap();
            let answer = match request.path() {
                OPENID => document(request, &json!({})),
                "/token" => state.token(request),
                "/revoke" => Answer::new(200),
                "/moved" => Answer::new(307).header("location", "/orders"),
                _ => state.api(request),
            };
            answer.header("date", &httpdate::fmt_http_date(state.now()))
        })
    }

    pub(crate) fn want_nonce(&self, nonce: &str) {
        self.0.lock().unwrap().nonce = Some(nonce.to_owned());
    }

    pub(crate) fn want_api_nonce(&self, nonce: &str) {
        self.0.lock().unwrap().api_nonce = Some(nonce.to_owned());
    }

    pub(crate) fn want_ever_newer_api_nonces(&self) {
        self.0.lock().unwrap().api_wants_ever_newer = true;
    }

    pub(crate) fn want_api_nonce_after_refusal(&self, nonce: &str) {
        self.0.lock().unwrap().api_nonce_after_refusal = Some(nonce.to_owned());
    }

    /// Sets the clock of the server and of the API, against which they check proofs.
    pub(crate) fn set_clock_ahead(&self, seconds: i64) {
        self.0.lock().unwrap().ahead = seconds;
    }

    pub(crate) fn hide_nonces(&self) {
        self.0.lock().unwrap().hides_nonce = true;
    }

    pub(crate) fn hand_out_api_nonces(&self) {
        self.0.lock().unwrap().api_hands_out_nonces = true;
    }

    /// Lets the API take no token that was issued so far.
    pub(crate) fn forget_access_tokens(&self) {
        self.0.lock().unwrap().keys.retain(|token, _| !token.starts_with("access"));
    }

    /// What came since this was last called, and what became of it.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }

    /// How many keys tokens are bound to.
    pub(crate) fn keys(&self) -> usize {
        self.0.lock().unwrap().keys.values().collect::<HashSet<_>>().len()
    }
}

impl State {
    fn now(&self) -> SystemTime {
        let ahead = Duration::from_secs(self.ahead.unsigned_abs());
        if self.ahead < 0 { SystemTime::now() - ahead } else { SystemTime::now() + ahead }
    }

    fn note(&mut self, what: &str, answer: Answer) -> Answer {
        self.log.push(what.to_owned());
        answer
    }

    fn token(&mut self, request: &Seen) -> Answer {
        let refresh = value(request, "refresh_token");
        let what = if refresh.is_some() { "refresh" } else { "login" };
        let key = match self.checked(request, None) {
            Ok((_, nonce)) if nonce != self.nonce => {
                let answer = refusal("use_dpop_nonce").header("dpop-nonce", &self.nonce.clone().unwrap());
                return self.note(&format!("{what}: nonce"), answer);
            }
            Ok((key, _)) => key,
            Err(why) => return self.note(&format!("{what}: {why}"), refusal("invalid_dpop_proof")),
        };
        if let Some(token) = refresh {
            if self.keys.get(&token) != Some(&key) {
                return self.note("refresh: another key", refusal("invalid_grant"));
            }
            self.keys.remove(&token);
        }
        self.issued += 1;
        let (access, refresh) = (format!("access-{}", self.issued), format!("refresh-{}", self.issued));
        let answer =
            json!({ "access_token": access, "refresh_token": refresh, "token_type": "DPoP", "expires_in": 60 });
        self.keys.extend([(access, key.clone()), (refresh, key)]);
        self.note(what, Answer::new(200).json(&answer))
    }

    fn api(&mut self, request: &Seen) -> Answer {
        let refused = |error: &str| {
            Answer::new(401).header("www-authenticate", &format!(r#"DPoP error="{error}", algs="ES256""#))
        };
        let Some(token) = request.header("authorization").strip_prefix("DPoP ") else {
            return self.note("api: no DPoP token", refused("invalid_token"));
        };
        let (key, nonce) = match self.checked(request, Some(token)) {
            Ok(checked) => checked,
            Err(why) => return self.note(&format!("api: {why}"), refused("invalid_dpop_proof")),
        };
        if self.api_wants_ever_newer {
            self.api_nonce = Some(format!("newer-than-{}", nonce.clone().unwrap_or_default()));
        }
        if nonce != self.api_nonce {
            let answer = match &self.api_nonce {
                Some(nonce) if !self.hides_nonce => refused("use_dpop_nonce").header("dpop-nonce", nonce),
                _ => refused("use_dpop_nonce"),
            };
            return self.note("api: nonce", answer);
        }
        if self.keys.get(token) != Some(&key) {
            self.api_nonce = self.api_nonce_after_refusal.take().or(self.api_nonce.take());
            return self.note("api: invalid token", refused("invalid_token"));
        }
        if self.api_hands_out_nonces {
            let next = format!("after-{}", nonce.unwrap_or_default());
            self.api_nonce = Some(next.clone());
            return self.note("api", Answer::new(200).header("dpop-nonce", &next));
        }
        self.note("api", Answer::new(200))
    }

    /// The thumbprint of the key of the proof, and its nonce (RFC 9449 §4.3).
    fn checked(&mut self, request: &Seen, token: Option<&str>) -> Result<(String, Option<String>), &'static str> {
        let proof = request.header("dpop");
        let (signed, signature) = proof.rsplit_once('.').ok_or("no proof")?;
        let (header, claims) = signed.split_once('.').ok_or("no JWT")?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let json = |part: &str| serde_json::from_slice::<Value>(&bytes(part)).unwrap();
        let (header, claims) = (json(header), json(claims));
        let jwk = &header["jwk"];
        let coordinate = |name: &str| bytes(jwk[name].as_str().unwrap());
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let is_signed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &bytes(signature))
            .is_ok();
        let now = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let url = format!("http://{}{}", request.header("host"), request.path());
        let hash = |text: &str| URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()));
        for (is_right, why) in [
            (header["typ"] == "dpop+jwt" && header["alg"] == "ES256" && jwk.get("d").is_none(), "header"),
            (is_signed, "signature"),
            (claims["htm"] == request.method(), "htm"),
            (claims["htu"] == url.as_str(), "htu"),
            (claims["iat"].as_u64().is_some_and(|iat| iat.abs_diff(now) < 300), "iat"),
            (claims["ath"] == token.map_or(Value::Null, |token| hash(token).into()), "ath"),
            (self.seen.insert(claims["jti"].as_str().unwrap().to_owned()), "jti"),
        ] {
            if !is_right {
                return Err(why);
            }
        }
        // RFC 7638 §3.2
        let (x, y) = (&jwk["x"], &jwk["y"]);
        let thumbprint = hash(&format!(r#"{{"crv":"P-256","kty":"EC","x":{x},"y":{y}}}"#));
        Ok((thumbprint, claims["nonce"].as_str().map(str::to_owned)))
    }
}
