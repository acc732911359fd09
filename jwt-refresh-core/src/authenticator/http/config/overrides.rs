//! Values of a description that environment variables replace: the table `env`.

use std::env::VarError;

use serde_json::{Map, Value};

use super::section::type_of;
use crate::authenticator::http::mistake::mistake;
use crate::error::Error;

const ENV: &str = "env";

/// Replaces the values of the keys that the table `env` names by the variables that are set.
/// An empty one counts as not set.
pub(super) fn apply(description: &mut Value) -> Result<(), Error> {
    let Some(names) = description.as_object_mut().and_then(|fields| fields.remove(ENV)) else { return Ok(()) };
    let mut overrides = Vec::new();
    match names {
        Value::Object(names) => collect("", names, &mut overrides)?,
        _ => return Err(mistake(ENV, "this is no table; write `[env]`, and below it `base_url = \"VARIABLE\"`")),
    }
    overrides.into_iter().try_for_each(|(key, variable)| replace(description, &key, &variable))
}

/// Collects keys and variables. TOML makes tables of keys with dots in them.
fn collect(before: &str, names: Map<String, Value>, overrides: &mut Vec<(String, String)>) -> Result<(), Error> {
    for (name, value) in names {
        let key = format!("{before}{name}");
        match value {
            Value::String(variable) => overrides.push((key, variable)),
            Value::Object(names) => collect(&format!("{key}."), names, overrides)?,
            other => {
                let what = format!("this is {}; write the name of an environment variable", type_of(&other));
                return Err(mistake(&format!("{ENV}.{key}"), what));
            }
        }
    }
    Ok(())
}

fn replace(description: &mut Value, key: &str, variable: &str) -> Result<(), Error> {
    let wrong = |what: String| mistake(&format!("{ENV}.{key}"), what);
    let place = find(description, key);
    let place = place.ok_or_else(|| wrong(format!("there is no `{key}` to replace; write its usual value there")))?;
    if place.is_object() || place.is_array() {
        return Err(wrong(format!("`{key}` is {}; name one of the values in it", type_of(place))));
    }
    let text = match std::env::var(variable) {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) | Err(VarError::NotPresent) => return Ok(()),
        Err(VarError::NotUnicode(_)) => {
            return Err(wrong(format!("the variable `{variable}` is not UTF-8; correct it")));
        }
    };
    if place.is_string() {
        *place = text.into();
        return Ok(());
    }
    let value: Option<Value> = serde_json::from_str(text.trim()).ok();
    let is_alike = |value: &Value| std::mem::discriminant(value) == std::mem::discriminant(&*place);
    let value = value.filter(is_alike);
    let expected = type_of(place);
    *place = value
        .ok_or_else(|| wrong(format!("the variable `{variable}` is not {expected}, as `{key}` is; correct it")))?;
    Ok(())
}

/// Returns the value of a key. The items of a list are counted from 1, as errors count them.
fn find<'a>(description: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    key.split('.').try_fold(description, |place, name| match place {
        Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?.checked_sub(1)?),
        place => place.get_mut(name),
    })
}
