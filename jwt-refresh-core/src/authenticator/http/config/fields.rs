//! What the keys of a description mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::section::{Section, type_of, unlike};
use crate::authenticator::http::HttpAuthenticator;
use crate::authenticator::http::answer_match::AnswerMatch;
use crate::authenticator::http::builder::HttpAuthenticatorBuilder;
use crate::authenticator::http::client_auth::ClientAuth;
use crate::authenticator::http::mistake::mistake;
use crate::authenticator::http::request::HttpRequest;
use crate::authenticator::http::secret_source::SecretSource;
use crate::error::Error;
use crate::token::{LifetimeUnit, TokenFields};

/// How to write where a secret comes from.
const SOURCES: &str =
    "`{ env = \"NAME\" }`, `{ file = \"PATH\" }` or `{ keyring = { service = \"NAME\", user = \"NAME\" } }`";

/// Reads a description.
pub(super) struct Reader<'a> {
    root: &'a Section<'a>,
    base_url: Option<&'a str>,
    /// Where relative paths begin.
    folder: Option<&'a Path>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Section<'a>, folder: Option<&'a Path>) -> Result<Self, Error> {
        root.expect_keys(&[
            "base_url",
            "allow_plain_http",
            "login",
            "refresh",
            "revoke",
            "answer",
            "refresh_answer",
            "client_auth",
            "secret",
            "env",
        ])?;
        Ok(Self { root, base_url: root.text("base_url")?, folder })
    }

    pub(super) fn builder(&self) -> Result<HttpAuthenticatorBuilder, Error> {
        let mut builder =
            self.login()?.into_iter().fold(HttpAuthenticator::without_login(), HttpAuthenticatorBuilder::then);
        if let Some(refresh) = self.root.table("refresh")? {
            builder = builder.refresh(self.request(&refresh)?);
        }
        if let Some(revocation) = self.root.table("revoke")? {
            builder = builder.revoke(self.request(&revocation)?);
        }
        let fields = match self.root.table("answer")? {
            Some(answer) => token_fields(&answer, TokenFields::default())?,
            None => TokenFields::default(),
        };
        builder = builder.answer(fields.clone());
        if let Some(answer) = self.root.table("refresh_answer")? {
            builder = builder.refresh_answer(token_fields(&answer, fields)?);
        }
        if let Some(client) = self.root.table("client_auth")? {
            builder = builder.client_auth(self.client_auth(&client)?);
        }
        if let Some(secrets) = self.root.table("secret")? {
            for (name, source) in secrets.entries() {
                builder = builder.secret(name, self.secret(&secrets.key(name), source)?);
            }
        }
        let allow_plain_http = self.root.flag("allow_plain_http")?.unwrap_or(false);
        Ok(if allow_plain_http { builder.allow_plain_http() } else { builder })
    }

    /// Returns the steps of the login: one table, or a list of them.
    fn login(&self) -> Result<Vec<HttpRequest>, Error> {
        match self.root.get("login") {
            None => Ok(Vec::new()),
            Some(Value::Array(steps)) => {
                let step = |(number, step)| self.request(&Section::of(format!("login.{}", number + 1), step)?);
                steps.iter().enumerate().map(step).collect()
            }
            Some(step) => Ok(vec![self.request(&Section::of("login".to_owned(), step)?)?]),
        }
    }

    fn request(&self, section: &Section<'_>) -> Result<HttpRequest, Error> {
        section.expect_keys(&[
            "url",
            "method",
            "json",
            "form",
            "headers",
            "cookies",
            "basic_auth",
            "capture",
            "rules",
        ])?;
        let url =
            section.required_text("url", "write where the request goes, `url = \"https://api.example/login\"`")?;
        let method = section.text("method")?.unwrap_or("POST");
        let mut request = body(HttpRequest::new(method, self.url(url)), section)?;
        for (name, value) in section.texts("headers")? {
            request = request.header(name, value);
        }
        for (name, value) in section.texts("cookies")? {
            request = request.cookie(name, value);
        }
        for (name, place) in section.texts("capture")? {
            request = request.capture(name, place);
        }
        if let Some(basic) = section.table("basic_auth")? {
            basic.expect_keys(&["user", "password"])?;
            let part =
                |name| basic.required_text(name, "write `basic_auth = { user = \"{key}\", password = \"{secret}\" }`");
            request = request.basic_auth(part("user")?, part("password")?);
        }
        let rules = section.read("rules", "a list of rules", Value::as_array)?;
        for (number, value) in rules.into_iter().flatten().enumerate() {
            request = rule(request, &Section::of(section.key(&format!("rules.{}", number + 1)), value)?)?;
        }
        Ok(request)
    }

    fn url(&self, url: &str) -> String {
        let before_path = url.split(['/', '?', '#']).next().unwrap_or_default();
        let is_absolute = before_path.ends_with(':') && url[before_path.len()..].starts_with("//");
        match self.base_url {
            Some(base) if !url.trim().is_empty() && !is_absolute => {
                format!("{}/{}", base.trim_end_matches('/'), url.trim_start_matches('/'))
            }
            _ => url.to_owned(),
        }
    }

    fn client_auth(&self, section: &Section<'_>) -> Result<ClientAuth, Error> {
        section.expect_keys(&["method", "id", "secret"])?;
        let methods = "write `basic`, `in_body` or `public`";
        let method = section.required_text("method", methods)?;
        let id = section.required_text("id", "write the id of the client")?;
        let key = section.key("secret");
        match (method, section.get("secret")) {
            ("public", None) => Ok(ClientAuth::public(id)),
            ("public", Some(_)) => {
                Err(mistake(&key, "a public client has no secret; write `method = \"basic\"`, or leave the secret out"))
            }
            ("basic", Some(secret)) => Ok(ClientAuth::basic(id, self.secret(&key, secret)?)),
            ("in_body", Some(secret)) => Ok(ClientAuth::in_body(id, self.secret(&key, secret)?)),
            ("basic" | "in_body", None) => {
                Err(mistake(&key, "this is missing; write `secret = { env = \"CLIENT_SECRET\" }`"))
            }
            _ => Err(mistake(&section.key("method"), format!("this method is unknown; {methods}"))),
        }
    }

    fn secret(&self, key: &str, source: &Value) -> Result<SecretSource, Error> {
        if let Value::String(secret) = source {
            return Ok(secret.as_str().into());
        }
        let section = Section::of(key.to_owned(), source)
            .map_err(|_| mistake(key, format!("this is {}; write a string, {SOURCES}", type_of(source))))?;
        section.expect_keys(&["env", "file", "keyring"])?;
        match (section.text("env")?, section.text("file")?, section.table("keyring")?) {
            (Some(name), None, None) => Ok(SecretSource::env(name)),
            (None, Some(path), None) => Ok(SecretSource::file(self.path(path))),
            (None, None, Some(keyring)) => keyring_secret(&keyring),
            _ => Err(mistake(key, format!("a secret comes from one place; write {SOURCES}"))),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.map_or_else(|| path.into(), |folder| folder.join(path))
    }
}

