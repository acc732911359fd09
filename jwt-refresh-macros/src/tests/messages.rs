//! Every message in full. `tests/ui/fail` of the root package shows where each one points.

use proc_macro2::TokenStream;
use syn::parse_str;

use super::NAMES;
use crate::{parse, valid};

/// Returns the errors for `#[refresh_token(args)] item`.
fn errors(args: &str, item: &str) -> Vec<String> {
    let [args, item]: [TokenStream; 2] = [args, item].map(|text| parse_str(text).expect("tokens"));
    let mut errors = Vec::new();
    if let Some(mut item) = parse::item(item, NAMES, &mut errors) {
        valid::item(&mut item, args, &mut errors);
    }
    errors.iter().map(ToString::to_string).collect()
}

fn on_method(args: &str) -> Vec<String> {
    errors(args, "async fn get(&self, id: u64) -> Result<(), Error> {}")
}

fn on_member(helper: &str) -> Vec<String> {
    errors("", &format!("impl Api {{ {helper} async fn get(&self) -> Result<(), Error> {{}} }}"))
}

fn on_item(item: &str) -> Vec<String> {
    errors("", item)
}

const OPTIONS: &str =
    "`from = <expression>`, `token`, `token = <name>`, `retry`, `retry_if = <path>` and `crate = <path>`";

const NO_SELF: &str = "there is no `self` to take `self.session` from: add a receiver such as `&self`, or say where the \
                       session is with `#[refresh_token(from = <expression>)]`";

const CONST_FN: &str = "a `const fn` cannot wait for a token: write `async fn` instead";

#[test]
fn nothing_wrong() {
    let none: [&str; 0] = [];
    assert_eq!(on_method(""), none);
    assert_eq!(on_method("from = self.auth.session(), token = bearer, retry, crate = ::jwt_refresh_core,"), none);
    assert_eq!(on_method("retry_if = <ApiError as Unauthorized>::is_unauthorized"), none);
    assert_eq!(on_member("#[refresh_token] #[doc = \"x\"]"), none);
    assert_eq!(on_member("#[jwt_refresh::refresh_token(token)]"), none);
    assert_eq!(on_member("async fn other(&self) -> Result<(), Error> {} #[refresh_token(skip)]"), none);
    assert_eq!(errors("from = SESSION", "pub async fn get() -> Result<(), Error> {}"), none);
    assert_eq!(on_item("pub unsafe extern \"C\" fn get(&self) -> Result<(), Error> {}"), none);
}

#[test]
fn unknown_option() {
    let nearest =
        |option, nearest| [format!("unknown option `{option}`: did you mean `{nearest}`? The options are {OPTIONS}")];
    assert_eq!(on_method("form = self.auth"), nearest("form", "from"));
    assert_eq!(on_method("session = self.auth"), nearest("session", "from"));
    assert_eq!(on_method("source = self.auth"), nearest("source", "from"));
    assert_eq!(on_method("tokn = bearer, retry"), nearest("tokn", "token"));
    assert_eq!(on_method("retryif = is_401"), nearest("retryif", "retry_if"));
    assert_eq!(on_method("timeout"), [format!("unknown option `timeout`: the options are {OPTIONS}")]);
    assert_eq!(
        on_member("#[refresh_token(skp)]"),
        [
            "unknown option `skp`: did you mean `skip`? The options are `from = <expression>`, `token`, `token = <name>`, \
          `retry`, `retry_if = <path>`, `crate = <path>` and `skip`"
        ]
    );
    assert_eq!(on_member("#[refresh_token(exclude)]").len(), 1);
    assert_eq!(errors("source = SESSION", "async fn get() -> Result<(), Error> {}").len(), 1);
    assert_eq!(on_method("\"token\""), [format!("expected an option: {OPTIONS}")]);
    let advice = "which option is this? To say where the session is, write `from = self.session`";
    assert_eq!(on_method("self.auth"), [advice]);
}

