//! How a session's entry is written: one JSON object in format 2, described in DESIGN.md. Entries
//! in format 1 are read too. What a later version has added to format 2 is kept.

use std::collections::BTreeMap;

use serde_core::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::record::{Active, LoginStatus, Mark, Record, StoredToken, UnknownFields};
use super::record_times::Written;
use super::unsaved::Adoption;
use crate::json;
use crate::renewal::RefreshCredential;
use crate::secret::Secret;
use crate::store::{StoreError, StoreErrorKind, is_sealed, without_key};
use crate::token::{AccessParameters, AccessToken, ProofKey, RefreshToken};

const FORMAT: u64 = 2;
/// The field with the private key that a token is bound to (RFC 9449).
const KEY: &str = "dpop_key";
/// The longest entry that is read, in bytes. No account's tokens are longer.
const MAX_LEN: usize = 1024 * 1024;
/// The highest number that is read: it leaves room to count on.
const MAX_NUMBER: u64 = u64::MAX / 2;

/// Returns the bytes of the account's entry of `revision`.
pub(super) fn write(record: &Record, account: &str, revision: u64) -> Zeroizing<Vec<u8>> {
    let mut object = ObjectWriter::new();
    object.field("format", FORMAT);
    object.field("account", account);
    object.field("revision", revision);
    object.field("sequence", record.sequence);
    object.field("server", &record.server);
    object.field("captured", &record.captured);
    object.field("adoption", record.adoption.map(|Adoption(number)| format!("{number:016x}")));
    match &record.status {
        LoginStatus::LoggedOut => object.field("status", "logged out"),
        LoginStatus::Active(active) => {
            object.field("status", "active");
            write_active(&mut object, active);
        }
    }
    object.finish()
}

fn write_active(object: &mut ObjectWriter, active: &Active) {
    let own = active.access.as_ref().map(|stored| write_token(&BTreeMap::new(), stored));
    let tokens = own.iter().map(|token| str::from_utf8(token).unwrap_or("null"));
    object.array("access", tokens.chain(active.others.iter().map(Secret::expose)));
    object.field("refresh_token", active.credential.token().map(RefreshToken::expose));
    object.field(KEY, active.credential.token().and_then(RefreshToken::key).map(ProofKey::written));
    object.field("client_id", active.credential.token().and_then(RefreshToken::client));
    object.field("issuer", active.credential.token().and_then(RefreshToken::issuer));
    object.field("doubtful", matches!(active.credential, RefreshCredential::InDoubt(_)));
    object.field("reusable", active.credential.is_reusable());
    object.field("refresh_expires_ns", active.refresh_expires);
    object.field("spending", active.mark.map(|Mark(number)| format!("{number:016x}")));
    object.raw_fields(&active.unknown);
}

/// Returns an access token for other parameters than the account's own, as an entry has it.
pub(super) fn write_other(parameters: &AccessParameters, stored: &StoredToken) -> Secret {
    let written = write_token(parameters.as_map(), stored);
    str::from_utf8(&written).unwrap_or("null").into()
}

/// Reads such an access token. `None` if this version cannot read it, and leaves it alone.
pub(super) fn read_other(written: &Secret) -> Option<(AccessParameters, StoredToken)> {
    let mut fields = Fields::parse(written.expose().as_bytes()).ok()?;
    let parameters = serde_json::from_str(fields.raw("parameters")?.get()).ok()?;
    Some((AccessParameters::from_entry(parameters), read_token(fields).ok()?))
}

fn write_token(parameters: &BTreeMap<String, String>, stored: &StoredToken) -> Zeroizing<Vec<u8>> {
    let mut object = ObjectWriter::new();
    object.field("parameters", parameters);
    object.field("token", stored.token.expose());
    object.field(KEY, stored.key.as_ref().map(ProofKey::written));
    object.field("issued_ns", stored.written.issued);
    object.field("expires_ns", stored.written.expires);
    object.field("server_ahead_ns", stored.written.server_ahead);
    object.raw_fields(&stored.unknown);
    object.finish()
}

/// Writes a JSON object to memory that is wiped.
struct ObjectWriter(Zeroizing<Vec<u8>>);

