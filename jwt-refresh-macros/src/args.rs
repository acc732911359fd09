//! The options in the attribute's parentheses.
//!
//! All mistakes are collected. An option with a mistake still counts as given, so that no second
//! error says that it is missing.

use std::mem;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::token::Paren;
use syn::{Error, Expr, ExprPath, Ident, LitStr, Path, Token};

/// Where an attribute stands, which decides what options it has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// On a function that is in no annotated block.
    Function,
    /// On an `impl` block or a trait definition.
    Block,
    /// On a function in an annotated block.
    Member,
}

#[derive(Clone, Default)]
pub(crate) struct Options {
    /// Where the token comes from, if not from `self.session`.
    pub(crate) from: Option<Expr>,
    pub(crate) token: Option<Binding>,
    pub(crate) retry: Option<Retry>,
    /// Where the runtime is, if not in `::jwt_refresh`.
    pub(crate) krate: Option<Path>,
    pub(crate) skip: Option<Ident>,
}

/// The token's name in the body.
#[derive(Clone)]
pub(crate) struct Binding {
    /// Has the span of the user's word, so that the compiler reports it there if it is unused.
    pub(crate) name: Ident,
    /// The name was given for a whole block, so not every method has to use it.
    pub(crate) shared: bool,
}

/// The option `retry` or `retry_if`: the body runs once more after a 401.
#[derive(Clone)]
pub(crate) struct Retry {
    /// The function that recognizes a 401, if the result itself is not asked.
    pub(crate) when: Option<ExprPath>,
}

impl Options {
    /// Reads all options that can be read, and adds an error for each of the others.
    pub(crate) fn parse(args: TokenStream, level: Level, errors: &mut Vec<Error>) -> Self {
        let mut options = Self::default();
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if let Err(error) = options.parse_next(input, level) {
                    errors.push(error);
                    skip_option(input)?;
                } else if let Err(error) = separator(input) {
                    errors.push(error);
                    if !input.peek(Ident::peek_any) {
                        skip_option(input)?;
                    }
                }
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(args) {
            errors.push(error);
        }
        options
    }

    /// Returns these options, with the `defaults` for those that are not given.
    pub(crate) fn or(self, defaults: &Self) -> Self {
        Self {
            from: self.from.or_else(|| defaults.from.clone()),
            token: self.token.or_else(|| defaults.token.clone()),
            retry: self.retry.or_else(|| defaults.retry.clone()),
            krate: self.krate.or_else(|| defaults.krate.clone()),
            skip: self.skip,
        }
    }

    /// Returns the name of the token in the body, if the body is to have it.
    pub(crate) fn token_name(&self) -> Option<&Ident> {
        self.token.as_ref().map(|binding| &binding.name)
    }

    /// Returns the path of the runtime.
    pub(crate) fn krate(&self) -> TokenStream {
        let default = quote_spanned!(Span::mixed_site()=> ::jwt_refresh);
        self.krate.as_ref().map_or(default, ToTokens::to_token_stream)
    }

    fn parse_next(&mut self, input: ParseStream<'_>, level: Level) -> syn::Result<()> {
        let option = name(input, level)?;
        match option.to_string().as_str() {
            "from" => {
                once(&option, self.from.is_some())?;
                self.from = Some(Expr::Verbatim(TokenStream::new()));
                self.from = Some(expression(&option, input)?);
            }
            "token" => {
                once(&option, self.token.is_some())?;
                let shared = level == Level::Block;
                self.token = Some(Binding { name: intended_name(&option, input), shared });
                self.token = Some(Binding { name: binding(option, input)?, shared });
            }
            "retry" => {
                once(&option, matches!(self.retry, Some(Retry { when: None })))?;
                self.retry.get_or_insert(Retry { when: None });
                no_value(&option, input, ", or `retry_if = <path>` to say when")?;
            }
            "retry_if" => {
                once(&option, matches!(self.retry, Some(Retry { when: Some(_) })))?;
                self.retry.get_or_insert(Retry { when: None }).when = Some(predicate(&option, input)?);
            }
            "crate" => {
                once(&option, self.krate.is_some())?;
                self.krate = Some(path(&option, input)?);
            }
            "skip" if level == Level::Member => {
                once(&option, self.skip.is_some())?;
                self.skip = Some(option.clone());
                no_value(&option, input, "")?;
            }
            "skip" => return Err(misplaced_skip(&option, level)),
            _ => return Err(unknown(&option, level)),
        }
        Ok(())
    }
}

fn name(input: ParseStream<'_>, level: Level) -> syn::Result<Ident> {
    let Ok(name) = input.call(Ident::parse_any) else {
        return Err(input.error(format!("expected an option: {}", options(level))));
    };
    if name == "self" || input.peek(Token![.]) || input.peek(Token![::]) {
        let advice = "which option is this? To say where the session is, write `from = self.session`";
        return Err(Error::new(name.span(), advice));
    }
    Ok(name)
}

fn once(option: &Ident, given: bool) -> syn::Result<()> {
    if given {
        return Err(Error::new(option.span(), format!("`{option}` is given twice: keep one of the two")));
    }
    Ok(())
}

fn expression(option: &Ident, input: ParseStream<'_>) -> syn::Result<Expr> {
    let advice = "`from` takes the expression that gives the session: write `from = self.session`";
    equals(option, input, advice)?;
    unquoted(option, input, "an expression")?;
    input.parse().map_err(|error| Error::new(error.span(), advice))
}