#[test]
fn duplicate() {
    assert_eq!(on_method("token, from = self.a, token = t"), ["`token` is given twice: keep one of the two"]);
    assert_eq!(on_method("from = self.a, from = self.b"), ["`from` is given twice: keep one of the two"]);
    assert_eq!(on_method("retry, retry"), ["`retry` is given twice: keep one of the two"]);
    assert_eq!(on_method("retry_if = is_401, retry_if = is_401"), ["`retry_if` is given twice: keep one of the two"]);
    let advice = ["`retry_if` says when to retry, and `retry` adds nothing to it: keep one of the two"];
    assert_eq!(on_method("retry, retry_if = is_401"), advice);
    assert_eq!(on_method("retry_if = is_401, retry"), advice);
    let advice = "`#[refresh_token]` is given twice: write one attribute, with commas between its options";
    assert_eq!(on_member("#[refresh_token] #[refresh_token(token)]"), [advice]);
    assert_eq!(on_member("#[guard] #[jwt::guard(token)]"), [advice]);
    assert_eq!(on_item("#[refresh_token(retry)] impl Api { async fn get(&self) {} }"), [advice]);
    assert_eq!(on_item("#[guard(retry)] impl Api { async fn get(&self) {} }"), [advice]);
    let advice = "`#[refresh_token]` has guarded this already, maybe under another name: write one attribute, with commas \
                  between its options; on methods of an annotated block, use the name that is on the block";
    let method = "async fn get(&self) -> Result<(), Error> { Ok(()) }";
    for args in ["", "token", "retry"] {
        let guarded = output(args, method);
        assert_eq!(on_item(&guarded), [advice]);
        assert_eq!(errors("skip", &guarded), [advice]);
        assert_eq!(on_item(&format!("impl Api {{ {guarded} {guarded} }}")), [advice]);
        let guarded = output(args, "fn get(&self) -> ApiFuture { Box::pin(async { Ok(()) }) }");
        assert_eq!(on_item(&guarded), [advice]);
    }
}

#[test]
fn the_name_of_the_attribute() {
    let name = parse::attribute_name;
    assert_eq!(name("#[guard]"), Some("guard"));
    assert_eq!(name("#[ jwt::guard (token)]"), Some("guard"));
    assert_eq!(name("guard(token)"), Some("guard"));
    assert_eq!(name("#[::jwt_refresh::refresh_token]"), Some("refresh_token"));
    assert_eq!(name("#[]"), None);
}

#[test]
fn futures_that_the_guard_would_be_late_in() {
    let late = |body| on_item(&format!("fn get(&self) -> BoxFuture<'_, R> {{ {body} }}"));
    let none: [&str; 0] = [];
    for body in [
        "async {}",
        "async move {}.boxed()",
        "async move {}.instrument(span::<A, B>(1, 2)).boxed()",
        "Box::pin(async move {})",
        "Box::pin(async move {},)",
        "Box::<dyn Future<Output = (A, B)>>::pin(wrap(async move {}.instrument(a, b)))",
        "if a { b; } match c { d => {} } Box::pin(async {}) as BoxFuture<'_, R>",
        "(async move {})",
        "Box::pin({ let a = b; async move { a } })",
        "#[rustfmt::skip] async {}",
        "tokio::spawn(async {})",
    ] {
        assert_eq!(late(body), none, "{body}");
    }
    for body in [
        "Box::pin(self.send().then(move |r| async move { r }))",
        "Box::pin(both(async move {}, async move {}))",
        "self.send().then(async move {})",
        "self.wrap(async move {})",
        "self.send().boxed()",
        "Box::pin(async |a| {})",
        "Box::pin(async move {});",
        "match a { b => Box::pin(async {}), c => Box::pin(async {}) }",
        "if a { Box::pin(async {}) } else { Box::pin(async {}) }",
        "Box::pin(wrap(a, async {}))",
        "vec![Box::pin(async {})]",
        "wrap!(async {})",
        "a + Box::pin(async {})",
        "",
    ] {
        assert_eq!(late(body).len(), 1, "{body}");
    }
}

#[test]
fn aliases_of_futures() {
    let in_block = |output, body| on_item(&format!("impl Api {{ fn get(&self) -> {output} {{ {body} }} }}"));
    let nothing = ["`#[refresh_token]` finds nothing to guard here: it guards each `async fn …(&self, …)` that has a \
                    body and no `#[refresh_token(skip)]`; a method that is not async takes an attribute of its own, and \
                   needs the feature `blocking`"];
    let none: [&str; 0] = [];
    assert_eq!(in_block("Reply<'_, u8>", "Box::pin(async {})"), none);
    assert_eq!(in_block("Self::Future<'_>", "async {}.boxed()"), none);
    assert_eq!(in_block("ReplyFuture", "wrap(async {})"), none);
    assert_eq!(in_block("JoinHandle<()>", "tokio::spawn(async {})"), nothing);
    assert_eq!(in_block("ApiResult<u8>", "block_on(async {})"), nothing);
    assert_eq!(in_block("ApiResult<u8>", "wait(async {})"), nothing);
    assert_eq!(in_block("Reply<'_, u8>", "self.inner.get()"), nothing);
    assert_eq!(in_block("&Client", "wrap(async {})"), nothing);
    let unclear =
        ["the attribute of the block cannot tell whether this returns a future: put `#[refresh_token]` on the \
                    method, to guard the `async` block that it ends in, or `#[refresh_token(skip)]`"];
    assert_eq!(in_block("Reply<'_, u8>", "wrap(async {})"), unclear);
    assert_eq!(on_item("fn get(&self) -> Reply<'_, u8> { wrap(async {}) }"), none);
}

