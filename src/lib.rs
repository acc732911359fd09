//! An attribute that gives every method of an API struct a valid access token.
