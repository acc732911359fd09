//! Shows what is in a JWT: header, claims, times in words, and what a client may not conclude.
//!
//! ```sh
//! cargo run --example inspect_jwt -- eyJhbGciOi…        # a token
//! cargo run --example inspect_jwt -- token.txt          # a file
//! pbpaste | cargo run --example inspect_jwt             # standard input
//! ```
//!
//! A token in an argument is seen by all users of the machine and by the history of the shell.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use jwt_refresh::jwt::Jwt;

/// Returns the token in an argument, in the file that the argument names, or in the input if there
/// is no argument or it is `-`. Blanks, quotes and `Bearer` before it do not count.
fn read_token(argument: Option<&str>, mut input: impl Read) -> std::io::Result<String> {
    let text = match argument {
        None | Some("-") => {
            let mut text = String::new();
            input.read_to_string(&mut text)?;
            text
        }
        Some(path) if Path::new(path).is_file() => std::fs::read_to_string(path)?,
        Some(token) => token.to_owned(),
    };
    let token = text.trim().trim_matches('"');
    let after_scheme = token.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer ")).map(|_| &token[7..]);
    Ok(after_scheme.unwrap_or(token).trim().to_owned())
}

/// Returns what is in the token, or why nothing can be seen in it.
fn inspect(token: &str, now: SystemTime) -> Result<String, String> {
    Jwt::decode(token).map(|jwt| jwt.explain(now)).map_err(|error| {
        format!("{error}\nA token that is no JWT of three parts is opaque to a client, and is used all the same.")
    })
}

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let token = match read_token(argument.as_deref(), std::io::stdin()) {
        Ok(token) => token,
        Err(error) => {
            eprintln!("the token cannot be read: {error}");
            return ExitCode::from(2);
        }
    };
    match inspect(&token, SystemTime::now()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEiLCJleHAiOjEzMDA4MTkzODB9.c2ln";

    #[test]
    fn a_token_is_read_from_an_argument_a_file_or_the_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token.txt");
        std::fs::write(&path, format!("  Bearer {TOKEN}\r\n")).unwrap();
        let quoted = format!("\"{TOKEN}\"\n");
        for (argument, input) in [
            (Some(TOKEN), ""),
            (path.to_str(), ""),
            (Some("-"), quoted.as_str()),
            (None, quoted.as_str()),
            (Some(format!("bearer  {TOKEN}").as_str()), ""),
        ] {
            assert_eq!(read_token(argument, input.as_bytes()).unwrap(), TOKEN, "{argument:?}");
        }
        assert_eq!(read_token(Some("ümläut-token"), "".as_bytes()).unwrap(), "ümläut-token");
    }

    #[test]
    fn a_jwt_is_told_in_words_and_what_is_none_is_said_to_be_opaque() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_819_380 - 720);
        let text = inspect(TOKEN, now).unwrap();
        for part in ["\"HS256\"", "\"ada\"", "expires in 12 min", "the signature was not checked"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("c2ln"), "{text}");
        let text = inspect("S3cret", now).unwrap_err();
        assert!(text.contains("opaque") && !text.contains("S3cret"), "{text}");
    }
}
