//! The options in the attribute's parentheses.
//!
//! `options!` below is the one list of them. All mistakes are collected. An option with a mistake
//! still counts as given, so that no second error says that it is missing.

use std::mem;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::token::Paren;
use syn::{Error, Expr, ExprPath, Ident, LitStr, Path, Token};

use crate::tokens::is_punct;

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
pub(crate) enum Retry {
    /// The result itself is asked whether it is one.
    ByResult,
    /// The function at this path is asked. `None` if the path cannot be read.
    ByFunction(Option<ExprPath>),
}

/// What there is to know about an option.
struct Entry {
    name: &'static str,
    /// How it is written.
    forms: &'static str,
    /// What other crates and a hasty hand call it.
    synonyms: &'static [&'static str],
    is_given: fn(&Options) -> bool,
    parse: fn(&mut Options, &Ident, ParseStream<'_>, Level) -> syn::Result<()>,
}

/// Writes the options as [`OPTIONS`], and as a table in Markdown, `option_table!`.
macro_rules! options {
    ($($name:literal, $forms:literal, $meaning:literal,
        also [$($synonym:literal),*], $is_given:expr, $parse:path;)*) => {
        const OPTIONS: [Entry; [$($name),*].len()] = [$(Entry {
            name: $name,
            forms: $forms,
            synonyms: &[$($synonym),*],
            is_given: $is_given,
            parse: $parse,
        }),*];

        macro_rules! option_table {
            () => {
                concat!("| option | meaning |\n|---|---|\n", $("| ", $forms, " | ", $meaning, " |\n"),*)
            };
        }
    };
}

options! {
    "from", "`from = <expression>`",
        "where the token comes from. Default: `self.session`",
        also ["session", "provider", "auth", "source", "with", "using"],
        |options| options.from.is_some(), Options::parse_from;
    "token", "`token`, `token = <name>`",
        "makes the token a variable of the body, `token` or `<name>`",
        also ["bind", "name", "bearer", "access_token", "as", "into"],
        |options| options.token.is_some(), Options::parse_token;
    "retry", "`retry`",
        "if the body ends in a 401, gets a newer token and runs the body once more",
        also ["retries", "again", "rerun"],
        |options| options.retry.is_some(), Options::parse_retry;
    "retry_if", "`retry_if = <path>`",
        "the same, where the function at `<path>` recognizes a 401",
        also ["when", "retry_when", "retry_on", "is_unauthorized"],
        |options| options.retry.is_some(), Options::parse_retry_if;
    "crate", "`crate = <path>`",
        "where the runtime is. Default: `::jwt_refresh`",
        also ["krate", "path", "crate_path"],
        |options| options.krate.is_some(), Options::parse_crate;
    "skip", "`skip`",
        "on a method of an annotated block: leaves it as it is",
        also ["ignore", "exclude", "except", "none", "off"],
        |options| options.skip.is_some(), Options::parse_skip;
}

impl Entry {
    /// Returns whether the option can be given where the attribute stands.
    fn is_for(&self, level: Level) -> bool {
        level == Level::Member || self.name != "skip"
    }
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

    /// Returns whether any option but `skip` is given.
    pub(crate) fn has_more_than_skip(&self) -> bool {
        OPTIONS.iter().any(|option| option.name != "skip" && (option.is_given)(self))
    }

    fn parse_next(&mut self, input: ParseStream<'_>, level: Level) -> syn::Result<()> {
        let name = name(input, level)?;
        match OPTIONS.iter().find(|option| name == option.name) {
            Some(option) if option.is_for(level) => (option.parse)(self, &name, input, level),
            Some(_) => Err(misplaced_skip(&name, level)),
            None => {
                if level == Level::Block && is_skip(&name.to_string()) {
                    return Err(misplaced_skip(&name, level));
                }
                let meant = meant(&name.to_string(), level);
                if let Some(meant) = meant {
                    // It counts as given. What else is wrong with it is said once this is mended.
                    // The body may name the token by the word that stands here.
                    let named = at_end(input) && (name == "bearer" || name == "access_token");
                    let option = if named { name.clone() } else { Ident::new(meant.name, name.span()) };
                    let _ = (meant.parse)(self, &option, input, level);
                }
                Err(unknown(&name, meant, level))
            }
        }
    }

    fn parse_from(&mut self, option: &Ident, input: ParseStream<'_>, _: Level) -> syn::Result<()> {
        once(option, self.from.is_some())?;
        self.from = Some(Expr::Verbatim(TokenStream::new()));
        self.from = Some(expression(option, input)?);
        Ok(())
    }

    fn parse_token(&mut self, option: &Ident, input: ParseStream<'_>, level: Level) -> syn::Result<()> {
        once(option, self.token.is_some())?;
        let shared = level == Level::Block;
        self.token = Some(Binding { name: intended_name(option, input), shared });
        self.token = Some(Binding { name: binding(option, input)?, shared });
        Ok(())
    }

    fn parse_retry(&mut self, option: &Ident, input: ParseStream<'_>, _: Level) -> syn::Result<()> {
        match self.retry.replace(Retry::ByResult) {
            None => no_value(option, input, ", or `retry_if = <path>` to say when"),
            Some(Retry::ByResult) => once(option, true),
            Some(Retry::ByFunction(_)) => Err(redundant_retry(option)),
        }
    }

    fn parse_retry_if(&mut self, option: &Ident, input: ParseStream<'_>, _: Level) -> syn::Result<()> {
        let given = self.retry.replace(Retry::ByFunction(None));
        once(option, matches!(given, Some(Retry::ByFunction(_))))?;
        self.retry = Some(Retry::ByFunction(Some(predicate(option, input)?)));
        if given.is_some() { Err(redundant_retry(option)) } else { Ok(()) }
    }

