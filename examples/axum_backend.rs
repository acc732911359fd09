//! A backend whose handlers share one session, with a health endpoint.
//!
//! ```sh
//! cargo run --example axum_backend
//! ```

use axum::{Router, extract::State, http::StatusCode, routing::get};
use jwt_refresh::{RequestRule, prelude::*};
use jwt_refresh_testkit::TestServer;

#[derive(Clone)]
struct App {
    api: String,
    http: reqwest::Client,
    session: Session,
}

async fn product(State(app): State<App>) -> Result<String, StatusCode> {
    let url = format!("{}/api/v1/products/1", app.api);
    let request = app.http.get(url).build().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let answer = app.session.execute(&app.http, request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
}

async fn health(State(app): State<App>) -> Result<String, StatusCode> {
    let stats = app.session.stats();
    let is_alive = stats.expires_in.is_some_and(|left| !left.is_zero());
    if is_alive { Ok(format!("{stats:?}")) } else { Err(StatusCode::SERVICE_UNAVAILABLE) }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start();
    let login = HttpAuthenticator::builder(server.url("/api/auth/login"))
        .field("email", server.email())
        .secret_field("password", server.password())
        .build()?;
    let session = Session::builder(login).requests(RequestRule::for_origin(server.base_url())?).connect().await?;
    let app = App { api: server.base_url().to_owned(), http: reqwest::Client::new(), session };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let routes = Router::new().route("/product", get(product)).route("/health", get(health)).with_state(app);
    tokio::spawn(async { axum::serve(listener, routes).await });

    for path in ["product", "health"] {
        println!("{path}: {}", reqwest::get(format!("{url}/{path}")).await?.error_for_status()?.text().await?);
    }
    Ok(())
}
