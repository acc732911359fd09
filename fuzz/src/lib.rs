//! What the fuzz targets share: how an input is written, and how an error is searched for secrets.
//!
//! Most inputs are text that a person can read and write: lines of `name: value`, an empty line,
//! and a body of any bytes. `seeds/` has some for each target, and `dictionary` the words.

use std::error::Error;
use std::fmt::Debug;

/// Stands for a secret in inputs. No part of it may be shown. The name of a field never has a `~`
/// in it when it is shown, so it is not found in what an error says of the shape of an answer.
pub const SECRET: &str = "~S3cret~";

/// Fails if an error, or any of its causes, shows the secret.
pub fn assert_error_hides(error: &(dyn Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        assert_hidden(&format!("{error} {error:?}"));
        next = error.source();
    }
}

/// Fails if the `Debug` output of a value shows the secret.
pub fn assert_debug_hides(value: &dyn Debug) {
    assert_hidden(&format!("{value:?} {value:#?}"));
}

fn assert_hidden(shown: &str) {
    assert!(!shown.contains(SECRET), "a secret is shown: {shown}");
}

/// An input: lines of `name: value`, an empty line, and a body.
pub struct Input<'a> {
    lines: Vec<(&'a str, &'a str)>,
    pub body: &'a [u8],
}

impl<'a> Input<'a> {
    /// Splits the bytes. What is no line of text before the body is left out.
    pub fn split(bytes: &'a [u8]) -> Self {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if line.is_empty() {
                break;
            }
            lines.extend(str::from_utf8(line).ok().and_then(|line| line.split_once(": ")));
        }
        Self { lines, body: rest }
    }

    /// Returns all lines, in their order.
    pub fn lines(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.lines.iter().copied()
    }

    /// Returns the value of the first line of this name.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.lines().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Returns the value of the first line of this name, read as a number or the like.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.value(name)?.parse().ok()
    }
}
