//! The server's clock: shifted, moved forward, and sent in the `Date` header of every answer.

use std::time::{Duration, SystemTime};

use jsonwebtoken::dangerous::insecure_decode_claims;
use jwt_refresh_testkit::{Endpoint, Fault, TestServer, Times};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::Value;

use crate::client::{setup_with, text};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn date(answer: &Response) -> SystemTime {
    let dates: Vec<_> = answer.headers().get_all(header::DATE).iter().collect();
    let [date] = dates.as_slice() else {
        panic!("{} Date headers", dates.len());
    };
    httpdate::parse_http_date(date.to_str().expect("ASCII")).expect("a date")
}

/// Returns whether `date` is within a minute of `expected`. This allows for the fraction of a
/// second and for a slow machine.
fn is_about(date: SystemTime, expected: SystemTime) -> bool {
    let off = date.duration_since(expected).unwrap_or_else(|error| error.duration());
    off < Duration::from_secs(60)
}

#[tokio::test]
async fn every_answer_has_exactly_one_date_by_the_servers_clock() {
    let setup = setup_with(TestServer::builder().date_shift(-24 * 3600));
    setup.server.inject(Endpoint::Refresh, Fault::HtmlPage, Times::Once);

    let answers = [
        setup.try_login().await.expect("an answer"),
        setup.try_refresh("x").await.expect("an answer"),
        setup.call(Method::GET, "/api/v1/products/1", "x").await,
        setup.call(Method::GET, "/no/such/path", "x").await,
        setup.call(Method::PUT, "/api/auth/login", "x").await,
    ];
    assert_eq!(answers.each_ref().map(|answer| answer.status().as_u16()), [200, 200, 401, 404, 405]);
    for answer in answers {
        assert!(is_about(date(&answer), SystemTime::now() - DAY));
    }
}

#[tokio::test]
async fn a_shifted_clock_changes_the_claims_but_not_the_lifetime() {
    for shift in [24 * 3600, -24 * 3600] {
        let setup = setup_with(TestServer::builder().date_shift(shift));
        let answer = setup.try_login().await.expect("an answer");
        let date = date(&answer);
        let answer: Value = answer.json().await.expect("JSON");
        let token = text(&answer, "access_token");
        let claims: Value = insecure_decode_claims(&token).expect("a JWT");
        let iat = Duration::from_secs_f64(claims["iat"].as_f64().expect("a number"));

        assert!(is_about(date, SystemTime::UNIX_EPOCH + iat));
        assert!(!is_about(date, SystemTime::now()));
        assert_eq!(answer["expires_in"], 60);
        assert_eq!(setup.api_status(&token).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn advancing_the_clock_changes_the_date_header() {
    let setup = setup_with(TestServer::builder());
    setup.server.advance(DAY);
    setup.server.advance(DAY);
    let answer = setup.try_login().await.expect("an answer");
    assert!(is_about(date(&answer), SystemTime::now() + 2 * DAY));
}

#[tokio::test]
async fn the_largest_clock_shifts_do_not_panic() {
    for shift in [i64::MIN, i64::MAX] {
        let setup = setup_with(TestServer::builder().date_shift(shift));
        setup.login().await;
    }
}
