//! A real auth server and API on loopback, to test API wrappers against.
