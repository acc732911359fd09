//! For what an access token is asked for beyond that of the login.

use std::collections::BTreeMap;

/// What an access token is for, if a login has several of them: an audience, resources, scopes, or
/// all of these. Parameters that differ in anything have a token each; the order of resources and
/// scopes does not count.
///
/// ```
/// use jwt_refresh::AccessParameters;
///
/// let files = AccessParameters::for_resource("https://files.example/").and_scope("read");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccessParameters(BTreeMap<String, String>);

impl AccessParameters {
    /// A token for this API, at servers with a parameter `audience`.
    pub fn for_audience(audience: impl Into<String>) -> Self {
        Self(BTreeMap::from([("audience".to_owned(), audience.into())]))
    }

    /// A token for this API by its URI (`resource`, RFC 8707 §2.2).
    pub fn for_resource(resource: impl AsRef<str>) -> Self {
        Self(BTreeMap::new()).and_resource(resource)
    }

    /// Adds a resource.
    pub fn and_resource(self, resource: impl AsRef<str>) -> Self {
        self.with("resource", resource.as_ref())
    }

    /// Asks for these scopes, which are separated by spaces, among those of the login (RFC 6749
    /// §6).
    pub fn and_scope(self, scope: impl AsRef<str>) -> Self {
        self.with("scope", scope.as_ref())
    }

    /// Adds words to a parameter. They are kept in order, each once.
    fn with(mut self, name: &str, words: &str) -> Self {
        let before = self.0.remove(name).unwrap_or_default();
        let mut all: Vec<&str> = before.split_ascii_whitespace().chain(words.split_ascii_whitespace()).collect();
        all.sort_unstable();
        all.dedup();
        if !all.is_empty() {
            self.0.insert(name.to_owned(), all.join(" "));
        }
        self
    }

    /// Returns the parameters as an entry has them.
    pub(crate) fn from_entry(parameters: BTreeMap<String, String>) -> Self {
        Self(parameters)
    }

    pub(crate) fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Returns the audience, if one is asked for.
    pub fn audience(&self) -> Option<&str> {
        self.0.get("audience").map(String::as_str)
    }

    /// Returns the resources that are asked for.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        self.0.get("resource").into_iter().flat_map(|all| all.split(' '))
    }

    /// Returns the scopes that are asked for. Without one, the server chooses.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.get("scope").into_iter().flat_map(|all| all.split(' '))
    }
}
