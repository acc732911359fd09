//! What auth workers keep of an account where nobody else can read: with what its tokens can be renewed.

use zeroize::Zeroizing;

use super::place::Cloak;
use crate::json::Object;
use crate::renewal::RefreshCredential;
use crate::store::StoreError;
use crate::token::RefreshToken;

/// To be kept; empty if there is nothing to keep.
pub(super) fn write(cloak: &Cloak, account: &str, grant: &RefreshCredential) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let Some(token) = grant.token() else { return Ok(Zeroizing::default()) };
    let doubtful = matches!(grant, RefreshCredential::InDoubt(_));
    let json =
        serde_json::json!({ "refresh_token": token.expose(), "doubtful": doubtful, "reusable": grant.is_reusable() });
    cloak.wrap(&binding(account), Zeroizing::new(json.to_string()).as_bytes())
}

/// What was kept. What cannot be read is as good as nothing: the account logs in.
pub(super) fn read(cloak: &Cloak, account: &str, kept: &[u8]) -> RefreshCredential {
    if kept.is_empty() {
        return RefreshCredential::None;
    }
    let read = || {
        let data = cloak.unwrap(&binding(account), kept)?;
        let object = Object::parse(&data).map_err(|_| "is not what an auth worker writes")?;
        let field = |name| object.at(name).map_err(|_| "is not what an auth worker writes");
        let token = field("refresh_token")?.and_then(|token| token.as_str().map(RefreshToken::from));
        let doubtful = field("doubtful")?.and_then(|doubtful| doubtful.as_bool()).unwrap_or(true);
        let reusable = field("reusable")?.and_then(|reusable| reusable.as_bool()).unwrap_or(false);
        Ok::<_, &str>(match token {
            Some(token) if doubtful => RefreshCredential::InDoubt(token),
            Some(token) if reusable => RefreshCredential::Reusable(token),
            Some(token) => RefreshCredential::Valid(token),
            None => RefreshCredential::None,
        })
    };
    read().unwrap_or_else(|why| {
        tracing::warn!(target: "jwt_refresh", account, "the refresh token in the pool's vault {why}; logging in instead");
        RefreshCredential::None
    })
}

fn binding(account: &str) -> String {
    format!("jwt-refresh pool refresh token of {account}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let cloak = Cloak::default();
        for grant in [
            RefreshCredential::None,
            RefreshCredential::Valid("r".into()),
            RefreshCredential::Reusable("r".into()),
            RefreshCredential::InDoubt("r".into()),
        ] {
            assert_eq!(read(&cloak, "a", &write(&cloak, "a", &grant).unwrap()), grant);
        }
    }

    #[test]
    fn what_cannot_be_read_is_as_good_as_nothing() {
        for kept in [&b"c"[..], b"c{", b"cnull", b"s", b"x{}", b"c{\"refresh_token\":7}"] {
            assert_eq!(read(&Cloak::default(), "a", kept), RefreshCredential::None);
        }
    }

    #[cfg(feature = "seal")]
    #[test]
    fn what_is_sealed_is_read_with_its_key_for_its_account_alone() {
        let with_key = || Cloak { key: Some(crate::store::SealKey::generate().unwrap()) };
        let cloak = with_key();
        let kept = write(&cloak, "a", &RefreshCredential::Valid("RefreshS3cret".into())).unwrap();
        assert!(!String::from_utf8_lossy(&kept).contains("S3cret"));
        assert_eq!(read(&cloak, "a", &kept), RefreshCredential::Valid("RefreshS3cret".into()));
        assert_eq!(read(&cloak, "b", &kept), RefreshCredential::None);
        assert_eq!(read(&with_key(), "a", &kept), RefreshCredential::None);
        assert_eq!(read(&Cloak::default(), "a", &kept), RefreshCredential::None);
    }
}
