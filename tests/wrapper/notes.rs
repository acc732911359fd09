//! A wrapper of a notes API: one method for each kind of request that wrappers make.

use std::time::Duration;

use jwt_refresh::prelude::*;
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde::{Deserialize, Serialize};

pub(crate) struct Notes {
    http: reqwest::Client,
    base: String,
    session: Session,
}

#[derive(Debug, Deserialize, Serialize, PartialEq)]
pub(crate) struct Note {
    pub(crate) id: u64,
    pub(crate) text: String,
}

#[derive(Deserialize)]
struct Page {
    notes: Vec<Note>,
    next: Option<String>,
}

#[derive(Debug)]
pub(crate) enum NotesError {
    Unauthorized,
    Forbidden,
    RateLimited(Duration),
    Login(jwt_refresh::Error),
    Http(reqwest::Error),
}

impl Unauthorized for NotesError {
    fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Unauthorized)
    }
}

impl From<jwt_refresh::Error> for NotesError {
    fn from(error: jwt_refresh::Error) -> Self {
        Self::Login(error)
    }
}

impl From<reqwest::Error> for NotesError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error)
    }
}

impl Notes {
    pub(crate) fn new(base: &str, email: &str, password: &str) -> Result<Self, NotesError> {
        let login = HttpAuthenticator::builder(format!("{base}/api/auth/login"))
            .refresh_url(format!("{base}/api/auth/refresh"))
            .field("email", email)
            .secret_field("password", password)
            .build()?;
        Ok(Self { http: reqwest::Client::new(), base: base.to_owned(), session: Session::new(login) })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v2/{path}", self.base)
    }
}

#[refresh_token(token, retry)]
impl Notes {
    /// Returns a note.
    pub(crate) async fn note(&self, id: u64) -> Result<Note, NotesError> {
        Ok(send(self.http.get(self.url(&format!("notes/{id}"))).bearer(&token)).await?.json().await?)
    }

    /// Saves a new note.
    pub(crate) async fn create(&self, text: &str) -> Result<Note, NotesError> {
        Ok(send(self.http.post(self.url("notes")).json(text).bearer(&token)).await?.json().await?)
    }

    async fn page(&self, cursor: Option<&str>) -> Result<Page, NotesError> {
        let request = self.http.get(self.url("notes")).query(&[("cursor", cursor)]);
        Ok(send(request.bearer(&token)).await?.json().await?)
    }

    /// Uploads a file of a note, and returns how many bytes the API has saved.
    pub(crate) async fn attach(&self, id: u64, name: &str, content: &[u8]) -> Result<u64, NotesError> {
        let url = self.url(&format!("notes/{id}/files/{name}"));
        let request = self.http.put(url).header(header::CONTENT_TYPE, "application/octet-stream");
        Ok(send(request.body(content.to_vec()).bearer(&token)).await?.json().await?)
    }

    /// Deletes a note.
    pub(crate) async fn delete(&self, id: u64) -> Result<(), NotesError> {
        send(self.http.delete(self.url(&format!("notes/{id}"))).bearer(&token)).await.map(drop)
    }

    /// Returns the version of the API, for which one need not be logged in.
    #[refresh_token(skip)]
    pub(crate) async fn version(&self) -> Result<String, NotesError> {
        Ok(send(self.http.get(self.url("version"))).await?.json().await?)
    }

    /// Returns all notes, page by page. Each page has a check and a retry of its own.
    #[refresh_token(skip)]
    pub(crate) async fn all(&self) -> Result<Vec<Note>, NotesError> {
        let mut notes = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.page(cursor.as_deref()).await?;
            notes.extend(page.notes);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(notes);
            }
        }
    }
}

async fn send(request: RequestBuilder) -> Result<Response, NotesError> {
    let answer = request.send().await?;
    match answer.status() {
        StatusCode::UNAUTHORIZED => Err(NotesError::Unauthorized),
        StatusCode::FORBIDDEN => Err(NotesError::Forbidden),
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Err(NotesError::RateLimited(Duration::from_secs(seconds.unwrap_or(1))))
        }
        _ => Ok(answer.error_for_status()?),
    }
}
