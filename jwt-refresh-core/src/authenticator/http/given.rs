//! The values that a program gives a description: secrets, and the fields of the login. They are
//! all in which the accounts of one server differ.

use std::collections::BTreeMap;
use std::fmt;

use super::mistake::in_file;
use super::secret_source::SecretSource;
use super::values::Values;
use crate::error::Error;

/// The name of the value of a field in a step of the login, or `None` if the field has a name that
/// no placeholder can have.
pub(super) fn field_value_name(step: usize, field: &str) -> Option<String> {
    let is_possible = !field.contains(['{', '}']) && field.trim() == field;
    is_possible.then(|| format!("{FIELD}{step}.{field}"))
}

const FIELD: &str = "login.";

/// Returns the field that a value is for, if it is for one.
fn field_of(value: &str) -> Option<&str> {
    let (step, field) = value.strip_prefix(FIELD)?.split_once('.')?;
    step.parse::<usize>().ok().map(|_| field)
}

/// The names of the values, sorted.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct GivenNames(Box<[Box<str>]>);

/// The values, in the order of their names.
#[derive(Clone)]
pub(super) struct GivenValues(Box<[SecretSource]>);

/// Splits values by name, sorted, into names and values.
pub(super) fn split(values: impl IntoIterator<Item = (String, SecretSource)>) -> (GivenNames, GivenValues) {
    let (names, values): (Vec<_>, Vec<_>) = values.into_iter().map(|(name, value)| (name.into(), value)).unzip();
    (GivenNames(names.into()), GivenValues(values.into()))
}

impl GivenNames {
    /// Reads the values with a name that `is_sent`.
    ///
    /// # Errors
    ///
    /// That of the first one that cannot be read, with the file that the description was read from.
    pub(super) async fn read(
        &self,
        values: &GivenValues,
        is_sent: impl Fn(&str) -> bool,
        file: Option<&str>,
    ) -> Result<Values, Error> {
        let mut read = Values::default();
        for (name, source) in self.0.iter().zip(&values.0).filter(|(name, _)| is_sent(name)) {
            let value = source.read(name).await.map_err(|error| in_file(error, file))?;
            read.set_text(name, value);
        }
        Ok(read)
    }

    /// Returns `values` with another value for the secret of this name, or for the field of the
    /// login if there is no such secret. `None` if there is neither.
    pub(super) fn replaced(&self, values: &GivenValues, name: &str, value: &SecretSource) -> Option<GivenValues> {
        let mut values = values.clone();
        let is_secret = self.0.iter().any(|own| **own == *name);
        let is_meant = |own: &str| if is_secret { own == name } else { field_of(own) == Some(name) };
        let mut found = false;
        for (_, place) in self.0.iter().zip(&mut values.0).filter(|(own, _)| is_meant(own)) {
            place.clone_from(value);
            found = true;
        }
        found.then_some(values)
    }

    /// Returns the names by which values can be replaced.
    pub(super) fn replaceable(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| field_of(name).unwrap_or(name))
    }

    /// Shows where each value comes from, and nothing of it.
    pub(super) fn shown<'a>(&'a self, values: &'a GivenValues) -> impl fmt::Debug {
        self.0.iter().zip(&values.0).collect::<BTreeMap<_, _>>()
    }
}
