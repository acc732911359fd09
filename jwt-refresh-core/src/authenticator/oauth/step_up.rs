//! What a login asks for beyond its configuration, because an API has challenged its token.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::grant::GrantKind;
use super::settings::OAuthSettings;
use crate::error::Error;
use crate::json::Object;
use crate::send::Challenge;

/// The longest value that is taken from a challenge, in bytes.
const LONGEST: usize = 4096;

impl OAuthSettings {
    /// Returns the settings for a login that also asks for what a challenge says.
    ///
    /// # Errors
    ///
    /// [`Error::cannot_step_up`] if the challenge does not say what is lacking, or the grant cannot
    /// ask for it.
    pub(super) fn stepped_up(&self, challenge: &Challenge) -> Result<Self, Error> {
        let mut settings = self.clone();
        let is_asked = match (challenge.parameter("error"), &self.grant.0) {
            (_, GrantKind::RefreshOnly) => false,
            (Some("insufficient_scope"), _) => settings.add_scopes(challenge),
            (Some("insufficient_user_authentication"), GrantKind::AuthorizationCode(_)) => {
                settings.ask_for_login(challenge)
            }
            (Some("insufficient_claims"), _) => settings.ask_for_claims(challenge),
            _ => false,
        };
        if is_asked { Ok(settings) } else { Err(Error::cannot_step_up()) }
    }

    /// Asks for the scopes of the challenge (RFC 6750 §3) beside those of the login. Returns
    /// whether there are any.
    fn add_scopes(&mut self, challenge: &Challenge) -> bool {
        let Some(lacking) = words(challenge, "scope") else { return false };
        for scope in lacking {
            if !self.further_scopes.contains(&scope) {
                self.further_scopes.push(scope);
            }
        }
        true
    }

    /// Asks for the login that the challenge describes (RFC 9470 §4). Returns whether it does.
    fn ask_for_login(&mut self, challenge: &Challenge) -> bool {
        let acr_values = words(challenge, "acr_values");
        let max_age = challenge.parameter("max_age").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        if acr_values.is_none() && max_age.is_none() {
            return false;
        }
        self.acr_values = acr_values.or(self.acr_values.take());
        self.max_age = max_age.or(self.max_age);
        true
    }

    /// Asks for the claims of the challenge, a JSON object in Base64, by the parameter `claims`
    /// (`OpenID` Connect Core 1.0 §5.5). Returns whether there are any.
    fn ask_for_claims(&mut self, challenge: &Challenge) -> bool {
        let claims = challenge.parameter("claims").filter(|claims| claims.len() <= LONGEST).and_then(decoded);
        self.claims = claims.filter(|claims| Object::parse(claims.as_bytes()).is_ok());
        self.claims.is_some()
    }
}

/// Returns the words of a parameter, if there are any and all are of the characters that RFC 6749
/// §3.3 allows in a scope.
fn words(challenge: &Challenge, name: &str) -> Option<Vec<String>> {
    let text = challenge.parameter(name).filter(|text| text.len() <= LONGEST)?;
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let words: Vec<String> = text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Some(words).filter(|words| !words.is_empty() && words.iter().all(|word| word.bytes().all(is_allowed)))
}

fn decoded(text: &str) -> Option<String> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes =
        [URL_SAFE, STANDARD].iter().find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(text).ok());
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use http::header::WWW_AUTHENTICATE;
    use http::{HeaderMap, HeaderValue};

    use std::sync::Arc;

    use huskarl::core::server_metadata::AuthorizationServerMetadata;

    use super::*;
    use crate::authenticator::oauth::server::ServerFacts;
    use crate::authenticator::oauth::{AuthorizationCode, Grant};

    fn settings(challenge: &str) -> Result<OAuthSettings, Error> {
        let value = HeaderValue::from_str(challenge).unwrap();
        let challenges = Challenge::in_headers(&HeaderMap::from_iter([(WWW_AUTHENTICATE, value)]));
        let before = OAuthSettings {
            scope: Some(vec!["a".to_owned(), "b".to_owned()]),
            ..OAuthSettings::new(Grant::from(AuthorizationCode::new(|_| Ok(()))))
        };
        before.stepped_up(&challenges[0])
    }

    #[test]
    fn scopes_are_added_once() {
        let settings = settings(r#"Bearer error="insufficient_scope", scope="c  b c""#).unwrap();
        let metadata = Arc::new(
            AuthorizationServerMetadata::builder()
                .issuer("")
                .token_endpoint("https://id.example/token".parse().unwrap())
                .response_types_supported(Vec::new())
                .build(),
        );
        let of_resource = ServerFacts { metadata, resource: None, scope: Some(vec!["z".to_owned()]) };
        assert_eq!(settings.for_server(&of_resource).scope.unwrap(), ["a", "b", "c"]);
        let unnamed = OAuthSettings { scope: None, ..settings };
        assert_eq!(unnamed.for_server(&of_resource).scope.unwrap(), ["z", "c", "b"]);
    }

    #[test]
    fn what_a_challenge_does_not_say_or_says_in_no_allowed_way_is_not_asked_for() {
        for challenge in [
            r#"Bearer error="insufficient_scope""#,
            r#"Bearer error="insufficient_scope", scope="""#,
            r#"Bearer error="insufficient_scope", scope=" ""#,
            r#"Bearer error="insufficient_scope", scope="a\\b""#,
            r#"Bearer error="insufficient_user_authentication", max_age="soon""#,
            r#"Bearer error="insufficient_claims", claims="e30$""#,
            r#"Bearer error="insufficient_claims", claims="W10=""#,
            r#"Bearer error="invalid_token", scope="c""#,
            r#"Bearer scope="c""#,
            &format!(r#"Bearer error="insufficient_scope", scope="{}""#, "c".repeat(LONGEST + 1)),
        ] {
            assert!(settings(challenge).is_err(), "{challenge}");
        }
    }

    #[test]
    fn claims_may_be_in_each_kind_of_base64() {
        for claims in ["eyJhIjoi4oCm8J-YgCJ9", "eyJhIjoi4oCm8J+YgCJ9", "eyJhIjogIvCfmIAifQ==", "eyJhIjogIvCfmIAifQ"] {
            let challenge = format!(r#"Bearer error="insufficient_claims", claims="{claims}""#);
            assert!(settings(&challenge).unwrap().claims.unwrap().starts_with(r#"{"a":"#), "{claims}");
        }
    }
}
