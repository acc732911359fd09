//! Answers that say that the token is valid and does not suffice.

use jwt_refresh::{ErrorKind, ExecuteError};
use jwt_refresh_testkit::{Answer, Route, TestServer};
use reqwest::Method;

use crate::support::{BoxError, World, http_client};
use crate::{Cost, cost};

#[tokio::test]
async fn a_token_that_lacks_a_scope_is_not_renewed_and_the_error_names_the_scope() {
    let world = World::with(
        TestServer::builder().route(Route::delete("/orders", |_| Answer::new(204)).scope("orders:write")).start(),
    );
    world.server.set_scope(world.server.email(), "orders:read");
    let session = world.logged_in().await;
    let http = http_client();
    let request = http.request(Method::DELETE, world.server.url("/orders?key=S3cret")).build().unwrap();
    let ExecuteError::Auth(error) = session.execute(&http, request).await.unwrap_err() else { panic!("ours") };
    assert_eq!((error.kind(), error.code()), (ErrorKind::InsufficientScope, Some("insufficient_scope")));
    let text = error.to_string();
    assert!(text.contains("it needs `orders:write`") && text.contains("/orders (status 403"), "{text}");
    assert!(!text.contains("S3cret"), "{text}");
    assert_eq!(cost(&world.server), Cost { calls: 0, rejected: 0, logins: 1, refreshes: 0 });
}

const STEP_UP: &str = r#"Bearer error="insufficient_user_authentication", acr_values="mfa", max_age="300""#;

#[tokio::test]
async fn a_401_that_asks_for_a_stronger_login_is_not_retried_by_client_or_attribute() {
    use jwt_refresh::prelude::*;

    struct Api<'a>(&'a Session, String);

    impl Api<'_> {
        #[refresh_token(from = self.0, token, retry)]
        async fn pay(&self) -> Result<reqwest::Response, BoxError> {
            Ok(http_client().get(&self.1).bearer(&token).send().await?)
        }
    }

    let route = Route::get("/pay", |_| Answer::new(401).header("www-authenticate", STEP_UP));
    let world = World::with(TestServer::builder().route(route).start());
    let session = world.logged_in().await;
    let (http, url) = (http_client(), world.server.url("/pay"));
    let request = http.get(&url).build().unwrap();
    let ExecuteError::Auth(error) = session.execute(&http, request).await.unwrap_err() else { panic!("ours") };
    assert_eq!(error.kind(), ErrorKind::InsufficientUserAuthentication);
    assert!(error.to_string().contains("acr_values `mfa`, max_age `300`"), "{error}");
    assert_eq!(Api(&session, url).pay().await.unwrap().status(), 401);
    assert_eq!(cost(&world.server), Cost { calls: 0, rejected: 2, logins: 1, refreshes: 0 });
}