fn binding(option: Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    if !has_value(input) {
        return Ok(option);
    }
    let advice = "`token` takes a name: write `token`, or `token = <name>` to call it something else";
    equals(&option, input, advice)?;
    unquoted(&option, input, "a name")?;
    let name = input.parse().map_err(|error| Error::new(error.span(), advice))?;
    if at_end(input) { Ok(name) } else { Err(input.error(advice)) }
}

/// Returns the name in `token = "name"`: a mistake, but it tells what the body calls the token.
fn intended_name(option: &Ident, input: ParseStream<'_>) -> Ident {
    let ahead = input.fork();
    let name = ahead.parse::<Token![=]>().and_then(|_| ahead.parse::<LitStr>()).and_then(|string| string.parse());
    name.unwrap_or_else(|_| option.clone())
}

fn path(option: &Ident, input: ParseStream<'_>) -> syn::Result<Path> {
    let advice = "`crate` takes the path of the runtime: write `crate = ::jwt_refresh`";
    equals(option, input, advice)?;
    unquoted(option, input, "a path")?;
    Path::parse_mod_style(input).map_err(|error| Error::new(error.span(), advice))
}

fn predicate(option: &Ident, input: ParseStream<'_>) -> syn::Result<ExprPath> {
    let advice = "`retry_if` takes the path of a function that knows a 401: write `retry_if = ApiError::is_expired`";
    equals(option, input, advice)?;
    unquoted(option, input, "a path")?;
    let path = input.parse().map_err(|error| Error::new(error.span(), advice))?;
    if at_end(input) { Ok(path) } else { Err(input.error(advice)) }
}

fn no_value(option: &Ident, input: ParseStream<'_>, or: &str) -> syn::Result<()> {
    if has_value(input) {
        return Err(Error::new(option.span(), format!("`{option}` takes no value: write `{option}`{or}")));
    }
    Ok(())
}

/// Returns whether an option ends here.
fn at_end(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

fn has_value(input: ParseStream<'_>) -> bool {
    input.peek(Token![=]) || input.peek(Token![:]) || input.peek(Paren)
}

fn equals(option: &Ident, input: ParseStream<'_>, advice: &str) -> syn::Result<()> {
    if input.parse::<Option<Token![=]>>()?.is_none() || at_end(input) {
        return Err(Error::new(option.span(), advice));
    }
    Ok(())
}

/// Fails if a string comes next. Many attributes take their values in quotes; this one never does.
fn unquoted(option: &Ident, input: ParseStream<'_>, what: &str) -> syn::Result<()> {
    let Ok(string) = input.fork().parse::<LitStr>() else {
        return Ok(());
    };
    let advice = format!("`{option}` takes {what}, not a string: write `{option} = {}`", string.value());
    Err(Error::new(string.span(), advice))
}

fn separator(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.parse::<Option<Token![,]>>()?.is_some() {
        return Ok(());
    }
    Err(input.error("options are separated by commas: write a `,` before this"))
}

/// Skips everything up to and including the next comma.
fn skip_option(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() {
        if input.parse::<TokenTree>()?.to_string() == "," {
            break;
        }
    }
    Ok(())
}

fn misplaced_skip(option: &Ident, level: Level) -> Error {
    let advice = match level {
        Level::Block => {
            "`skip` is for one method of an annotated block: put `#[refresh_token(skip)]` on the method to leave alone"
        }
        Level::Function | Level::Member => {
            "`skip` is for a method whose whole `impl` has `#[refresh_token]`: here, remove the attribute instead"
        }
    };
    Error::new(option.span(), advice)
}

fn unknown(option: &Ident, level: Level) -> Error {
    let hint = match nearest(&option.to_string(), level) {
        Some(nearest) => format!("did you mean `{nearest}`? The options are"),
        None => "the options are".to_owned(),
    };
    Error::new(option.span(), format!("unknown option `{option}`: {hint} {}", options(level)))
}

fn options(level: Level) -> &'static str {
    match level {
        Level::Function | Level::Block => {
            "`from = <expression>`, `token`, `token = <name>`, `retry`, `retry_if = <path>` and `crate = <path>`"
        }
        Level::Member => {
            "`from = <expression>`, `token`, `token = <name>`, `retry`, `retry_if = <path>`, `crate = <path>` and `skip`"
        }
    }
}

/// Names that other crates use, and the option that each means here.
const SYNONYMS: [(&str, &str); 10] = [
    ("session", "from"),
    ("provider", "from"),
    ("auth", "from"),
    ("bind", "token"),
    ("name", "token"),
    ("retries", "retry"),
    ("when", "retry_if"),
    ("krate", "crate"),
    ("path", "crate"),
    ("ignore", "skip"),
];

/// Returns the option that the user may have meant.
fn nearest(option: &str, level: Level) -> Option<&'static str> {
    let names = ["from", "token", "retry", "retry_if", "crate", "skip"];
    let (distance, nearest) = names.map(|name| (distance(option, name), name)).into_iter().min()?;
    let synonym = SYNONYMS.iter().find(|(synonym, _)| *synonym == option).map(|(_, name)| *name);
    let name = if distance <= 2 { Some(nearest) } else { synonym };
    name.filter(|name| level == Level::Member || *name != "skip")
}

/// Returns how many letters must be changed, added or removed to turn `from` into `to`
/// (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, from) in from.bytes().enumerate() {
        let mut diagonal = mem::replace(&mut row[0], i + 1);
        for (j, to) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
