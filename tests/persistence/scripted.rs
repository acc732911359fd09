//! A server as simple as can be, inside the authenticator: it notes what it was asked, replaces
//! each refresh token, and denies those that it has not issued or has replaced.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jwt_refresh::{Authenticator, Error, RefreshToken, Session, SessionBuilder, Tokens};
use tokio::sync::watch;

use crate::support::MINUTE;

/// How long its access tokens live.
pub(crate) const LIFE: Duration = MINUTE;

#[derive(Clone)]
pub(crate) struct Scripted {
    state: Arc<Mutex<State>>,
    answers: Arc<watch::Sender<bool>>,
    can_log_in: bool,
    id: Option<&'static str>,
}

#[derive(Default)]
struct State {
    issued: u32,
    /// The refresh tokens that are good.
    good: Vec<String>,
    asked: Vec<String>,
    /// Whether the next refresh is answered with an error that leaves the refresh token in doubt.
    loses_next_answer: bool,
}

impl Scripted {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), answers: Arc::new(watch::Sender::new(true)), can_log_in: true, id: None }
    }

    /// The same server, for a session that has no password.
    pub(crate) fn without_login(&self) -> Self {
        Self { can_log_in: false, ..self.clone() }
    }

    /// The same, with a name.
    pub(crate) fn called(&self, id: &'static str) -> Self {
        Self { id: Some(id), ..self.clone() }
    }

    pub(crate) fn session(&self) -> SessionBuilder {
        Session::builder(self.clone())
    }

    /// Issues tokens for a session that captures them.
    pub(crate) fn capture(&self) -> Tokens {
        self.state.lock().unwrap().issue()
    }

    /// Ends all logins.
    pub(crate) fn end_logins(&self) {
        self.state.lock().unwrap().good.clear();
    }

    pub(crate) fn lose_next_answer(&self) {
        self.state.lock().unwrap().loses_next_answer = true;
    }

    /// Holds back all answers, or sends them.
    pub(crate) fn answer(&self, answers: bool) {
        self.answers.send_replace(answers);
    }

    /// What the server was asked since this was called last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// How often it was asked anything.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().asked.len()
    }

    async fn answered(&self) {
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.answers.subscribe().wait_for(|answers| *answers).await;
    }
}

impl State {
    fn issue(&mut self) -> Tokens {
        self.issued += 1;
        let number = self.issued;
        self.good.push(format!("R{number}"));
        Tokens::new(format!("A{number}")).unwrap().refresh_token(format!("R{number}")).expires_in(LIFE)
    }
}

impl Authenticator for Scripted {
    async fn login(&self) -> Result<Tokens, Error> {
        if !self.can_log_in {
            return Err(Error::login_unavailable());
        }
        self.state.lock().unwrap().asked.push("login".to_owned());
        self.answered().await;
        Ok(self.state.lock().unwrap().issue())
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<Tokens, Error> {
        let answer = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(format!("refresh {}", token.expose()));
            let held = state.good.iter().position(|good| good == token.expose());
            match held {
                Some(index) => {
                    state.good.remove(index);
                    let tokens = state.issue();
                    if std::mem::take(&mut state.loses_next_answer) {
                        Err(Error::other(std::io::Error::other("the connection was cut")))
                    } else {
                        Ok(tokens)
                    }
                }
                None => Err(Error::denied("invalid_grant")),
            }
        };
        self.answered().await;
        answer
    }

    async fn revoke(&self, token: &RefreshToken) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(format!("revoke {}", token.expose()));
        state.good.retain(|good| good != token.expose());
        Ok(())
    }

    fn server_id(&self) -> Option<String> {
        self.id.map(str::to_owned)
    }
}
