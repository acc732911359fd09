//! The access tokens in an entry that are for other parameters than the account's own.

use super::record::{Active, LoginStatus, Record, StoredToken, stored};
use super::record_format::{read_other, write_other};
use crate::clock::Moment;
use crate::renewal::IssuedTokens;
use crate::secret::Secret;
use crate::token::AccessParameters;

impl Record {
    /// Returns the record of an access token for `parameters`, which follows on `self`, as the
    /// clock shows `now`. The account's own stays.
    pub(super) fn with_other(&self, parameters: &AccessParameters, issued: &IssuedTokens, now: Moment) -> Self {
        let active = self.active().cloned().unwrap_or_default();
        let token = stored(issued, now);
        // What has expired is of no use to others.
        let is_kept = |other: &Secret| match read_other(other) {
            Some((of, stored)) => {
                of != *parameters && stored.written.expires.is_none_or(|expires| expires > now.wall.as_nanos())
            }
            None => true,
        };
        let others = active.others.iter().filter(|other| is_kept(other)).cloned();
        let others = others.chain([write_other(parameters, &token)]).collect();
        let refresh_expires = issued.login_ends.map(|ends| ends.wall.as_nanos());
        let active = Active { others, credential: issued.credential.clone(), mark: None, refresh_expires, ..active };
        Self { sequence: issued.sequence, status: LoginStatus::Active(active), ..self.clone() }
    }

    /// Returns the access token for `parameters`, if the record has it.
    pub(super) fn other(&self, parameters: &AccessParameters) -> Option<StoredToken> {
        let others = self.active()?.others.iter().filter_map(read_other);
        others.into_iter().find_map(|(of, stored)| (of == *parameters).then_some(stored))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;
    use crate::policy::Policy;
    use crate::session::record_format;
    use crate::token::Tokens;

    fn now() -> Moment {
        Moment { wall: Timestamp::from_nanos(1_800_000_000_000_000_000), boot: Timestamp::from_nanos(5) }
    }

    fn issued(token: &str, sequence: u64, lives: u64) -> IssuedTokens {
        let tokens = Tokens::new(token).unwrap().refresh_token(format!("refresh-{sequence}"));
        IssuedTokens::captured(&Policy::default(), tokens.expires_in(Duration::from_secs(lives)), now(), sequence)
    }

    #[test]
    fn a_token_for_other_parameters_is_read_by_them_and_leaves_all_else_as_it_is() {
        let (a, b) = (AccessParameters::for_audience("a\"\n"), AccessParameters::for_resource("b").and_scope("x"));
        let own = Record::empty(0).with_tokens(&issued("own", 1, 60), now());
        let record = own.with_other(&a, &issued("for-a", 2, 60), now()).with_other(&b, &issued("for-b", 3, 60), now());
        let record = record_format::read(&record_format::write(&record, "ada", 7), "ada", 7).unwrap();
        let token = |parameters| record.other(parameters).map(|stored| stored.token.expose().to_owned());
        assert_eq!((token(&a), token(&b)), (Some("for-a".to_owned()), Some("for-b".to_owned())));
        assert_eq!(token(&AccessParameters::for_resource("b")), None);
        let active = record.active().unwrap();
        assert_eq!(active.access, own.active().unwrap().access);
        assert_eq!(record.credential().unwrap().token().unwrap().expose(), "refresh-3");
        assert_eq!(record.without_others().other(&a), None);
    }

    #[test]
    fn a_newer_token_takes_the_place_of_the_older_and_what_has_expired_goes_but_for_what_cannot_be_read() {
        let [a, b] = ["a", "b"].map(AccessParameters::for_audience);
        let mut record = Record::empty(0).with_tokens(&issued("own", 1, 60), now());
        if let LoginStatus::Active(active) = &mut record.status {
            active.others.push(r#"{"parameters":{"later":7},"token":"c"}"#.into());
        }
        let record = record.with_other(&a, &issued("old", 2, 60), now()).with_other(&b, &issued("b", 3, 10), now());
        let later = now() + Duration::from_secs(20);
        let record = record.with_other(&a, &issued("new", 4, 60), later);
        assert_eq!(record.other(&a).unwrap().token.expose(), "new");
        assert_eq!(record.other(&b), None);
        assert_eq!(record.active().unwrap().others.len(), 2);
    }
}
