//! Lists and dictionaries of structured fields (RFC 9651), read leniently: what is not understood
//! is left out.

/// The most members of a list that are read.
const MOST_MEMBERS: usize = 32;

/// A member of a list or a dictionary, with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListMember<'a> {
    /// The item, without quotes, or the key of a dictionary's member.
    pub(super) item: &'a str,
    /// The value of a dictionary's member.
    pub(super) value: Option<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> ListMember<'a> {
    /// Returns a parameter, without quotes.
    pub(super) fn parameter(&self, key: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|&(_, value)| value)
    }
}

/// Returns the members of a list or a dictionary.
pub(super) fn members(text: &str) -> impl Iterator<Item = ListMember<'_>> {
    split(text, ',').take(MOST_MEMBERS).filter_map(|member| {
        let mut parts = split(member, ';');
        let (item, value) = pair(parts.next()?);
        let parameters = parts.take(MOST_MEMBERS).map(pair).map(|(key, value)| (key, value.unwrap_or("?1"))).collect();
        Some(ListMember { item, value, parameters }).filter(|member| !member.item.is_empty())
    })
}

/// Splits `key=value`, and removes the quotes.
fn pair(text: &str) -> (&str, Option<&str>) {
    match split(text, '=').next() {
        Some(key) if key.len() < text.len() => (unquoted(key), text.get(key.len() + 1..).map(unquoted)),
        _ => (unquoted(text), None),
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').map_or(text, |text| text.strip_suffix('"').unwrap_or(text))
}

/// Splits a text at a separator that is not in quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut in_quotes, mut escaped) = (false, false);
    text.split(move |char| {
        match char {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            _ => return !in_quotes && char == separator,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_dictionaries_are_read_with_their_parameters() {
        let read: Vec<_> = members(r#""a, b;c";q=100 ; w=60;pk=:YQ==:, 7;flag, limit=10,, token"#).collect();
        let [first, second, third, fourth] = &read[..] else { panic!("{read:?}") };
        assert_eq!((first.item, first.parameter("q"), first.parameter("W")), ("a, b;c", Some("100"), Some("60")));
        assert_eq!((second.item, second.parameter("flag"), second.parameter("w")), ("7", Some("?1"), None));
        assert_eq!((third.item, third.value, fourth.item), ("limit", Some("10"), "token"));
    }

    #[test]
    fn what_is_no_list_is_read_as_far_as_it_is_one() {
        assert_eq!(members("").count() + members(" , ;a=1,").count(), 0);
        assert_eq!(members(r#""never ends;w=1, 7"#).count(), 1);
        assert_eq!(members(&"1,".repeat(10_000)).count(), MOST_MEMBERS);
    }
}
