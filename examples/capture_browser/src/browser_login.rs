//! Logs in as a person does: it fills in the login form of a page in a headless browser, and takes
//! the tokens that the page is sent. Take this file along, and change what your page needs.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chromiumoxide::cdp::browser_protocol::fetch::{
    ContinueRequestParams, EnableParams, EventRequestPaused, GetResponseBodyParams, RequestPattern, RequestStage,
};
use chromiumoxide::error::CdpError;
use chromiumoxide::{Browser, BrowserConfig, Element, Page};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, StatusCode};
use jwt_refresh::{Authenticator, Error, ErrorKind, HttpAuthenticator, RefreshToken, Secret, TokenFields, Tokens};

/// How long a login may take. It is less than `Policy::login_timeout`, so that the error says what
/// the browser waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// The browser talks to nobody but the page.
const FLAGS: [&str; 4] = ["disable-background-networking", "disable-component-update", "disable-quic", "disable-sync"];

pub struct BrowserLogin {
    /// The page with the form.
    pub page: String,
    /// What is typed, by the CSS selectors of the fields.
    pub fields: Vec<(&'static str, Secret)>,
    /// The CSS selector of the button.
    pub button: &'static str,
    /// Where the page gets its tokens. `*` stands for any text.
    pub token_url: String,
    /// Refreshes without the browser.
    pub refresh: HttpAuthenticator,
    /// The browser's program, if it is not to be looked for.
    pub program: Option<String>,
}

impl Authenticator for BrowserLogin {
    async fn login(&self) -> Result<Tokens, Error> {
        let profile = tempfile::tempdir().map_err(Error::other)?;
        // The sandbox needs rights that most containers lack. Leave it on where you can.
        let config = BrowserConfig::builder().no_sandbox().respect_https_errors().user_data_dir(profile.path());
        let config = self.program.iter().fold(config.args(FLAGS), |config, program| config.chrome_executable(program));
        let config = config.build().map_err(|why| failed("no browser was found").caused_by(why))?;
        let launched = Browser::launch(config).await;
        let (mut browser, mut events) = launched.map_err(|why| failed("the browser does not start").caused_by(why))?;
        // If this login is given up, the browser is killed when it is dropped here.
        let caught = tokio::select! {
            caught = tokio::time::timeout(PATIENCE, self.catch(&browser)) => caught,
            () = async { while events.next().await.is_some() {} } => return Err(failed("the browser has ended")),
        };
        let _ = browser.kill().await;
        let what = || format!("the page got no tokens from {} within {PATIENCE:?}", self.token_url);
        let caught = caught.map_err(|_| Error::new(ErrorKind::BadAnswer, what()).at(&self.page))?;
        let (answer, body) = caught.map_err(|why| Error::other(why).at(&self.page))?;
        tokens(&answer, &body).map_err(|error| error.at(&answer.request.url))
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        self.refresh.refresh(token).await
    }

    fn server_id(&self) -> Option<String> {
        self.refresh.server_id()
    }
}

impl BrowserLogin {
    /// Returns the answer with the tokens, which the page does not see: it shall not refresh, too.
    async fn catch(&self, browser: &Browser) -> Result<(Arc<EventRequestPaused>, Vec<u8>), CdpError> {
        let page = browser.new_page("about:blank").await?;
        let mut answers = page.event_listener::<EventRequestPaused>().await?;
        let pattern = RequestPattern::builder().url_pattern(&self.token_url).request_stage(RequestStage::Response);
        page.execute(EnableParams::builder().pattern(pattern.build()).build()).await?;
        page.goto(&self.page).await?;
        for (selector, value) in &self.fields {
            element(&page, selector).await.click().await?.type_str(value.expose()).await?;
        }
        element(&page, self.button).await.click().await?;
        while let Some(answer) = answers.next().await {
            let id = answer.request_id.clone();
            if answer.request.method == "OPTIONS" {
                page.execute(ContinueRequestParams::new(id)).await?;
                continue;
            }
            let body = page.execute(GetResponseBodyParams::new(id)).await?.result;
            let bytes = if body.base64_encoded { BASE64_STANDARD.decode(body.body)? } else { body.body.into() };
            return Ok((answer, bytes));
        }
        Err(CdpError::NoResponse)
    }
}

/// Waits until the page has an element.
async fn element(page: &Page, selector: &str) -> Element {
    loop {
        if let Ok(element) = page.find_element(selector).await {
            return element;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn tokens(answer: &EventRequestPaused, body: &[u8]) -> Result<Tokens, Error> {
    let status = answer.response_status_code.and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
    let headers = answer.response_headers.iter().flatten();
    let headers = headers.filter_map(|one| Some((one.name.parse::<HeaderName>().ok()?, one.value.parse().ok()?)));
    let headers = HeaderMap::from_iter(headers);
    Tokens::from_answer(status.unwrap_or(StatusCode::BAD_GATEWAY), &headers, body, &TokenFields::default())
}

fn failed(what: &str) -> Error {
    Error::new(ErrorKind::Configuration, what)
}