#[test]
fn conditional() {
    let advice =
        ["`cfg_attr` cannot switch what another `#[refresh_token]` has to see: write the method twice, each with \
                   its `#[cfg(…)]` and its `#[refresh_token(…)]`"];
    assert_eq!(on_member("#[cfg_attr(unix, refresh_token(skip))]"), advice);
    assert_eq!(on_item("#[cfg_attr(unix, refresh_token(token))] async fn get(&self) -> Result<(), Error> {}"), advice);
}

#[test]
fn malformed_from() {
    let advice = ["`from` takes the expression that gives the session: write `from = self.session`"];
    assert_eq!(on_method("from"), advice);
    assert_eq!(on_method("from =, token"), advice);
    assert_eq!(on_method("from(self.auth)"), advice);
    assert_eq!(on_method("from = struct"), advice);
    let advice = "`from` takes an expression, not a string: write `from = self.auth`";
    assert_eq!(on_method("from = \"self.auth\""), [advice]);
}

#[test]
fn malformed_token() {
    let advice = ["`token` takes a name: write `token`, or `token = <name>` to call it something else"];
    assert_eq!(on_method("token = 1"), advice);
    assert_eq!(on_method("token = true"), advice);
    assert_eq!(on_method("token = self.token"), advice);
    assert_eq!(on_method("token = a.b"), advice);
    assert_eq!(on_method("token(1)"), advice);
    let advice = ["`token` takes its name after a `=`: write `token = bearer`"];
    assert_eq!(on_method("token(bearer)"), advice);
    assert_eq!(on_method("token: bearer"), advice);
    assert_eq!(on_method("token as bearer"), advice);
    assert_eq!(on_method("token = \"bearer\""), ["`token` takes a name, not a string: write `token = bearer`"]);
}

#[test]
fn malformed_retry() {
    let advice = ["`retry` takes no value: write `retry`, or `retry_if = <path>` to say when"];
    assert_eq!(on_method("retry = \"yes\""), advice);
    assert_eq!(on_method("retry(2)"), advice);
    let advice = ["`retry_if` takes the path of a function that knows a 401: write `retry_if = ApiError::is_expired`"];
    assert_eq!(on_method("retry_if"), advice);
    assert_eq!(on_method("retry_if = |error| true"), advice);
    assert_eq!(on_method("retry_if = is_401()"), advice);
    assert_eq!(
        on_method("retry_if = \"is_401\""),
        ["`retry_if` takes a path, not a string: write `retry_if = is_401`"]
    );
}

#[test]
fn malformed_crate() {
    let advice = ["`crate` takes the path of the runtime: write `crate = ::jwt_refresh`"];
    assert_eq!(on_method("crate"), advice);
    assert_eq!(on_method("crate = 1"), advice);
    assert_eq!(on_method("crate = \"my::jwt\""), ["`crate` takes a path, not a string: write `crate = my::jwt`"]);
}

#[test]
fn malformed_skip() {
    assert_eq!(on_member("#[refresh_token(skip = true)]"), ["`skip` takes no value: write `skip`"]);
    let advice = "`skip` leaves the method alone: remove it, or the other options";
    assert_eq!(on_member("#[refresh_token(skip, token)]"), [advice]);
    let advice = "`skip` is for a method whose whole `impl` has `#[refresh_token]`: here, remove the attribute instead";
    assert_eq!(on_method("skip"), [advice]);
    let advice =
        "`skip` is for one method of an annotated block: put `#[refresh_token(skip)]` on the method to leave alone";
    for option in ["skip", "exclude = get"] {
        assert_eq!(errors(option, "impl Api { async fn get(&self) -> Result<(), Error> {} }"), [advice]);
    }
}

