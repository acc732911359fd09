#![doc = include_str!("links.md")]
#![doc = include_str!("index.md")]

// The pages name items by their short names.
#[allow(unused_imports)]
use crate::{pool::*, prelude::*, store::*, *};

/// Declares a page: a module that is nothing but its documentation. The first lines of each page
/// are what the links between pages mean here; in the repository they lead to files.
macro_rules! pages {
    ($($name:ident $file:literal)*) => {$(
        #[doc = include_str!("links.md")]
        #[doc = include_str!($file)]
        pub mod $name {}
    )*};
}

pages! {
    first_wrapper "first_wrapper.md"
    moving "moving.md"
    logins "logins.md"
    retry "retry.md"
    stores "stores.md"
    many_processes "many_processes.md"
    pools "pools.md"
    fleets "fleets.md"
    other_clients "other_clients.md"
    testing "testing.md"
    observability "observability.md"
    promises "promises.md"
    troubleshooting "troubleshooting.md"
    features "features.md"
}
