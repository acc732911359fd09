//! Reads the challenges in `WWW-Authenticate`.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// Challenges beyond these are not read.
const MOST_CHALLENGES: usize = 32;

/// A challenge of a server to authenticate (RFC 9110 §11.6.1), such as
/// `Bearer error="invalid_token"` (RFC 6750 §3).
///
/// ```
/// # use jwt_refresh::Challenge;
/// # let mut headers = http::HeaderMap::new();
/// # let value = r#"Basic, Bearer error="insufficient_user_authentication", acr_values="mfa""#;
/// # headers.insert("www-authenticate", http::HeaderValue::from_static(value));
/// let challenges = Challenge::in_headers(&headers);
/// let bearer = challenges.iter().find(|challenge| challenge.scheme() == "bearer");
/// let acr_values = bearer.and_then(|challenge| challenge.parameter("acr_values")); // RFC 9470 §3
/// assert_eq!(acr_values, Some("mfa"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Returns the challenges in the `WWW-Authenticate` headers of an answer, at most 32. What
    /// cannot be read is left out. Text that is not UTF-8 has replacement characters in it.
    pub fn in_headers(headers: &HeaderMap) -> Vec<Self> {
        let mut challenges = Vec::new();
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = String::from_utf8_lossy(value.as_bytes());
            // A parameter belongs to a challenge of the same header.
            let first = challenges.len();
            for item in ListItems(&text) {
                match Item::parse(item) {
                    Item::Challenge(_) if challenges.len() == MOST_CHALLENGES => return challenges,
                    Item::Challenge(challenge) => challenges.push(challenge),
                    Item::Parameter(name, value) => {
                        if let Some(challenge) = challenges[first..].last_mut() {
                            challenge.add(name, value);
                        }
                    }
                    Item::Junk => {}
                }
            }
        }
        challenges
    }

    /// Returns the authentication scheme, in lower case: `bearer`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Returns the value of a parameter, such as `error`, without quotes. The case of `name` is not
    /// looked at. Of several values it is the first, because a parameter must come only once.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn new(scheme: &str) -> Self {
        Self { scheme: scheme.to_ascii_lowercase(), parameters: Vec::new() }
    }

    fn add(&mut self, name: &str, value: String) {
        self.parameters.push((name.to_ascii_lowercase(), value));
    }
}

/// The elements of a comma-separated list (RFC 9110 §5.6.1). A comma in a quoted string separates
/// nothing.
struct ListItems<'a>(&'a str);

impl<'a> Iterator for ListItems<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = self.0.bytes().position(|byte| {
            let ends = byte == b',' && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            ends
        });
        let (item, rest) = end.map_or((self.0, ""), |end| (&self.0[..end], &self.0[end + 1..]));
        self.0 = rest;
        Some(trim(item))
    }
}

/// What an element of the list is.
enum Item<'a> {
    /// A scheme, and perhaps its first parameter.
    Challenge(Challenge),
    /// A parameter of the challenge before it.
    Parameter(&'a str, String),
    Junk,
}

impl<'a> Item<'a> {
    fn parse(item: &'a str) -> Self {
        if let Some((name, value)) = parameter(item) {
            return Self::Parameter(name, value);
        }
        let (scheme, rest) = token(item);
        if scheme.is_empty() || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
            return Self::Junk;
        }
        let mut challenge = Challenge::new(scheme);
        // What is no parameter is a token68, as of `Negotiate`, of which nothing here is made.
        if let Some((name, value)) = parameter(trim(rest)) {
            challenge.add(name, value);
        }
        Self::Challenge(challenge)
    }
}

/// Parses `name = value` or `name = "value"`. A value that is neither a token nor quoted is taken
/// as it is, because servers forget the quotes.
fn parameter(text: &str) -> Option<(&str, String)> {
    let (name, rest) = token(text);
    let value = trim(trim(rest).strip_prefix('=')?);
    // The `=` at the end of a token68 has nothing after it, or only its like.
    if name.is_empty() || value.bytes().all(|byte| byte == b'=') {
        return None;
    }
    Some((name, value.strip_prefix('"').map_or_else(|| value.to_owned(), unquoted)))
}

/// Returns the content of a quoted string (RFC 9110 §5.6.4) whose opening quote was taken away. One
/// without a closing quote ends with the text.
fn unquoted(text: &str) -> String {
    let mut content = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '"' => break,
            '\\' => content.extend(rest.next()),
            other => content.push(other),
        }
    }
    content
}