#[test]
fn malformed_list() {
    let advice = "options are separated by commas: write a `,` before this";
    assert_eq!(on_method("token from = self.auth"), [advice]);
    assert_eq!(on_method("from = self.auth; token"), [advice]);
    let advice = "options go in parentheses: write `#[refresh_token(<options>)]`";
    assert_eq!(on_member("#[refresh_token = \"token\"]"), [advice]);
}

#[test]
fn not_a_method_or_block() {
    let goes_on = "`#[refresh_token]` goes on an async method, on a free `async fn` with `from = <expression>`, or on a \
                   whole `impl` block or trait";
    let moved = |kind| [format!("{goes_on}: move it from this `{kind}` to the `impl` block with its methods")];
    assert_eq!(on_item("pub(crate) struct Api(fn() -> u8);"), moved("struct"));
    assert_eq!(on_item("#[doc = \"x\"] pub enum Api {}"), moved("enum"));
    assert_eq!(on_item("union Api { a: u8 }"), moved("union"));
    let without = |kind| [format!("{goes_on}: a `{kind}` has no method to guard")];
    assert_eq!(on_item("const F: fn() = f;"), without("const"));
    assert_eq!(on_item("static F: fn() = f;"), without("static"));
    assert_eq!(on_item("mod api { fn f() {} }"), without("mod"));
    assert_eq!(on_item("use api::Api;"), without("use"));
    assert_eq!(on_item("extern crate api;"), without("extern"));
    assert_eq!(on_item("unsafe extern \"C\" { fn f(); }"), [goes_on]);
    assert_eq!(on_item("api! {}"), [goes_on]);
}

#[test]
fn functions_that_cannot_be_guarded() {
    assert_eq!(on_item("const fn get(&self) -> Result<(), Error> {}"), [CONST_FN]);
    assert_eq!(on_item("async fn get(id: u64) -> Result<(), Error> {}"), [NO_SELF]);
    let advice =
        "there is no body to guard: put the attribute on the method of the `impl`, or write a default body here";
    assert_eq!(on_item("async fn get(&self) -> Result<(), Error>;"), [advice]);
    let advice = "the token is called `token` too, and would hide this argument: rename the argument, or the token with \
                  `token = <name>`";
    assert_eq!(errors("token", "async fn get(&self, token: &str) -> Result<(), Error> {}"), [advice]);
    let advice = "the future that this function returns is not to be found: let the body end in `async move { … }` or \
                  `Box::pin(async move { … })`, or write `async fn`";
    assert_eq!(on_item("fn get(&self) -> BoxFuture<'_, Result<(), Error>> { self.inner.get() }"), [advice]);
    assert_eq!(on_item("fn get(&self) -> BoxFuture<'_, Result<(), Error>> { spawn(async {}); self.inner }"), [advice]);
    let advice = "this would return a future that is not guarded: move it into the `async` block at the end, or write `async fn`";
    assert_eq!(
        on_item("fn get(&self) -> BoxFuture<'_, R> { if self.a { return Box::pin(async {}); } Box::pin(async {}) }"),
        [advice]
    );
    assert_eq!(on_member("#[refresh_token] const fn new() -> Self {} #[refresh_token(token)]"), [CONST_FN, NO_SELF]);
}

#[test]
fn bodies_that_cannot_run_twice() {
    let retry = |item: &str| errors("retry", item);
    let none: [&str; 0] = [];
    let consumed = ["`retry` may run the body twice, and this consumes `self`: pass a clone of it, or take `&self`"];
    let owned = |body| retry(&format!("async fn get(self) -> Result<(), Error> {{ {body} }}"));
    assert_eq!(owned("finish(self, 1)"), consumed);
    assert_eq!(owned("let this = self; this.get().await"), consumed);
    assert_eq!(owned("if a { Ok(Some(self)) } else { b }"), consumed);
    for body in ["finish(&self)", "self.get().await", "finish(self.id)", "println!(\"{:?}\", self)", "match self {}"] {
        assert_eq!(owned(body), none, "{body}");
    }
    assert_eq!(owned("struct S; impl S { fn get(self) { drop(self) } } Ok(())"), none);
    assert_eq!(retry("async fn get(&self) -> Result<(), Error> { finish(self) }"), none);
    assert_eq!(on_item("async fn get(self) -> Result<(), Error> { finish(self) }"), none);

    let lent = ["`retry` may run the body twice, so the method cannot return what it borrows from `&mut self`: take \
                 `&self`, or return a value that is owned"];
    let lends = |sig: &str| retry(&format!("async fn get{sig} {{ body() }}"));
    assert_eq!(lends("(&mut self) -> Result<&str, Error>"), lent);
    assert_eq!(lends("(&mut self) -> Result<Option<&mut Item>, Error>"), lent);
    assert_eq!(lends("(&mut self) -> Result<Iter<'_, u8>, Error>"), lent);
    assert_eq!(lends("<'a>(&'a mut self) -> Result<Iter<'a, u8>, Error>"), lent);
    assert_eq!(lends("<'a>(&mut self, b: &'a str) -> Result<&'a str, Error>"), none);
    assert_eq!(lends("<'a>(&'a mut self, b: &'a str) -> Result<&'a str, Error>"), none);
    assert_eq!(lends("(&mut self) -> Result<&'static str, Error>"), none);
    assert_eq!(lends("(&mut self) -> Result<Box<dyn Fn(&str) -> u8>, Error>"), none);
    assert_eq!(lends("(&self) -> Result<&str, Error>"), none);
    assert_eq!(retry("fn get(&mut self) -> BoxFuture<'_, Result<(), Error>> { Box::pin(async move {}) }"), none);
}

