//! A JWT in words, for a person who inspects it.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::Jwt;
use crate::clock::in_words;

/// What follows from no token that a client has decoded.
const NOT_TO_CONCLUDE: &str = "\
what a client may not conclude
  that this is true: the signature was not checked, so it is unknown who wrote it
  that an API takes the token: it may be revoked, meant for another audience, or checked by another clock
  that an API refuses it: what counts is the answer of the API
  that the next token looks the same: it may be opaque (RFC 9068 section 6)
";

impl Jwt {
    /// Returns header and claims as text, with the times in words as seen at `now`, and with what a
    /// client may not conclude from them. The signature is left out, so the text is no token; but
    /// claims may be personal.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use jwt_refresh::jwt::Jwt;
    ///
    /// let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjEzMDA4MTkzODB9.c2ln";
    /// let jwt = Jwt::decode(token)?;
    /// let text = jwt.explain(SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_818_660));
    /// assert!(text.contains("expires in 12 min"));
    /// # Ok::<(), jwt_refresh::jwt::DecodeError>(())
    /// ```
    pub fn explain(&self, now: SystemTime) -> String {
        let mut text = Lines::default();
        text.heading("header");
        let header = self.header();
        for (name, value) in [("alg", header.algorithm()), ("typ", header.kind()), ("kid", header.key_id())] {
            text.quoted(name, value);
        }
        text.heading("claims, unverified");
        let claims = self.claims();
        for (name, value) in [("iss", claims.issuer()), ("sub", claims.subject()), ("jti", claims.id())] {
            text.quoted(name, value);
        }
        let audience: Vec<String> = claims.audience().iter().map(|name| format!("{name:?}")).collect();
        text.line("aud", Some(audience.join(", ")).filter(|names| !names.is_empty()));
        text.line("iat", claims.issued_at().map(|time| told(time, now, "issued", "will be issued")));
        text.line("nbf", claims.not_before().map(|time| told(time, now, "valid since", "valid")));
        text.line("exp", claims.expires_at().map(|time| told(time, now, "expired", "expires")));
        for (name, value) in claims.others() {
            text.line(&name.escape_debug().to_string(), Some(escaped(&value.to_string())));
        }
        if claims.expires_at().is_none() {
            text.line("exp", Some("missing: the token does not say when it expires".to_owned()));
        }
        let signature = if self.signature().is_empty() { "none" } else { "there is one, and it was not checked" };
        text.heading(&format!("signature: {signature}"));
        text.0.push_str(NOT_TO_CONCLUDE);
        text.0
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn heading(&mut self, heading: &str) {
        self.0.push_str(heading);
        self.0.push('\n');
    }

    fn line(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            // Writing to a string does not fail.
            let _ = writeln!(self.0, "  {name}: {value}");
        }
    }

    fn quoted(&mut self, name: &str, value: Option<&str>) {
        self.line(name, value.map(|value| format!("{value:?}")));
    }
}

/// Escapes what a terminal would not show as it is.
fn escaped(json: &str) -> String {
    let escape = |char: char| if char.is_ascii() { char.to_string() } else { char.escape_debug().to_string() };
    json.chars().map(escape).collect()
}

/// Returns a time as a date, and how far it is from `now`: `… (expires in 12 min)`.
fn told(time: SystemTime, now: SystemTime, past: &str, future: &str) -> String {
    let date = httpdate::fmt_http_date(time);
    match time.duration_since(now) {
        Ok(left) if left > Duration::ZERO => format!("{date} ({future} in {})", in_words(left)),
        _ => format!("{date} ({past} {} ago)", in_words(now.duration_since(time).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const NOW: u64 = 1_795_308_961;

    fn explained(header: &str, claims: &str) -> String {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        let token = format!("{}.{}.{}", encode(header), encode(claims), encode("S1gnature"));
        let text = Jwt::decode(&token).unwrap().explain(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
        assert!(!text.contains(&encode("S1gnature")), "{text}");
        text
    }

    #[test]
    fn a_token_is_told_with_its_times_in_words_and_without_its_signature() {
        let claims = format!(
            r#"{{"iss":"https://id.example","sub":"ada","aud":["a","b"],"iat":{},"nbf":{},"exp":{},"role":["admin"]}}"#,
            NOW - 180,
            NOW - 180,
            NOW + 759
        );
        let text = explained(r#"{"alg":"RS256","kid":"k1"}"#, &claims);
        for line in [
            "  alg: \"RS256\"\n",
            "  kid: \"k1\"\n",
            "  sub: \"ada\"\n",
            "  aud: \"a\", \"b\"\n",
            "(issued 3 min ago)\n",
            "(valid since 3 min ago)\n",
            "(expires in 12 min)\n",
            "  role: [\"admin\"]\n",
            "signature: there is one, and it was not checked\n",
            "that this is true: the signature was not checked",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn odd_claims_are_told_as_they_are_and_cannot_steer_a_terminal() {
        let text = explained("{}", "{\"sub\":7,\"exp\":\"soon\",\"a\\u001b[2J\":\"\\u001b[31m\u{9b}31m\u{202e}\"}");
        assert!(text.contains("  sub: 7\n") && text.contains("  exp: \"soon\"\n"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text}");
        assert!(text.contains("the token does not say when it expires"), "{text}");
        for exp in ["253402300799", "0"] {
            assert!(explained("{}", &format!(r#"{{"exp":{exp}}}"#)).contains("exp: "));
        }
    }
}
