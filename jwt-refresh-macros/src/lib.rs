//! The `#[refresh_token]` attribute of jwt-refresh.