#[test]
fn futures_that_outlive_self() {
    let advice = ["this future is `'static`, so it cannot borrow `self.session`: write `let session = \
                   self.session.clone();` before its `async` block, and `from = session` in the attribute"];
    let none: [&str; 0] = [];
    let future = |args, output| errors(args, &format!("fn get(&self) -> {output} {{ Box::pin(async move {{}}) }}"));
    assert_eq!(future("", "BoxFuture<'static, Result<(), Error>>"), advice);
    assert_eq!(future("", "Self::Future"), advice);
    assert_eq!(future("from = session", "Self::Future"), none);
    assert_eq!(future("", "Self::Future<'_>"), none);
    assert_eq!(future("from = self.auth", "BoxFuture<'static, Result<(), Error>>"), advice);
    assert_eq!(future("", "Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>"), advice);
    assert_eq!(future("", "impl Future<Output = Result<(), Error>> + Send + 'static"), advice);
    assert_eq!(future("", "impl Future<Output = Result<(), Error>> + use<>"), advice);
    assert_eq!(future("", "impl Future<Output = Result<(), Error>> + use<'_>"), none);
    assert_eq!(future("from = session", "BoxFuture<'static, Result<(), Error>>"), none);
    assert_eq!(future("", "Pin<Box<dyn Future<Output = Result<(), Error>> + Send + '_>>"), none);
    assert_eq!(future("", "impl Future<Output = Result<(), Error>> + Send"), none);
    assert_eq!(future("", "Reply<Result<(), Error>>"), none);
}

#[test]
fn the_option_token_is_missing() {
    let advice = ["there is no `token` here without the option of that name: write `#[refresh_token(token)]`"];
    let none: [&str; 0] = [];
    let body = |body| on_item(&format!("async fn get(&self) -> Result<(), Error> {{ {body} }}"));
    assert_eq!(body("self.http.get(url).bearer(&token).send().await"), advice);
    assert_eq!(body("let header = token.header(); send(header, &token)"), advice);
    for bound in [
        "let token = self.token(); send(&token)",
        "let Some(token) = token() else { return }; send(&token)",
        "if let Some(&token) = tokens.first() { send(&token) }",
        "tokens.iter().map(|&token| send(&token))",
        "tokens.iter().map(|token: &Token| token.get())",
        "for token in tokens { send(&token) }",
        "match a { Some(&token) => send(&token), None => b }",
        "match a { &token => send(&token) }",
        "let Api { token, .. } = self; send(&token)",
        "send(&self.token, self.token.get(), token::new(), token())",
        "send(token)",
        "fn send(token: &str) { token.len(); }",
    ] {
        assert_eq!(body(bound), none, "{bound}");
    }
    assert_eq!(on_item("async fn get(&self, token: &str) -> Result<(), Error> { send(&token) }"), none);
    assert_eq!(errors("token = bearer", "async fn get(&self) -> Result<(), Error> { send(&token) }"), none);
    let named = output("", "async fn get(&self) -> Result<(), Error> { send(&token) }");
    assert!(named.contains("let token ="), "{named}");

    let not_async = "this method is not async, so the attribute of the block leaves it alone, and there is no token: put \
                     `#[refresh_token(token)]` on the method too, and turn on the feature `blocking`; or make it `async`";
    let block =
        "impl Api { fn get(&self) -> Result<(), Error> { send(&token) } async fn a(&self) -> Result<(), Error> {} }";
    assert_eq!(errors("token", block), [not_async]);
}

