//! Every message in full. Where each points is for `tests/ui/fail` of the root package to show.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{parse, valid};

/// The errors for `#[refresh_token(args)] item`.
fn errors(args: TokenStream, item: TokenStream) -> Vec<String> {
    let mut errors = Vec::new();
    if let Some(mut item) = parse::item(item, &mut errors) {
        valid::item(&mut item, args, &mut errors);
    }
    errors.iter().map(ToString::to_string).collect()
}

fn on_method(args: TokenStream) -> Vec<String> {
    errors(
        args,
        quote!(
            async fn get(&self, id: u64) -> Result<(), Error> {}
        ),
    )
}

fn on_member(helper: &TokenStream) -> Vec<String> {
    errors(quote!(), quote!(impl Api { #helper async fn get(&self) -> Result<(), Error> {} }))
}

fn on_item(item: TokenStream) -> Vec<String> {
    errors(quote!(), item)
}

#[test]
fn nothing_wrong() {
    let none: [&str; 0] = [];
    assert_eq!(on_method(quote!()), none);
    assert_eq!(on_method(quote!(from = self.auth.session(), token = bearer, crate = ::jwt_refresh_core,)), none);
    assert_eq!(on_member(&quote!(#[refresh_token] #[doc = "x"])), none);
    assert_eq!(on_member(&quote!(#[jwt_refresh::refresh_token(token)])), none);
    assert_eq!(on_member(&quote!(async fn other(&self) -> Result<(), Error> {} #[refresh_token(skip)])), none);
    assert_eq!(
        errors(
            quote!(from = SESSION),
            quote!(
                pub async fn get() -> Result<(), Error> {}
            )
        ),
        none
    );
}

#[test]
fn unknown_option() {
    assert_eq!(
        on_method(quote!(form = self.auth)),
        [
            "unknown option `form`: did you mean `from`? The options are `from = <expression>`, `token`, `token = <name>` and \
          `crate = <path>`"
        ]
    );
    assert_eq!(
        on_method(quote!(session = self.auth)),
        [
            "unknown option `session`: did you mean `from`? The options are `from = <expression>`, `token`, `token = <name>` and \
          `crate = <path>`"
        ]
    );
    assert_eq!(
        on_method(quote!(timeout)),
        [
            "unknown option `timeout`: the options are `from = <expression>`, `token`, `token = <name>` and `crate = <path>`"
        ]
    );
    assert_eq!(
        on_member(&quote!(#[refresh_token(skp)])),
        [
            "unknown option `skp`: did you mean `skip`? The options are `from = <expression>`, `token`, `token = <name>`, \
          `crate = <path>` and `skip`"
        ]
    );
    assert_eq!(
        on_method(quote!("token")),
        ["expected an option: `from = <expression>`, `token`, `token = <name>` and `crate = <path>`"]
    );
    assert_eq!(
        on_method(quote!(self.auth)),
        ["which option is this? To say where the session is, write `from = self.session`"]
    );
}

#[test]
fn duplicate() {
    assert_eq!(on_method(quote!(token, from = self.a, token = t)), ["`token` is given twice: keep one of the two"]);
    assert_eq!(on_method(quote!(from = self.a, from = self.b)), ["`from` is given twice: keep one of the two"]);
    assert_eq!(
        on_member(&quote!(#[refresh_token] #[refresh_token(token)])),
        ["`#[refresh_token]` is given twice: write one attribute, with commas between its options"]
    );
}

#[test]
fn malformed_from() {
    let advice = ["`from` takes the expression that gives the session: write `from = self.session`"];
    assert_eq!(on_method(quote!(from)), advice);
    assert_eq!(on_method(quote!(from =, token)), advice);
    assert_eq!(on_method(quote!(from(self.auth))), advice);
    assert_eq!(on_method(quote!(from = struct)), advice);
    assert_eq!(
        on_method(quote!(from = "self.auth")),
        ["`from` takes an expression, not a string: write `from = self.auth`"]
    );
}

#[test]
fn malformed_token() {
    let advice = ["`token` takes a name: write `token`, or `token = <name>` to call it something else"];
    assert_eq!(on_method(quote!(token = 1)), advice);
    assert_eq!(on_method(quote!(token = true)), advice);
    assert_eq!(on_method(quote!(token = self.token)), advice);
    assert_eq!(on_method(quote!(token = a.b)), advice);
    assert_eq!(on_method(quote!(token(bearer))), advice);
    assert_eq!(on_method(quote!(token: bearer)), advice);
    assert_eq!(on_method(quote!(token = "bearer")), ["`token` takes a name, not a string: write `token = bearer`"]);
}

#[test]
fn malformed_crate() {
    let advice = ["`crate` takes the path of the runtime: write `crate = ::jwt_refresh`"];
    assert_eq!(on_method(quote!(crate)), advice);
    assert_eq!(on_method(quote!(crate = 1)), advice);
    assert_eq!(
        on_method(quote!(crate = "my_auth::jwt")),
        ["`crate` takes a path, not a string: write `crate = my_auth::jwt`"]
    );
}

#[test]
fn malformed_skip() {
    assert_eq!(on_member(&quote!(#[refresh_token(skip = true)])), ["`skip` takes no value: write `skip`"]);
    assert_eq!(
        on_member(&quote!(#[refresh_token(skip, token)])),
        ["`skip` leaves the method alone: remove it, or the other options"]
    );
    assert_eq!(
        on_method(quote!(skip)),
        ["`skip` is for a method whose whole `impl` has `#[refresh_token]`: here, remove the attribute instead"]
    );
    assert_eq!(
        errors(quote!(skip), quote!(impl Api { async fn get(&self) -> Result<(), Error> {} })),
        ["`skip` is for one method of an annotated block: put `#[refresh_token(skip)]` on the method to leave alone"]
    );
}

#[test]
fn malformed_list() {
    let advice = "options are separated by commas: write a `,` before this";
    assert_eq!(on_method(quote!(token from = self.auth)), [advice]);
    assert_eq!(on_method(quote!(from = self.auth; token)), [advice]);
    assert_eq!(
        on_member(&quote!(#[refresh_token = "token"])),
        ["options go in parentheses: write `#[refresh_token(<options>)]`"]
    );
}

#[test]
fn not_a_method_or_block() {
    let goes_on = "`#[refresh_token]` goes on an async method, on a free `async fn` with `from = <expression>`, or on a \
                   whole `impl` block or trait";
    let moved = |kind| format!("{goes_on}: move it from this `{kind}` to the `impl` block with its methods");
    assert_eq!(
        on_item(quote!(
            pub(crate) struct Api(fn() -> u8);
        )),
        [moved("struct")]
    );
    assert_eq!(
        on_item(quote!(
            #[doc = "x"]
            pub enum Api {}
        )),
        [moved("enum")]
    );
    assert_eq!(on_item(quote!(union Api { a: u8 })), [moved("union")]);
    let without = |kind| format!("{goes_on}: a `{kind}` has no method to guard");
    assert_eq!(
        on_item(quote!(
            const F: fn() = f;
        )),
        [without("const")]
    );
    assert_eq!(
        on_item(quote!(
            static F: fn() = f;
        )),
        [without("static")]
    );
    assert_eq!(
        on_item(quote!(
            mod api {
                fn f() {}
            }
        )),
        [without("mod")]
    );
    assert_eq!(
        on_item(quote!(
            use api::Api;
        )),
        [without("use")]
    );
    assert_eq!(
        on_item(quote!(
            extern crate api;
        )),
        [without("extern")]
    );
    assert_eq!(
        on_item(quote!(
            unsafe extern "C" {
                fn f();
            }
        )),
        [goes_on]
    );
    assert_eq!(on_item(quote!(api! {})), [goes_on]);
}

#[test]
fn functions_that_cannot_be_guarded() {
    assert_eq!(
        on_item(quote!(
            const fn get(&self) -> Result<(), Error> {}
        )),
        ["a `const fn` cannot wait for a token: write `async fn` instead"]
    );
    assert_eq!(
        on_item(quote!(
            pub unsafe extern "C" fn get(&self) -> Result<(), Error> {}
        )),
        ["the token may have to be waited for: write `async fn`"]
    );
    assert_eq!(
        on_item(quote!(
            async fn get(id: u64) -> Result<(), Error> {}
        )),
        [
            "there is no `self` to take `self.session` from: add a receiver such as `&self`, or say where the session is with \
          `#[refresh_token(from = <expression>)]`"
        ]
    );
    assert_eq!(
        on_item(quote!(
            async fn get(&self) -> Result<(), Error>;
        )),
        ["there is no body to guard: put the attribute on the method of the `impl`, or write a default body here"]
    );
    assert_eq!(
        errors(
            quote!(token),
            quote!(
                async fn get(&self, token: &str) -> Result<(), Error> {}
            )
        ),
        ["the token is called `token` too, and would hide this argument: rename the argument, or the token with \
          `token = <name>`"]
    );
}

#[test]
fn members_that_cannot_be_guarded() {
    assert_eq!(
        on_member(&quote!(#[refresh_token] fn new() -> Self {} #[refresh_token(token)])),
        [
            "the token may have to be waited for: write `async fn`",
            "there is no `self` to take `self.session` from: add a receiver such as `&self`, or say where the session is with \
             `#[refresh_token(from = <expression>)]`",
        ]
    );
}

#[test]
fn nothing_to_guard() {
    let advice =
        ["`#[refresh_token]` finds nothing to guard here: it guards methods of the form `async fn …(&self, …)` that \
                   have a body and no `#[refresh_token(skip)]`; add one, or remove the attribute"];
    assert_eq!(on_item(quote!(impl Api {})), advice);
    assert_eq!(on_item(quote!(impl Api { fn new() -> Self {} async fn connect() -> Self {} })), advice);
    assert_eq!(
        on_item(quote!(
            trait Api {
                async fn get(&self);
            }
        )),
        advice
    );
    assert_eq!(on_member(&quote!(#[refresh_token(skip)])), advice);
}

#[test]
fn all_at_once() {
    let item = quote! {
        impl Api {
            #[refresh_token(tokne)]
            async fn one(&self) -> Result<(), Error> {}
            #[refresh_token]
            const fn two(&self) -> Result<(), Error> {}
        }
    };
    assert_eq!(errors(quote!(from, bearer), item).len(), 4);
}

#[test]
fn mistakes_keep_the_item_and_the_token_in_scope() {
    let item = quote!(
        async fn get(&self) -> Result<(), Error> {
            send(bearer)
        }
    );
    let output = crate::attribute(quote!(token = bearer, tiemout), &item).to_string();
    assert!(output.contains("compile_error ! { \"unknown option `tiemout`"), "{output}");
    assert!(
        output.contains("let bearer = :: core :: option :: Option :: < :: jwt_refresh :: AccessToken >"),
        "{output}"
    );
    assert!(output.contains("send (bearer)"), "{output}");
}

#[test]
fn mistakes_leave_no_attribute_behind_to_complain_again() {
    let item = quote!(impl Api { #[doc = "x"] #[refresh_token(skip = 1)] async fn get(&self) {} const N: usize = 1; });
    let output = crate::attribute(quote!(), &item).to_string();
    assert!(!output.contains("refresh_token"), "{output}");
    assert!(output.contains("# [doc = \"x\"] async fn get (& self) { }"), "{output}");
}