fn keyring_secret(section: &Section<'_>) -> Result<SecretSource, Error> {
    section.expect_keys(&["service", "user"])?;
    let name = |name| section.required_text(name, "write `keyring = { service = \"NAME\", user = \"NAME\" }`");
    let (service, user) = (name("service")?, name("user")?);
    #[cfg(feature = "keyring")]
    return Ok(SecretSource::keyring(service, user));
    #[cfg(not(feature = "keyring"))]
    {
        let _ = (service, user);
        Err(mistake(&section.key("service"), "the program was built without the keyring; enable the feature `keyring`"))
    }
}

fn body(mut request: HttpRequest, section: &Section<'_>) -> Result<HttpRequest, Error> {
    if let Some(json) = section.get("json") {
        // A string is most likely JSON in quotes, or a form.
        if json.is_string() {
            return Err(mistake(
                &section.key("json"),
                "this is a string; write `json = { name = \"value\" }`, or `form` for a form",
            ));
        }
        request = request.json(json.clone());
    }
    if section.get("form").is_none() {
        return Ok(request);
    }
    let form = section.table("form")?;
    for (name, value) in form.iter().flat_map(Section::entries) {
        if value.is_object() || value.is_array() {
            let what = format!(
                "this is {}, and a form has only text in it; write `json` where the server takes JSON",
                type_of(value)
            );
            return Err(mistake(&section.key(&format!("form.{name}")), what));
        }
    }
    for (name, value) in section.texts("form")? {
        request = request.form_field(name, value);
    }
    Ok(request)
}