#[test]
fn the_session_is_a_method() {
    let advice = ["`session` is a method here, not a field: write `from = self.session()`"];
    let none: [&str; 0] = [];
    let block = |session| format!("impl Api {{ {session} async fn get(&self) -> Result<(), Error> {{}} }}");
    assert_eq!(on_item(&block("fn session(&self) -> &Session { &self.auth }")), advice);
    assert_eq!(errors("from = self.session()", &block("fn session(&self) -> &Session { &self.auth }")), none);
    assert_eq!(on_item(&block("fn session(&self) -> &Session { &self.session }")), none);
    assert_eq!(on_item(&block("fn session(&self, id: u64) -> &Session { &self.sessions[id] }")), none);
    assert_eq!(on_item(&block("fn session() -> Session { Session::new() }")), none);
}

#[test]
fn traits_have_no_fields() {
    let advice =
        ["a trait has no field `self.session`: write `from = self.session()`, with a method of the trait that \
                   returns the session"];
    let none: [&str; 0] = [];
    let item = "trait Api { async fn get(&self) -> Result<(), Error> {} }";
    assert_eq!(on_item(item), advice);
    assert_eq!(errors("from = self.session()", item), none);
    let item = "trait Api { #[refresh_token(from = self.session())] async fn get(&self) -> Result<(), Error> {} }";
    assert_eq!(on_item(item), none);
}

#[test]
fn nothing_to_guard() {
    let advice = ["`#[refresh_token]` finds nothing to guard here: it guards each `async fn …(&self, …)` that has a \
                   body and no `#[refresh_token(skip)]`; a method that is not async takes an attribute of its own, and \
                   needs the feature `blocking`"];
    assert_eq!(on_item("impl Api {}"), advice);
    assert_eq!(on_item("impl Api { fn new() -> Self {} async fn connect() -> Self {} }"), advice);
    assert_eq!(on_item("trait Api { async fn get(&self); }"), advice);
    assert_eq!(on_member("#[refresh_token(skip)]"), advice);
}

#[test]
fn all_at_once() {
    let item = "impl Api {
        #[refresh_token(tokne)]
        async fn one(&self) -> Result<(), Error> {}
        #[refresh_token]
        const fn two(&self) -> Result<(), Error> {}
    }";
    assert_eq!(errors("from, bearer", item).len(), 4);
}

/// Returns what the macro writes for `#[refresh_token(args)] item`.
fn output(args: &str, item: &str) -> String {
    let [args, item]: [TokenStream; 2] = [args, item].map(|text| parse_str(text).expect("tokens"));
    crate::attribute(args, &item, NAMES).to_string()
}

#[test]
fn mistakes_keep_the_item_and_the_token_in_scope() {
    let output = output("token = bearer, tiemout", "async fn get(&self) -> Result<(), Error> { send(bearer) }");
    assert!(output.contains("compile_error ! { \"unknown option `tiemout`"), "{output}");
    assert!(
        output.contains("let bearer = :: core :: option :: Option :: < :: jwt_refresh :: AccessToken >"),
        "{output}"
    );
    assert!(output.contains("send (bearer)"), "{output}");
}

#[test]
fn an_option_that_is_written_wrongly_has_the_name_in_scope_that_was_meant() {
    let named = |args: &str, name: &str| {
        let output = output(args, "async fn get(&self) -> Result<(), Error> { send() }");
        assert_eq!(output.matches("compile_error").count(), 1, "{output}");
        assert!(output.contains(&format!("let {name} =")), "{args}: {output}");
    };
    named("tokn", "token");
    named("tokn = bearer", "bearer");
    named("token as bearer", "bearer");
    named("token(bearer)", "bearer");
    named("token: bearer", "bearer");
    named("token = \"bearer\"", "bearer");
    named("bearer", "bearer");
}

#[test]
fn the_guide_has_every_option() {
    let guide = include_str!("../../../src/guide/first_wrapper.md");
    for form in crate::args::forms() {
        assert!(guide.contains(&format!("| {form} |")), "no row for {form}");
    }
}

#[test]
fn mistakes_leave_no_attribute_behind_to_complain_again() {
    let output =
        output("", "impl Api { #[doc = \"x\"] #[refresh_token(skip = 1)] async fn get(&self) {} const N: u8 = 1; }");
    assert!(!output.contains("refresh_token"), "{output}");
    assert!(output.contains("# [doc = \"x\"] async fn get (& self) { }"), "{output}");
}
