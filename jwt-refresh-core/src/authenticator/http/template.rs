//! Text with placeholders: `Bearer {refresh_token}`.

use zeroize::Zeroizing;

use super::values::Values;

/// A text in which `{name}` stands for a value, and `{{` for a brace.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(Zeroizing<String>),
    Placeholder(String),
}

/// A text whose braces are not closed.
pub(super) struct Unclosed;

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, Unclosed> {
        let (mut parts, mut rest, mut literal) = (Vec::new(), text, Zeroizing::new(String::new()));
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let from_brace = &rest[at..];
            rest = &from_brace[1..];
            if from_brace.starts_with("{{") || from_brace.starts_with("}}") {
                literal.push_str(&from_brace[..1]);
                rest = &from_brace[2..];
            } else if from_brace.starts_with('}') {
                literal.push('}');
            } else {
                let (name, after) = rest.split_once('}').ok_or(Unclosed)?;
                parts.extend([Part::Text(std::mem::take(&mut literal)), Part::Placeholder(name.trim().to_owned())]);
                rest = after;
            }
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Ok(Self(parts))
    }

    /// Returns a text in which braces mean nothing.
    #[cfg(any(test, feature = "oauth"))]
    pub(super) fn literal(text: &str) -> Self {
        Self(vec![Part::Text(Zeroizing::new(text.to_owned()))])
    }

    /// Returns the names of the values that the text stands for.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Placeholder(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Returns the name of the value that is the whole text.
    pub(super) fn sole_placeholder(&self) -> Option<&str> {
        match &self.0[..] {
            [Part::Placeholder(name)] => Some(name),
            _ => None,
        }
    }

    /// Returns the text with all values in it, each encoded by `encode`. A value that is missing is
    /// empty: which ones there are was checked before.
    pub(super) fn render(&self, values: &Values, encode: impl Fn(&str) -> String) -> Zeroizing<String> {
        self.fill(|name| Zeroizing::new(encode(&values.text(name).unwrap_or_default())))
    }

    /// Returns the text with all values in it as they are.
    pub(super) fn render_plain(&self, values: &Values) -> Zeroizing<String> {
        self.render(values, str::to_owned)
    }

    /// Returns the text with `filler` in the place of each value.
    pub(super) fn filled_with(&self, filler: &str) -> String {
        self.fill(|_| Zeroizing::new(filler.to_owned())).to_string()
    }

    fn fill(&self, value: impl Fn(&str) -> Zeroizing<String>) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Placeholder(name) => text.push_str(&value(name)),
            }
        }
        text
    }
}

/// Returns `text` as a template that stands for nothing but itself.
pub(super) fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// Returns `text` as it may stand in the path and the query of a URL (RFC 3986 §2.1).
pub(in crate::authenticator) fn percent_encoded(text: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Option<String> {
        let values = Values::default().with_text("name", "a b").with_text("x.y", "z");
        Some(Template::parse(text).ok()?.render_plain(&values).to_string())
    }

    #[test]
    fn placeholders_are_filled_and_doubled_braces_are_braces() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{name}", "a b"),
            ("<{ name }|{x.y}>", "<a b|z>"),
            ("{{name}}", "{name}"),
            ("{{{name}}}", "{a b}"),
            ("a}b", "a}b"),
            ("{{", "{"),
        ] {
            assert_eq!(rendered(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(rendered("{name"), None);
    }

    #[test]
    fn a_literal_stands_for_itself() {
        for text in ["{name}", "{{x", "}{", "p{a}}ss"] {
            assert_eq!(rendered(&literal(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_value_cannot_end_the_part_of_a_url_that_it_stands_in() {
        assert_eq!(percent_encoded("a/b?c&d=ü %"), "a%2Fb%3Fc%26d%3D%C3%BC%20%25");
    }
}