impl ObjectWriter {
    fn new() -> Self {
        // Most entries fit, so that the buffer does not grow and leave a copy behind.
        let mut bytes = Vec::with_capacity(16 * 1024);
        bytes.push(b'{');
        Self(Zeroizing::new(bytes))
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.value(name);
        self.0.push(b':');
    }

    fn value(&mut self, value: impl Serialize) {
        // Writing numbers, strings and maps of strings to memory cannot fail.
        let _ = serde_json::to_writer(&mut *self.0, &value);
    }

    fn field(&mut self, name: &str, value: impl Serialize) {
        self.name(name);
        self.value(value);
    }

    fn array<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a str>) {
        self.name(name);
        self.0.push(b'[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            self.0.extend_from_slice(value.as_bytes());
        }
        self.0.push(b']');
    }

    fn raw_fields(&mut self, fields: &UnknownFields) {
        for (name, value) in fields {
            self.name(name);
            self.0.extend_from_slice(value.expose().as_bytes());
        }
    }

    fn finish(mut self) -> Zeroizing<Vec<u8>> {
        self.0.push(b'}');
        self.0
    }
}

/// Reads an entry. Checks that it is this account's and that it has the revision that the store
/// says.
///
/// # Errors
///
/// [`StoreErrorKind::Corrupt`], [`StoreErrorKind::KeyMismatch`] and
/// [`StoreErrorKind::LaterFormat`], with the revision.
pub(super) fn read(data: &[u8], account: &str, revision: u64) -> Result<Record, StoreError> {
    let read = || {
        if is_sealed(data) {
            return Err(without_key(account, revision));
        }
        if data.len() > MAX_LEN {
            return Err(corrupt("is longer than 1 MiB"));
        }
        let mut fields = Fields::parse(data).map_err(|_| corrupt("is not what a session writes"))?;
        let format = fields.number("format")?;
        if format > FORMAT {
            return Err(later(format));
        }
        if fields.text("account")?.as_deref() != Some(account) {
            return Err(corrupt("is another account's"));
        }
        if fields.number("revision")? != revision {
            return Err(corrupt("is of another revision than the store says"));
        }
        match format {
            1 => read_format_1(fields),
            FORMAT => read_format_2(fields),
            _ => Err(corrupt("is of a format that there never was")),
        }
    };
    read().map_err(|error| error.at_revision(revision))
}

fn read_format_1(mut fields: Fields<'_>) -> Result<Record, StoreError> {
    let sequence = fields.number("issue")?;
    if is_logged_out(&mut fields)? {
        return Ok(Record { sequence, server: None, captured: None, adoption: None, status: LoginStatus::LoggedOut });
    }
    let access = match fields.text("access_token")? {
        None => None,
        Some(token) => Some(StoredToken {
            token: valid(token, "access_token")?,
            key: None,
            written: read_times(&mut fields)?,
            unknown: Vec::new(),
        }),
    };
    let mark = fields.flag("spending")?.then_some(Mark::UNNUMBERED);
    let credential = read_credential(&mut fields)?;
    let refresh_expires = fields.nanos("refresh_expires_ns")?;
    let active = Active { access, credential, mark, refresh_expires, ..Active::default() };
    Ok(Record { sequence, server: None, captured: None, adoption: None, status: LoginStatus::Active(active) })
}

fn read_format_2(mut fields: Fields<'_>) -> Result<Record, StoreError> {
    let sequence = fields.number("sequence")?;
    let (server, captured) = (fields.text("server")?, fields.text("captured")?);
    let adoption = |number: String| u64::from_str_radix(&number, 16).ok().map(Adoption);
    let adoption = fields.text("adoption")?.and_then(adoption);
    if is_logged_out(&mut fields)? {
        return Ok(Record { sequence, server, captured, adoption, status: LoginStatus::LoggedOut });
    }
    let (access, others) = read_tokens(&mut fields)?;
    // A mark that cannot be read is no mark of this session.
    let mark = |number: String| u64::from_str_radix(&number, 16).map_or(Mark::UNNUMBERED, Mark);
    let mark = fields.text("spending")?.map(mark);
    let active = Active {
        access,
        others,
        credential: read_credential(&mut fields)?,
        mark,
        refresh_expires: fields.nanos("refresh_expires_ns")?,
        unknown: fields.into_unknown(),
    };
    Ok(Record { sequence, server, captured, adoption, status: LoginStatus::Active(active) })
}

