//! The description of a server: plain data, and its check.

use std::collections::{BTreeMap, BTreeSet};

use super::carried::{ACCESS_TOKEN, Carried, REFRESH_TOKEN};
use super::client_auth::{CLIENT_ID, CLIENT_SECRET, ClientAuth};
use super::endpoint::Endpoint;
use super::given::{self, GivenNames, GivenValues, field_value_name};
use super::mistake::{in_file, mistake};
use super::prepared::{PreparedRequest, Surroundings};
use super::request::HttpRequest;
use super::secret_source::SecretSource;
use super::template::literal;
use crate::authenticator::http_client::LocalEndpoints;
use crate::error::Error;
use crate::plaintext::Plaintext;
use crate::token::TokenFields;

/// How to log in to a server, to refresh and to revoke, as it was described.
#[derive(Clone, Debug, Default)]
pub(super) struct Description {
    pub(super) login: Vec<HttpRequest>,
    pub(super) refresh: Option<HttpRequest>,
    pub(super) revocation: Option<HttpRequest>,
    pub(super) answer: TokenFields,
    pub(super) refresh_answer: Option<TokenFields>,
    pub(super) secrets: BTreeMap<String, SecretSource>,
    pub(super) client_auth: Option<ClientAuth>,
    /// A field of a login that there is not.
    pub(super) stray_field: Option<String>,
    /// The file that the description was read from.
    pub(super) file: Option<String>,
}

/// A description in which no mistake was found.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PreparedDescription {
    pub(super) login: Vec<PreparedRequest>,
    pub(super) refresh: Option<PreparedRequest>,
    pub(super) revocation: Option<PreparedRequest>,
    pub(super) answer: TokenFields,
    pub(super) refresh_answer: TokenFields,
    pub(super) given: GivenNames,
    pub(super) carried: Carried,
    pub(super) plaintext: Plaintext,
    pub(super) file: Option<String>,
}

impl Description {
    /// Gives a field in the last step of the login a value, which other accounts may have another
    /// one of.
    pub(super) fn give_login_field(&mut self, name: &str, value: &str) {
        match field_value_name(self.login.len(), name) {
            Some(given) => {
                self.set_login_field(name, &format!("{{{given}}}"));
                self.secrets.insert(given, value.into());
            }
            None => self.set_login_field(name, &literal(value)),
        }
    }

    /// Sets a field in the last step of the login. `value` is a template.
    pub(super) fn set_login_field(&mut self, name: &str, value: &str) {
        let Some(step) = self.login.last_mut() else {
            self.stray_field = Some(name.to_owned());
            return;
        };
        let set = step.body.set_field(name, value);
        step.note(|| name.to_owned(), set);
    }

    /// Checks the description.
    ///
    /// # Errors
    ///
    /// The first mistake in it, with its place and how to write it.
    pub(super) fn prepare(mut self, plaintext: Plaintext) -> Result<(PreparedDescription, GivenValues), Error> {
        let file = self.file.take();
        match self.check(plaintext) {
            Ok((prepared, values)) => Ok((PreparedDescription { file, ..prepared }, values)),
            Err(error) => Err(in_file(error, file.as_deref())),
        }
    }

