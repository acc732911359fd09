//! Descriptions of servers in files: TOML or JSON, with single values from the environment. The
//! keys are those that errors of the builder name, too.

mod fields;
mod overrides;
mod section;
mod source;

use std::path::Path;

use serde_json::Value;

use self::fields::Reader;
use self::section::Section;
use self::source::Format;
use super::HttpAuthenticator;
use super::builder::HttpAuthenticatorBuilder;
use super::mistake::named;
use crate::error::Error;

/// Descriptions in files, with the feature `config`.
impl HttpAuthenticator {
    /// Reads the description of a server from a file that ends in `.toml` or `.json`.
    ///
    /// ```toml
    /// base_url = "https://api.example"        # before URLs that begin with no scheme
    ///
    /// [login]                                 # `[[login]]` for each of several steps
    /// url = "/sessions"
    /// json = { user = { name = "ada", password = "{password}" }, remember = true }
    /// capture = { csrf = "cookie:csrf" }
    ///
    /// [refresh]
    /// url = "/sessions/renew"
    /// form = { grant_type = "refresh_token", refresh_token = "{refresh_token}" }
    /// headers = { x-csrf-token = "{csrf}" }
    ///
    /// [answer]
    /// access_token = "data.jwt"
    /// expires_in = { place = "data.ttl", unit = "ms" }
    ///
    /// [secret]
    /// password = { env = "API_PASSWORD" }
    ///
    /// [env]                                   # a variable that is set replaces the value of a key
    /// base_url = "API_URL"
    /// ```
    ///
    /// The keys are those of [`HttpRequest`](crate::HttpRequest) and
    /// [`TokenFields`](crate::TokenFields), and mean the same:
    ///
    /// - at the top: `base_url`, `allow_plain_http`;
    /// - `login`, `refresh`, `revoke`: `url`, `method` (`POST`), `json` or `form`, `headers`,
    ///   `cookies`, `basic_auth` (`user`, `password`), `capture`, `rules`;
    /// - `rules`, a list: `means` (`success`, `dead`, `later` or `in_doubt`), and `status` (200, or
    ///   `[400, 499]`), `values` (values by place), or both;
    /// - `answer`, `refresh_answer`: `access_token`, `refresh_token`, `expires_in`, `expires_at`,
    ///   `refresh_expires_in`, `lives_for` (in seconds). A place of a lifetime is text,
    ///   `{ place, unit = "s" }` (or `"ms"`), or `expires_in = false` for none. What
    ///   `refresh_answer` leaves out is as in `answer`;
    /// - `client_auth`: `method` (`basic`, `in_body` or `public`), `id`, `secret`;
    /// - `secret`, by name: the secret itself, `{ env = "NAME" }`, `{ file = "PATH" }`, or with the
    ///   feature `keyring` `{ keyring = { service = "NAME", user = "NAME" } }`;
    /// - `env`, by key (`login.url`, `login.1.url`): the environment variable that replaces the
    ///   value of that key, if it is set.
    ///
    /// A relative path begins at the folder of the description. The description is read once.
    /// Secrets are read for each exchange, as by [`SecretSource`](crate::SecretSource).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the file cannot be read or
    /// there is a mistake in it. The error names the file and the key, says how to write it, and
    /// repeats no value. So do the errors of `build`, and of secrets that cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<HttpAuthenticatorBuilder, Error> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let read = || {
            let format = Format::of_file(path)?;
            from_value(format.parse(&source::read_file(path)?)?, path.parent())
        };
        match read() {
            Ok(builder) => Ok(builder.described_in(name)),
            Err(error) => Err(named(error, &name)),
        }
    }

    /// Reads a description from TOML, as [`from_file`](Self::from_file) does from a file.
    ///
    /// # Errors
    ///
    /// As there, without the name of a file.
    pub fn from_toml(text: &str) -> Result<HttpAuthenticatorBuilder, Error> {
        from_value(Format::Toml.parse(text)?, None)
    }

    /// Reads a description from JSON, as [`from_file`](Self::from_file) does from a file.
    ///
    /// # Errors
    ///
    /// As there, without the name of a file.
    pub fn from_json(text: &str) -> Result<HttpAuthenticatorBuilder, Error> {
        from_value(Format::Json.parse(text)?, None)
    }
}

fn from_value(mut value: Value, folder: Option<&Path>) -> Result<HttpAuthenticatorBuilder, Error> {
    overrides::apply(&mut value)?;
    Reader::new(&Section::root(&value)?, folder)?.builder()
}