/// Returns the access token that was asked for without parameters, and all others as they stand.
fn read_tokens(fields: &mut Fields<'_>) -> Result<(Option<StoredToken>, Vec<Secret>), StoreError> {
    let Some(raw) = fields.raw("access") else { return Ok((None, Vec::new())) };
    let tokens: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| corrupt("has no list in `access`"))?;
    let (mut access, mut others) = (None, Vec::new());
    for raw in tokens {
        let mut token =
            Fields::parse(raw.get().as_bytes()).map_err(|_| corrupt("has no list of objects in `access`"))?;
        let parameters = token.raw("parameters").map_or("{}", RawValue::get);
        let is_plain = parameters.bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"{}");
        if access.is_some() || !is_plain {
            others.push(raw.get().into());
            continue;
        }
        access = Some(read_token(token)?);
    }
    Ok((access, others))
}

fn read_token(mut fields: Fields<'_>) -> Result<StoredToken, StoreError> {
    let text = fields.text("token")?.ok_or_else(|| corrupt("has no text in `token`"))?;
    Ok(StoredToken {
        token: valid(text, "token")?,
        key: read_key(&mut fields)?,
        written: read_times(&mut fields)?,
        unknown: fields.into_unknown(),
    })
}

fn read_times(fields: &mut Fields<'_>) -> Result<Written, StoreError> {
    Ok(Written {
        issued: fields.nanos("issued_ns")?.ok_or_else(|| corrupt("has no time in `issued_ns`"))?,
        expires: fields.nanos("expires_ns")?,
        server_ahead: fields.nanos("server_ahead_ns")?,
    })
}

fn read_credential(fields: &mut Fields<'_>) -> Result<RefreshCredential, StoreError> {
    let token = fields.text("refresh_token")?.map(RefreshToken::from);
    let (key, client, issuer) = (read_key(fields)?, fields.text("client_id")?, fields.text("issuer")?);
    let token = token.map(|token| token.bound_to(key).issued_to(client).issued_by(issuer));
    Ok(match (token, fields.flag("doubtful")?, fields.flag("reusable")?) {
        (None, ..) => RefreshCredential::None,
        (Some(token), true, _) => RefreshCredential::InDoubt(token),
        (Some(token), false, true) => RefreshCredential::Reusable(token),
        (Some(token), false, false) => RefreshCredential::Valid(token),
    })
}

/// Reads the key that a token is bound to.
fn read_key(fields: &mut Fields<'_>) -> Result<Option<ProofKey>, StoreError> {
    let Some(text) = fields.text(KEY)?.map(Secret::from) else { return Ok(None) };
    match ProofKey::parse(text.expose()) {
        Some(key) => Ok(Some(key)),
        None if cfg!(feature = "oauth") => Err(corrupt("has no key in `dpop_key`")),
        // Whole for a program with the feature, so it is left alone.
        None => Err(StoreError::new(
            StoreErrorKind::LaterFormat,
            "the entry in the store has tokens that are bound to a key (DPoP), which the feature `oauth` reads",
        )),
    }
}

fn is_logged_out(fields: &mut Fields<'_>) -> Result<bool, StoreError> {
    match fields.text("status")?.as_deref() {
        Some("logged out") => Ok(true),
        Some("active") => Ok(false),
        _ => Err(corrupt("has no status that this version knows")),
    }
}

fn valid(token: String, field: &str) -> Result<Secret, StoreError> {
    let token = Secret::from(token);
    AccessToken::new(token.expose()).map_err(|_| corrupt(&format!("has no access token in `{field}`")))?;
    Ok(token)
}

