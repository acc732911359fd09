//! The client that is generated, and the hooks by which its requests get tokens.

use http::StatusCode;
use jwt_refresh::{ExecuteError, Session};
use progenitor::progenitor_client as hooks;
use reqwest::{Request, Response};

progenitor::generate_api!(spec = "../generated_client/openapi.json", inner_type = jwt_refresh::Session);

// This is the part that you write.
impl hooks::ClientHooks<Session> for Client {
    /// Says why there is no token in an error of the client. That of `exec` can only be reqwest's.
    async fn pre<E>(&self, _request: &mut Request, _info: &hooks::OperationInfo) -> Result<(), hooks::Error<E>> {
        let token = self.inner().token().await;
        token.map(drop).map_err(|error| hooks::Error::Custom(error.to_string()))
    }

    async fn exec(&self, request: Request, _info: &hooks::OperationInfo) -> reqwest::Result<Response> {
        match self.inner().execute(self.client(), request).await {
            Ok(response) => Ok(response),
            Err(ExecuteError::Http(error)) => Err(error),
            // The login was lost since `pre`: this is the answer to a request without a token.
            Err(error) => {
                let mut response = http::Response::new(error.to_string());
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                Ok(response.into())
            }
        }
    }
}
