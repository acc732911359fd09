use super::*;

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap()
}

fn error(asked: Asked, code: u16, body: AnswerBody) -> Error {
    let refusal = Refusal { status: status(code), code: None, body, retry_after: None };
    refusal.into_error("request", Some(asked))
}

/// The row as it stands in DESIGN.md, below those `above`.
fn markdown(row: &Row, above: &[Row]) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    let answers = match row.answers {
        Answers::Statuses(&[(first, last)]) if first != last => {
            let is_above =
                |row: &Row| matches!(row.answers, Answers::Statuses([(status, _), ..]) if status / 100 == first / 100);
            format!("{}{}xx", if above.iter().any(is_above) { "another " } else { "" }, first / 100)
        }
        Answers::Statuses(ranges) => joined(ranges.iter().map(|(status, _)| status.to_string()).collect()),
        Answers::Codes(codes) => joined(codes.iter().map(|code| format!("`{code}`")).collect()),
        Answers::Page => "an HTML page".to_owned(),
        Answers::ErrorInside => "2xx with `error` inside".to_owned(),
    };
    let refresh = match row.refresh {
        Meaning::Refused => "dead: one login",
        Meaning::NotSpent => "not spent",
        Meaning::InDoubt => "in doubt",
        Meaning::Misdirected => unreachable!("no row says so"),
    };
    let login = match row.login {
        Meaning::Refused => "final",
        Meaning::NotSpent => "later",
        Meaning::InDoubt => unreachable!("a login spends nothing"),
        Meaning::Misdirected => "`Configuration`",
    };
    format!("| {answers} | {refresh} | {login} |\n")
}

#[test]
fn the_table_is_the_one_in_design() {
    let design = concat!(env!("CARGO_MANIFEST_DIR"), "/../DESIGN.md");
    let design = std::fs::read_to_string(design).unwrap();
    let table: String = TABLE.iter().enumerate().map(|(at, row)| markdown(row, &TABLE[..at])).collect();
    let table = format!("| the server answers | the refresh token is | the login is |\n|---|---|---|\n{table}\n");
    assert!(design.contains(&table), "DESIGN.md does not contain this table:\n{table}");
}

#[test]
fn a_refresh_token_is_dead_after_each_answer_that_says_so() {
    for code in [400, 401, 403, 404, 405, 410, 422] {
        assert_eq!(error(Asked::Refresh, code, AnswerBody::Other).kind(), ErrorKind::Denied, "{code}");
    }
    assert_eq!(error(Asked::Refresh, 200, AnswerBody::Error).kind(), ErrorKind::Denied);
    for (code, status) in [("invalid_grant", 500), ("invalid_client", 418), ("invalid_scope", 200)] {
        let refusal =
            Refusal { status: self::status(status), code: Some(code), body: AnswerBody::Error, retry_after: None };
        assert_eq!(refusal.into_error("refresh", Some(Asked::Refresh)).kind(), ErrorKind::Denied, "{code}");
    }
}

#[test]
fn a_refresh_token_is_in_doubt_or_not_spent_after_each_failure_that_may_pass() {
    for (statuses, in_doubt) in [
        (&[500, 502, 504, 520, 522, 524, 507, 599][..], true),
        (&[429, 503, 521, 523, 525, 526], false),
        (&[408, 409, 415, 418, 451, 200, 204], true),
        (&[301, 307], false),
    ] {
        for &code in statuses {
            let error = error(Asked::Refresh, code, AnswerBody::Other);
            assert!(error.is_transient() && outcome_unknown(&error) == in_doubt, "{code}: {error}");
        }
    }
}

#[test]
fn a_page_is_a_gateways_and_leaves_what_was_sent_as_it_was() {
    for code in [200, 400, 401, 403, 404, 405, 410, 422, 451] {
        for asked in [Asked::Refresh, Asked::Login] {
            let error = error(asked, code, AnswerBody::Page);
            assert!(error.is_transient() && !outcome_unknown(&error), "{code}: {error}");
        }
    }
    for code in [500, 502, 504, 520, 522, 524] {
        assert!(outcome_unknown(&error(Asked::Refresh, code, AnswerBody::Page)), "{code}");
    }
}

#[test]
fn a_login_is_final_or_misdirected_or_worth_another_try() {
    for (code, body, kind) in [
        (400, AnswerBody::Other, ErrorKind::Denied),
        (401, AnswerBody::Other, ErrorKind::Denied),
        (403, AnswerBody::Other, ErrorKind::Denied),
        (422, AnswerBody::Other, ErrorKind::Denied),
        (200, AnswerBody::Error, ErrorKind::Denied),
        (404, AnswerBody::Other, ErrorKind::Configuration),
        (405, AnswerBody::Other, ErrorKind::Configuration),
        (415, AnswerBody::Other, ErrorKind::Configuration),
        (500, AnswerBody::Other, ErrorKind::Unavailable),
        (429, AnswerBody::Other, ErrorKind::Unavailable),
        (408, AnswerBody::Other, ErrorKind::Unanswered),
        (307, AnswerBody::Other, ErrorKind::BadAnswer),
    ] {
        assert_eq!(error(Asked::Login, code, body).kind(), kind, "{code}");
    }
}

#[test]
fn an_answer_to_a_request_of_unknown_purpose_is_judged_when_that_is_known() {
    let refusal = |code| Refusal { status: status(code), code: None, body: AnswerBody::Other, retry_after: None };
    let unknown = |code| refusal(code).into_error("request", None);
    assert_eq!(unknown(404).kind(), ErrorKind::Denied);
    assert_eq!(judged(unknown(404), Asked::Refresh).kind(), ErrorKind::Denied);
    let login = judged(unknown(404), Asked::Login);
    assert_eq!(login.kind(), ErrorKind::Configuration);
    assert!(login.to_string().starts_with("the server knows no login (status 404)"), "{login}");
    assert_eq!(judged(login, Asked::Refresh).kind(), ErrorKind::Configuration, "it is judged once");
}

#[test]
fn a_redirect_is_advised_on_by_its_url_alone() {
    for code in [302, 307, 308] {
        for asked in [Asked::Refresh, Asked::Login] {
            assert_eq!(
                error(asked, code, AnswerBody::Other).at("https://api.example/r").to_string(),
                format!(
                    "the request was redirected at https://api.example/r (status {code}): credentials follow no \
                     redirect; configure the final URL"
                )
            );
        }
    }
}

#[test]
fn field_names_are_advised_on_only_where_a_field_was_not_found() {
    for code in [302, 402, 409, 418] {
        for body in [AnswerBody::Other, AnswerBody::Page] {
            let shown = error(Asked::Login, code, body).to_string();
            assert!(!shown.contains("field names"), "{shown}");
        }
    }
}

#[test]
fn the_errors_of_the_user_stay_as_they_are() {
    let denied = Error::denied("no such key").answered(status(404));
    assert_eq!(judged(denied, Asked::Login).kind(), ErrorKind::Denied);
    let unavailable = |code| Error::new(ErrorKind::Unavailable, "down").answered(status(code));
    assert!(outcome_unknown(&unavailable(500)) && !outcome_unknown(&unavailable(503)));
    assert!(outcome_unknown(&Error::other("anything")) && !outcome_unknown(&Error::denied("no")));
}