/// The fields of an object that have not been read yet.
struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(Self)
    }

    fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        self.0.remove(name).filter(|raw| raw.get() != "null")
    }

    fn value(&mut self, name: &str) -> Result<Option<Value>, StoreError> {
        self.raw(name)
            .map_or(Ok(None), |raw| json::read(name, raw))
            .map_err(|what| corrupt(&format!("has a bad {what}")))
    }

    fn number(&mut self, name: &str) -> Result<u64, StoreError> {
        let value = self.value(name)?.as_ref().and_then(Value::as_u64).filter(|number| *number <= MAX_NUMBER);
        value.ok_or_else(|| corrupt(&format!("has no number in `{name}`")))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(corrupt(&format!("has no text in `{name}`"))),
        }
    }

    fn flag(&mut self, name: &str) -> Result<bool, StoreError> {
        match self.value(name)? {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(corrupt(&format!("has neither true nor false in `{name}`"))),
        }
    }

    /// Returns a time, or a span of time, in nanoseconds. Some JSON libraries write every number
    /// with a decimal point.
    #[expect(clippy::cast_possible_truncation, reason = "a time out of range is cut to the first or last one")]
    fn nanos(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        let Some(value) = self.value(name)? else { return Ok(None) };
        let nanos = value.as_i64().or_else(|| value.as_f64().map(|nanos| nanos as i64));
        nanos.map(Some).ok_or_else(|| corrupt(&format!("has no time in `{name}`")))
    }

    fn into_unknown(self) -> UnknownFields {
        self.0.into_iter().map(|(name, raw)| (name, raw.get().into())).collect()
    }
}

fn corrupt(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("the entry in the store {what}"))
}

