//! The body of a request: JSON or a form, with placeholders.

use http::HeaderValue;
use serde_json::{Map, Value};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::template::Template;
use super::values::Values;

/// A body as it was described. Strings in it are templates.
#[derive(Clone, Default)]
pub(super) enum Body {
    #[default]
    Empty,
    Json(Value),
    Form(Vec<(String, String)>),
}

/// A format was asked for, and the body has another one already.
#[derive(Clone)]
pub(super) struct OtherFormat {
    pub(super) asked: &'static str,
    pub(super) has: &'static str,
}

impl OtherFormat {
    pub(super) fn form_instead_of_json() -> Self {
        Self { asked: "JSON", has: "a form" }
    }
}

impl Body {
    pub(super) fn format(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Json(_) => "JSON",
            Self::Form(_) => "a form",
        }
    }

    /// Sets the value at a path of names joined by dots. Objects on the way are made.
    pub(super) fn set_json(&mut self, path: &str, value: Value) -> Result<(), OtherFormat> {
        if matches!(self, Self::Empty) {
            *self = Self::Json(Value::Object(Map::new()));
        }
        let Self::Json(place) = self else { return Err(OtherFormat::form_instead_of_json()) };
        let mut place = place;
        for name in path.split('.') {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            place = &mut place[name];
        }
        *place = value;
        Ok(())
    }

    /// Sets a field of a form.
    pub(super) fn set_form(&mut self, name: &str, value: &str) -> Result<(), OtherFormat> {
        let has = self.format();
        if matches!(self, Self::Empty) {
            *self = Self::Form(Vec::new());
        }
        let Self::Form(fields) = self else { return Err(OtherFormat { asked: "a form", has }) };
        match fields.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => value.clone_into(old),
            None => fields.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// Sets a field at the top of a form or of JSON, whichever it is. `value` is a template, and
    /// `name` is not a path.
    pub(super) fn set_field(&mut self, name: &str, value: &str) -> Result<(), OtherFormat> {
        match self {
            Self::Form(_) => self.set_form(name, value),
            Self::Json(Value::Object(fields)) => {
                fields.insert(name.to_owned(), value.into());
                Ok(())
            }
            Self::Empty => {
                *self = Self::Json(Value::Object(Map::from_iter([(name.to_owned(), value.into())])));
                Ok(())
            }
            Self::Json(_) => Err(OtherFormat { asked: "a JSON object", has: "another JSON value" }),
        }
    }

    /// Returns the names in the body, which may be shown; the values may not.
    pub(super) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Json(Value::Object(fields)) => fields.keys().map(String::as_str).collect(),
            Self::Form(fields) => fields.iter().map(|(name, _)| name.as_str()).collect(),
            Self::Empty | Self::Json(_) => Vec::new(),
        }
    }
}

/// A body whose templates were parsed.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum BodyTemplate {
    Empty,
    Json(JsonTemplate),
    Form(Vec<(String, Template)>),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum JsonTemplate {
    Text(Template),
    Array(Vec<JsonTemplate>),
    Object(Vec<(String, JsonTemplate)>),
    /// A number, a bool or `null`.
    Other(Value),
}

/// What is sent.
pub(super) struct RenderedBody {
    pub(super) content_type: HeaderValue,
    pub(super) bytes: Zeroizing<String>,
}

impl BodyTemplate {
    /// Parses all templates in `body`. `parse` is given the key of each.
    pub(super) fn parse<E>(body: &Body, parse: &mut impl FnMut(&str, &str) -> Result<Template, E>) -> Result<Self, E> {
        Ok(match body {
            Body::Empty => Self::Empty,
            Body::Json(value) => Self::Json(JsonTemplate::parse(value, "json", parse)?),
            Body::Form(fields) => {
                let field =
                    |(name, value): &(String, String)| Ok((name.clone(), parse(&format!("form.{name}"), value)?));
                Self::Form(fields.iter().map(field).collect::<Result<_, E>>()?)
            }
        })
    }

    /// Returns the body with all values in it.
    pub(super) fn render(&self, values: &Values) -> Option<RenderedBody> {
        Some(match self {
            Self::Empty => return None,
            Self::Json(json) => RenderedBody {
                content_type: HeaderValue::from_static("application/json"),
                bytes: Zeroizing::new(json.render(values).to_string()),
            },
            Self::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, &value.render_plain(values));
                }
                RenderedBody {
                    content_type: HeaderValue::from_static("application/x-www-form-urlencoded"),
                    bytes: Zeroizing::new(form.finish()),
                }
            }
        })
    }
}

impl JsonTemplate {
    fn parse<E>(
        value: &Value,
        key: &str,
        parse: &mut impl FnMut(&str, &str) -> Result<Template, E>,
    ) -> Result<Self, E> {
        Ok(match value {
            Value::String(text) => Self::Text(parse(key, text)?),
            Value::Array(items) => {
                let item = |(number, item)| Self::parse(item, &format!("{key}.{number}"), parse);
                Self::Array(items.iter().enumerate().map(item).collect::<Result<_, E>>()?)
            }
            Value::Object(fields) => {
                let field = |(name, value): (&String, &Value)| {
                    Ok((name.clone(), Self::parse(value, &format!("{key}.{name}"), parse)?))
                };
                Self::Object(fields.iter().map(field).collect::<Result<_, E>>()?)
            }
            other => Self::Other(other.clone()),
        })
    }

    /// Returns the JSON with all values in it. A string that is nothing but a placeholder becomes
    /// what the value is: a number stays a number.
    fn render(&self, values: &Values) -> Value {
        match self {
            Self::Text(template) => {
                let sole = template.sole_placeholder().and_then(|name| values.json(name));
                sole.unwrap_or_else(|| template.render_plain(values).as_str().into())
            }
            Self::Array(items) => items.iter().map(|item| item.render(values)).collect(),
            Self::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value.render(values))).collect(),
            Self::Other(value) => value.clone(),
        }
    }
}
