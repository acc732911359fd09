//! Each file in `tests/snapshots` holds an annotated item and, below a line, its expansion.
//! `UPDATE_SNAPSHOTS=1 cargo test -p jwt-refresh-macros` writes the expansions again.

use std::path::Path;
use std::{env, fs};

use proc_macro2::{TokenStream, TokenTree};
use syn::parse_str;

use super::NAMES;

const LINE: &str = "\n// ---- expands to ----\n\n";

#[test]
fn expansions_are_as_checked_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    for entry in fs::read_dir(folder).expect("a folder of snapshots") {
        let path = entry.expect("an entry of the folder").path();
        let snapshot = fs::read_to_string(&path).expect("a readable snapshot");
        let input = snapshot.split(LINE).next().unwrap_or_default();
        let expansion = format!("{input}{LINE}{}", expand(input));
        if env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&path, expansion).expect("a writable snapshot");
        } else {
            assert_eq!(snapshot, expansion, "{} is out of date", path.display());
        }
    }
}

fn expand(input: &str) -> String {
    let item: TokenStream = parse_str(input).expect("an item");
    let (args, item) = take_attribute(item);
    let file = syn::parse2(crate::attribute(args, &item, NAMES)).expect("an expansion that parses");
    prettyplease::unparse(&file)
}

/// Separates `#[refresh_token(args)]` from the item, as the compiler does.
fn take_attribute(item: TokenStream) -> (TokenStream, TokenStream) {
    let mut trees = item.into_iter();
    let Some(TokenTree::Group(brackets)) = trees.nth(1) else {
        panic!("a snapshot starts with its attribute");
    };
    let args = match brackets.stream().into_iter().nth(1) {
        Some(TokenTree::Group(args)) => args.stream(),
        _ => TokenStream::new(),
    };
    (args, trees.collect())
}