fn later(format: u64) -> StoreError {
    let what = format!("the entry in the store is in format {format}, which a later version of jwt-refresh wrote");
    StoreError::new(StoreErrorKind::LaterFormat, what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Moment, Timestamp};
    use crate::policy::Policy;
    use crate::renewal::IssuedTokens;
    use crate::token::Tokens;

    fn now() -> Moment {
        Moment { wall: Timestamp::from_nanos(1_800_000_000_000_000_000), boot: Timestamp::from_nanos(5) }
    }

    fn record() -> Record {
        let tokens = Tokens::new("AccessS3cret").unwrap().refresh_token("RefreshS3cret");
        let tokens = tokens.expires_in(Duration::from_secs(60)).refresh_expires_in(Duration::from_secs(600));
        let issued =
            IssuedTokens { server_ahead: Some(-7), ..IssuedTokens::captured(&Policy::default(), tokens, now(), 3) };
        let before = Record { server: Some("https://api.example".to_owned()), ..Record::empty(2) };
        before.with_captured(&"captured".into()).with_tokens(&issued, now())
    }

    fn text() -> String {
        String::from_utf8(write(&record(), "ada", 7).to_vec()).unwrap()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let with = |credential| record().with_credential(credential, Some(Mark::new()));
        let mut others = record();
        if let LoginStatus::Active(active) = &mut others.status {
            active.others = vec![r#"{"parameters":{"scope":"a"},"token":"b"}"#.into()];
            active.unknown = vec![("later".to_owned(), "[1,{\"x\":null}]".into())];
        }
        for record in [
            with(RefreshCredential::InDoubt("r".into())),
            with(RefreshCredential::Reusable("r\"\\\n".into())),
            with(RefreshCredential::Valid(
                RefreshToken::from("r").issued_to(Some("client-1".into())).issued_by(Some("https://id.example".into())),
            )),
            with(RefreshCredential::None),
            record(),
            others,
            record().without_access(9),
            record().logged_out(),
            Record::empty(0),
        ] {
            assert_eq!(read(&write(&record, "ada", 7), "ada", 7).unwrap(), record);
        }
    }

    #[test]
    #[cfg(feature = "oauth")]
    fn the_key_that_a_token_is_bound_to_is_read_with_it_and_a_strange_one_is_no_key() {
        let key = ProofKey::generate().unwrap();
        let tokens = Tokens::new("AccessS3cret").unwrap().refresh_token("RefreshS3cret").bound_to(&key);
        let issued = IssuedTokens::captured(&Policy::default(), tokens, now(), 3);
        let record = Record::empty(2).with_tokens(&issued, now());
        let written = write(&record, "ada", 7);
        let read_back = read(&written, "ada", 7).unwrap();
        assert_eq!(read_back, record);
        let issued = read_back.issued_tokens(&Policy::default(), now(), None).unwrap();
        assert_eq!(issued.token.key(), Some(&key));
        assert_eq!(issued.token.header(), "DPoP AccessS3cret");
        assert_eq!(issued.credential.token().and_then(RefreshToken::key), Some(&key));

        let strange = String::from_utf8(written.to_vec()).unwrap().replace(key.written(), "S3cret");
        let error = read(strange.as_bytes(), "ada", 7).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("`dpop_key`") && !error.to_string().contains("S3cret"), "{error}");
    }

    #[test]
    fn a_later_session_sees_the_same_times() {
        let read = record().issued_tokens(&Policy::default(), now() + Duration::from_secs(10), Some(-7)).unwrap();
        assert_eq!(read.life.expires, now() + Duration::from_secs(60));
        assert_eq!(read.login_ends, Some(now() + Duration::from_secs(600)));
        assert_eq!((read.sequence, read.server_ahead), (3, Some(-7)));
    }

    #[test]
    fn a_corrupt_entry_is_reported_with_what_is_wrong_with_it() {
        let good = text();
        for (data, part) in [
            (good.replace("ada", "eve"), "another account"),
            (good.replace("\"revision\":7", "\"revision\":6"), "another revision"),
            (good.replace("\"revision\":7", "\"revision\":-7"), "revision"),
            (good.replace("\"format\":2", "\"format\":0"), "format"),
            (good.replace("\"format\":2", "\"format\":\"2\""), "format"),
            (good.replace("active", "asleep"), "status"),
            (good.replace("\"AccessS3cret\"", "\"Access\\nS3cret\""), "`token`"),
            (good.replace("\"AccessS3cret\"", "[]"), "`token`"),
            (good.replace("\"sequence\":3", "\"sequence\":-3"), "sequence"),
            (good.replace("\"sequence\":3", &format!("\"sequence\":{}", u64::MAX)), "sequence"),
            (good.replace("\"access\":[", "\"access\":[7,"), "`access`"),
            (good.replace("\"expires_ns\":1", "\"expires_ns\":true,\"x\":1"), "`expires_ns`"),
            (good.replace("\"doubtful\":false", "\"doubtful\":\"no\""), "`doubtful`"),
            (good[..good.len() / 2].to_owned(), "not what a session writes"),
            ("x".repeat(MAX_LEN + 1), "1 MiB"),
            (String::new(), "not what a session writes"),
        ] {
            let error = read(data.as_bytes(), "ada", 7).unwrap_err();
            assert_eq!((error.kind(), error.revision()), (StoreErrorKind::Corrupt, Some(7)), "{error}");
            assert!(error.to_string().contains(part) && !error.to_string().contains("S3cret"), "{part}: {error}");
        }
    }

    #[test]
    fn an_entry_in_a_later_format_is_told_from_a_corrupt_one_whatever_else_is_in_it() {
        for data in [text().replace("\"format\":2", "\"format\":3"), r#"{"format":9}"#.to_owned()] {
            let error = read(data.as_bytes(), "ada", 7).unwrap_err();
            assert_eq!((error.kind(), error.revision()), (StoreErrorKind::LaterFormat, Some(7)));
        }
    }

    #[test]
    fn a_sealed_entry_is_told_from_a_corrupt_one_without_a_key() {
        let error = read(b"v4.local.AQI.eyJr", "ada", 7).unwrap_err();
        assert_eq!((error.kind(), error.revision()), (StoreErrorKind::KeyMismatch, Some(7)));
        assert!(error.to_string().starts_with("the entry of account \"ada\" is sealed, "), "{error}");
    }

    #[test]
    fn times_may_be_floats_and_as_large_as_they_like() {
        let good = text();
        let (start, end) = good.split_once("\"expires_ns\":").unwrap();
        let rest = &end[end.find(',').unwrap()..];
        for (expires, expected) in [
            ("1800000060000000000.0", 1_800_000_060_000_000_000),
            ("1.80000006e18", 1_800_000_060_000_000_000),
            ("1e300", i64::MAX),
            ("18446744073709551615", i64::MAX),
            ("-1e300", i64::MIN),
        ] {
            let record = read(format!("{start}\"expires_ns\":{expires}{rest}").as_bytes(), "ada", 7).unwrap();
            let written = record.active().unwrap().access.as_ref().unwrap().written;
            assert_eq!(written.expires, Some(expected), "{expires}");
            for ahead in [None, Some(i64::MIN), Some(i64::MAX)] {
                assert!(record.issued_tokens(&Policy::default(), now(), ahead).is_some());
            }
        }
    }

    #[test]
    fn a_record_shows_no_secret_in_debug() {
        let shown = format!("{:?}", record());
        assert!(!shown.contains("S3cret") && !shown.contains("captured\""), "{shown}");
    }
}