fn rule(request: HttpRequest, section: &Section<'_>) -> Result<HttpRequest, Error> {
    section.expect_keys(&["means", "status", "values"])?;
    let meanings = "write `success`, `dead`, `later` or `in_doubt`";
    let status = |value: &Value| value.as_u64().and_then(|status| u16::try_from(status).ok());
    let statuses = section.read("status", "a status such as 200, or two such as [400, 499]", |value| match value {
        Value::Array(range) => match &range[..] {
            [first, last] => Some(status(first)?..=status(last)?),
            _ => None,
        },
        one => status(one).map(|status| status..=status),
    })?;
    let mut values = section.table("values")?.into_iter().flat_map(|values| values.entries().collect::<Vec<_>>());
    let answers = match statuses {
        Some(statuses) => AnswerMatch::statuses(statuses),
        None => match values.next() {
            Some((place, value)) => AnswerMatch::value(place, value.clone()),
            None => {
                return Err(mistake(
                    &section.key("status"),
                    "this is missing; write which answers the rule is about, `status = 200`",
                ));
            }
        },
    };
    let answers = values.fold(answers, |answers, (place, value)| answers.with(place, value.clone()));
    match section.required_text("means", meanings)? {
        "success" => Ok(request.success_if(answers)),
        "dead" => Ok(request.dead_if(answers)),
        "later" => Ok(request.later_if(answers)),
        "in_doubt" => Ok(request.in_doubt_if(answers)),
        _ => Err(mistake(&section.key("means"), format!("this meaning is unknown; {meanings}"))),
    }
}

fn token_fields(section: &Section<'_>, mut fields: TokenFields) -> Result<TokenFields, Error> {
    section.expect_keys(&[
        "access_token",
        "refresh_token",
        "expires_in",
        "expires_at",
        "refresh_expires_in",
        "lives_for",
    ])?;
    if let Some(place) = section.text("access_token")? {
        fields = fields.access_token(place);
    }
    if let Some(place) = section.text("refresh_token")? {
        fields = fields.refresh_token(place);
    }
    fields = match section.get("expires_in") {
        Some(Value::Bool(false)) => fields.without_expires_in(),
        Some(value) => {
            lifetime(&section.key("expires_in"), value).map(|(place, unit)| fields.expires_in(place, unit))?
        }
        None => fields,
    };
    if let Some(place) = section.text("expires_at")? {
        fields = fields.expires_at(place);
    }
    if let Some(value) = section.get("refresh_expires_in") {
        let (place, unit) = lifetime(&section.key("refresh_expires_in"), value)?;
        fields = fields.refresh_expires_in(place, unit);
    }
    let seconds = |value: &Value| Duration::try_from_secs_f64(value.as_f64()?).ok();
    if let Some(lifetime) = section.read("lives_for", "a number of seconds", seconds)? {
        fields = fields.lives_for(lifetime);
    }
    Ok(fields)
}

/// Returns the place and the unit of a lifetime.
fn lifetime<'a>(key: &str, value: &'a Value) -> Result<(&'a str, LifetimeUnit), Error> {
    if let Value::String(place) = value {
        return Ok((place, LifetimeUnit::Seconds));
    }
    let section =
        Section::of(key.to_owned(), value).map_err(|_| unlike(key, "a string or `{ place, unit }`", value))?;
    section.expect_keys(&["place", "unit"])?;
    let place = section.required_text("place", "write where the lifetime is, `place = \"data.ttl\"`")?;
    match section.text("unit")? {
        None | Some("s") => Ok((place, LifetimeUnit::Seconds)),
        Some("ms") => Ok((place, LifetimeUnit::Milliseconds)),
        Some(_) => Err(mistake(&section.key("unit"), "this unit is unknown; write `s` or `ms`")),
    }
}
