//! The text of a description, in TOML or JSON. Errors name lines and repeat nothing of them,
//! because a secret may stand there.

use std::path::Path;

use serde_json::{Map, Number, Value};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

#[derive(Clone, Copy)]
pub(super) enum Format {
    Toml,
    Json,
}

impl Format {
    /// Returns the format of a file by its name.
    pub(super) fn of_file(path: &Path) -> Result<Self, Error> {
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("toml") => Ok(Self::Toml),
            Some("json") => Ok(Self::Json),
            _ => Err(mistake("the name of a description ends in `.toml` or `.json`; rename the file")),
        }
    }

    pub(super) fn parse(self, text: &str) -> Result<Value, Error> {
        match self {
            Self::Toml => toml(text),
            Self::Json => serde_json::from_str(text).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                mistake(&format!("this is not JSON in line {line}, column {column}; correct it there"))
            }),
        }
    }
}

fn toml(text: &str) -> Result<Value, Error> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        // What the parser says of it may quote the text.
        mistake(&format!(
            "this is not TOML in line {line}; correct it there (strings have quotes, and no key comes twice)"
        ))
    })?;
    Ok(json(toml::Value::Table(table)))
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, json(value))).collect::<Map<_, _>>())
        }
    }
}

pub(super) fn read_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| mistake("the file cannot be read").caused_by(error))?;
    Ok(Zeroizing::new(text))
}

fn mistake(what: &str) -> Error {
    Error::new(ErrorKind::Configuration, what)
}