    fn check(self, plaintext: Plaintext) -> Result<(PreparedDescription, GivenValues), Error> {
        if let Some(name) = &self.stray_field {
            return Err(mistake(
                &format!("login.{name}"),
                "no login was described before this field; describe it first",
            ));
        }
        let mut secrets = self.secrets;
        if let Some(client_auth) = &self.client_auth {
            secrets.insert(CLIENT_ID.to_owned(), client_auth.id().into());
            secrets.extend(client_auth.secret().map(|secret| (CLIENT_SECRET.to_owned(), secret.clone())));
        }
        let surroundings = Surroundings { client_auth: self.client_auth.as_ref(), plaintext };
        let mut known: BTreeSet<String> = secrets.keys().cloned().collect();
        if let Some(name) = known.iter().find(|name| is_reserved(name)) {
            return Err(mistake(&format!("secret.{name}"), "this name stands for the token; choose another one"));
        }
        let (mut login, steps) = (Vec::new(), self.login.len());
        for (number, step) in self.login.into_iter().enumerate() {
            let key = if steps == 1 { "login".to_owned() } else { format!("login.{}", number + 1) };
            let step = PreparedRequest::new(&key, step, &known, &surroundings)?;
            add_captures(&key, &step, &mut known, &secrets)?;
            login.push(step);
        }
        known.extend([REFRESH_TOKEN, ACCESS_TOKEN].map(str::to_owned));
        let mut later = |key: &str, request: Option<HttpRequest>| {
            let Some(request) = request else { return Ok(None) };
            // A refresh can send what the last refresh brought.
            known.extend(request.captures.iter().map(|(name, _)| name.clone()));
            let request = PreparedRequest::new(key, request, &known, &surroundings)?;
            add_captures(key, &request, &mut BTreeSet::new(), &secrets)?;
            Ok::<_, Error>(Some(request))
        };
        let (refresh, revocation) = (later("refresh", self.refresh)?, later("revoke", self.revocation)?);
        check_answers(&self.answer, self.refresh_answer.as_ref())?;
        let carried = carried(&secrets, refresh.as_ref(), revocation.as_ref())?;
        if login.is_empty() && refresh.is_none() {
            return Err(mistake("login", "there is neither a login nor a refresh; describe one of them"));
        }
        let refresh_answer = self.refresh_answer.unwrap_or_else(|| self.answer.clone());
        let (given, values) = given::split(secrets);
        let (answer, file) = (self.answer, None);
        let prepared =
            PreparedDescription { login, refresh, revocation, answer, refresh_answer, given, carried, plaintext, file };
        Ok((prepared, values))
    }
}

/// Returns what the refresh token takes along.
fn carried(
    secrets: &BTreeMap<String, SecretSource>,
    refresh: Option<&PreparedRequest>,
    revocation: Option<&PreparedRequest>,
) -> Result<Carried, Error> {
    let sent = |request: Option<&PreparedRequest>| -> BTreeSet<String> {
        let names = request.into_iter().flat_map(PreparedRequest::names);
        names.filter(|name| !secrets.contains_key(*name)).cloned().collect()
    };
    let (by_refresh, by_revocation) = (sent(refresh), sent(revocation));
    if refresh.is_some() && by_refresh.is_empty() {
        let what = "nothing in it says whose token to refresh: send `{refresh_token}`, or `{access_token}` where the \
                    server renews by that; without a refresh, the session logs in again";
        return Err(mistake("refresh", what));
    }
    Ok(Carried::new(by_refresh, &by_revocation))
}

fn check_answers(answer: &TokenFields, refresh_answer: Option<&TokenFields>) -> Result<(), Error> {
    for (key, fields) in [("answer", Some(answer)), ("refresh_answer", refresh_answer)] {
        if let Some((field, what)) = fields.and_then(TokenFields::mistake) {
            return Err(mistake(&format!("{key}.{field}"), what));
        }
    }
    Ok(())
}

/// Adds the names that a request captures to those that later ones may send.
fn add_captures(
    key: &str,
    request: &PreparedRequest,
    known: &mut BTreeSet<String>,
    secrets: &BTreeMap<String, SecretSource>,
) -> Result<(), Error> {
    for (name, _) in request.captures() {
        let what = if is_reserved(name) {
            "this name stands for the token; say in `answer` where the token is"
        } else if secrets.contains_key(name) {
            "this is the name of a secret; choose another one"
        } else {
            known.insert(name.clone());
            continue;
        };
        return Err(mistake(&format!("{key}.capture.{name}"), what));
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    matches!(name, REFRESH_TOKEN | ACCESS_TOKEN)
}

impl PreparedDescription {
    pub(super) fn requests(&self) -> impl Iterator<Item = &PreparedRequest> {
        self.login.iter().chain(&self.refresh).chain(&self.revocation)
    }

    /// Returns what an HTTP client has to know of the endpoints on this machine.
    pub(super) fn local_endpoints(&self) -> LocalEndpoints {
        let endpoints = || self.requests().map(|request| &request.endpoint);
        LocalEndpoints {
            names: endpoints().filter_map(Endpoint::local_name).map(str::to_owned).collect(),
            plaintext: self.plaintext == Plaintext::LoopbackOnly && endpoints().any(Endpoint::is_plaintext),
        }
    }
}