    fn parse_crate(&mut self, option: &Ident, input: ParseStream<'_>, _: Level) -> syn::Result<()> {
        once(option, self.krate.is_some())?;
        self.krate = Some(path(option, input)?);
        Ok(())
    }

    fn parse_skip(&mut self, option: &Ident, input: ParseStream<'_>, _: Level) -> syn::Result<()> {
        once(option, self.skip.is_some())?;
        self.skip = Some(option.clone());
        no_value(option, input, "")
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

fn redundant_retry(option: &Ident) -> Error {
    Error::new(option.span(), "`retry_if` says when to retry, and `retry` adds nothing to it: keep one of the two")
}

fn expression(option: &Ident, input: ParseStream<'_>) -> syn::Result<Expr> {
    let advice = "`from` takes the expression that gives the session: write `from = self.session`";
    equals(option, input, advice)?;
    unquoted(option, input, "an expression")?;
    value(input, Expr::parse, advice)
}

/// Reads what stands after the `=` by `parse`.
fn value<T>(input: ParseStream<'_>, parse: fn(ParseStream<'_>) -> syn::Result<T>, advice: &str) -> syn::Result<T> {
    let last = last_of_option(input);
    // At the end of its tokens syn reports an error at the whole attribute.
    parse(input).map_err(|error| Error::new(if input.is_empty() { last } else { error.span() }, advice))
}

/// Returns the span of the last token before the next comma.
fn last_of_option(input: ParseStream<'_>) -> Span {
    let ahead = input.fork();
    let mut last = input.span();
    while let Ok(tree) = ahead.parse::<TokenTree>()
        && !is_punct(&tree, ',')
    {
        last = tree.span();
    }
    last
}

fn binding(option: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    if !has_value(input) {
        return Ok(option.clone());
    }
    if !input.peek(Token![=])
        && let Some(name) = other_form(input)
    {
        return Err(Error::new(option.span(), format!("`token` takes its name after a `=`: write `token = {name}`")));
    }
    let advice = "`token` takes a name: write `token`, or `token = <name>` to call it something else";
    equals(option, input, advice)?;
    unquoted(option, input, "a name")?;
    let name = value(input, Ident::parse, advice)?;
    if at_end(input) { Ok(name) } else { Err(input.error(advice)) }
}

/// Returns the name that the body is likely to call the token by, even if it is not yet known that
/// it is given rightly: `bearer` in `token = "bearer"` and `token as bearer`.
fn intended_name(option: &Ident, input: ParseStream<'_>) -> Ident {
    let ahead = input.fork();
    let in_quotes = || {
        ahead.parse::<Option<Token![=]>>().ok()?;
        ahead.parse::<LitStr>().ok()?.parse().ok()
    };
    other_form(input).or_else(in_quotes).unwrap_or_else(|| option.clone())
}

/// Returns the name in `token as name`, `token: name` and `token(name)`.
fn other_form(input: ParseStream<'_>) -> Option<Ident> {
    let ahead = input.fork();
    if ahead.parse::<Token![as]>().is_ok() || ahead.parse::<Token![:]>().is_ok() || ahead.parse::<Token![=]>().is_ok() {
        return ahead.parse().ok();
    }
    let TokenTree::Group(parentheses) = ahead.parse().ok()? else { return None };
    syn::parse2(parentheses.stream()).ok()
}

fn path(option: &Ident, input: ParseStream<'_>) -> syn::Result<Path> {
    let advice = "`crate` takes the path of the runtime: write `crate = ::jwt_refresh`";
    equals(option, input, advice)?;
    unquoted(option, input, "a path")?;
    value(input, Path::parse_mod_style, advice)
}

fn predicate(option: &Ident, input: ParseStream<'_>) -> syn::Result<ExprPath> {
    let advice = "`retry_if` takes the path of a function that knows a 401: write `retry_if = ApiError::is_expired`";
    equals(option, input, advice)?;
    unquoted(option, input, "a path")?;
    let path = value(input, ExprPath::parse, advice)?;
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
    input.peek(Token![=]) || input.peek(Token![:]) || input.peek(Token![as]) || input.peek(Paren)
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

fn unknown(option: &Ident, meant: Option<&Entry>, level: Level) -> Error {
    let hint = match meant {
        Some(Entry { name, .. }) => format!("did you mean `{name}`? The options are"),
        None => "the options are".to_owned(),
    };
    Error::new(option.span(), format!("unknown option `{option}`: {hint} {}", options(level)))
}

/// Returns the options that can be given here: "`from = <expression>`, `token` and `retry`".
fn options(level: Level) -> String {
    let forms: Vec<_> = OPTIONS.iter().filter(|option| option.is_for(level)).map(|option| option.forms).collect();
    match forms.split_last() {
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Returns how the options are written.
#[cfg(test)]
pub(crate) fn forms() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|option| option.forms)
}

/// Returns whether `name` is another word for `skip`.
fn is_skip(name: &str) -> bool {
    OPTIONS.iter().any(|option| option.name == "skip" && option.synonyms.contains(&name))
}

/// Returns the option that the user may have meant by `name`.
fn meant(name: &str, level: Level) -> Option<&'static Entry> {
    let options = || OPTIONS.iter().filter(|option| option.is_for(level));
    let synonym = options().find(|option| option.synonyms.contains(&name));
    let nearest = options().min_by_key(|option| distance(name, option.name));
    synonym.or_else(|| nearest.filter(|option| distance(name, option.name) <= 2))
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