/// Splits off the token (RFC 9110 §5.6.2) that `text` begins with, which may be empty.
fn token(text: &str) -> (&str, &str) {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    text.split_at(text.bytes().position(|byte| !is_of_token(byte)).unwrap_or(text.len()))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parse<const N: usize>(lines: [&str; N]) -> Vec<Challenge> {
        let value = |line: &str| HeaderValue::from_bytes(line.as_bytes()).unwrap();
        Challenge::in_headers(&lines.iter().map(|line| (WWW_AUTHENTICATE, value(line))).collect())
    }

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Challenge { scheme: scheme.to_owned(), parameters: parameters.iter().map(owned).collect() }
    }

    #[test]
    fn several_challenges_may_be_in_one_header_or_in_many() {
        // RFC 9110 §11.6.1
        let example = r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#;
        let apps = [("realm", "apps"), ("type", "1"), ("title", r#"Login to "apps""#)];
        assert_eq!(parse([example]), [challenge("basic", &[("realm", "simple")]), challenge("newauth", &apps)]);
        let basic = challenge("basic", &[("realm", "a, b")]);
        let bearer = challenge("bearer", &[("error", "invalid_token"), ("scope", "x y")]);
        let lines = [r#"Basic realm = "a, b""#, r#" , BEARER Error=invalid_token ,, scope="x y","#];
        assert_eq!(parse(lines), [basic, bearer]);
        assert_eq!(parse([""]), []);
    }

    #[test]
    fn schemes_without_parameters_and_with_a_token68_are_challenges_too() {
        let lines = ["Negotiate, Bearer,Custom YWJj==, Other abc="];
        assert_eq!(parse(lines), ["negotiate", "bearer", "custom", "other"].map(|scheme| challenge(scheme, &[])));
    }

    #[test]
    fn what_cannot_be_read_costs_nothing_else() {
        let bearer = |value| challenge("bearer", &[("error", value)]);
        for (line, read) in [
            (r#"=x, "lost", error="lost", Bearer error="invalid_token", @!"#, bearer("invalid_token")),
            (r#"Bearer error="open"#, bearer("open")),
            (r"Bearer error=two words", bearer("two words")),
            ("Bearer error=\"\u{fc}\\", bearer("\u{fc}")),
            (r#"Bearer error="a" junk"#, bearer("a")),
        ] {
            assert_eq!(parse([line]), [read], "{line}");
        }
        let twice = parse(["Bearer error=first, error=second"]);
        assert_eq!(twice[0].parameter("ERROR"), Some("first"));
        assert_eq!(parse([&"Bearer,".repeat(1000)]).len(), MOST_CHALLENGES);
    }

    /// Writes a challenge as a server does.
    fn written(challenge: &Challenge) -> String {
        let quoted = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"");
        let parameters = challenge.parameters.iter().map(|(name, value)| format!(r#"{name}="{}""#, quoted(value)));
        let parameters: Vec<_> = parameters.collect();
        format!("{} {}", challenge.scheme, parameters.join(" , "))
    }

    fn any_challenge() -> impl Strategy<Value = Challenge> {
        let parameters = prop::collection::vec(("[a-z_*.]{1,8}", "[ -~\u{e4}]{0,12}"), 1..4);
        ("[a-z0-9-]{1,8}", parameters).prop_map(|(scheme, parameters)| Challenge { scheme, parameters })
    }

    proptest! {
        #[test]
        fn challenges_are_read_as_they_were_written(challenges in prop::collection::vec(any_challenge(), 0..5)) {
            let lines: Vec<_> = challenges.iter().map(written).collect();
            prop_assert_eq!(parse([&lines.join(", ")]), challenges);
        }

        #[test]
        fn no_header_makes_reading_fail(lines in prop::collection::vec("[^\\x00-\\x1f\\x7f]{0,60}", 0..4)) {
            let values = lines.iter().filter_map(|line| HeaderValue::from_bytes(line.as_bytes()).ok());
            let challenges = Challenge::in_headers(&values.map(|value| (WWW_AUTHENTICATE, value)).collect());
            prop_assert!(challenges.iter().all(|challenge| !challenge.scheme.is_empty()));
        }
    }
}
