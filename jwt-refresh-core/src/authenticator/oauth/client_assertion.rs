//! The JWT by which a client authenticates (`private_key_jwt`, RFC 7523 §2.2).

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use huskarl::core::Error as ProtocolError;
use huskarl::core::client_auth::{AuthenticationContext, AuthenticationParams, ClientAuthentication};
use huskarl::core::jwt::Jwt;
use huskarl::core::platform::MaybeSendBoxFuture;

use super::signing_key::JwtSigner;

const LIFETIME: Duration = Duration::from_secs(60);

/// What servers expect of an assertion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AssertionForm {
    /// It is for the issuer, if that is known: one for the token endpoint could be used by a server
    /// that names the endpoint of another one as its own. It has a type of its own.
    #[default]
    ForIssuer,
    /// It is for the endpoint that it is sent to, and is any JWT, as RFC 7523 §3 has it.
    ForEndpoint,
}

/// Signs an assertion for each request.
#[derive(Debug)]
pub(super) struct ClientAssertion {
    pub(super) signer: JwtSigner,
    /// For whom it signs, if the user has said so.
    pub(super) audience: Option<String>,
    pub(super) form: AssertionForm,
}

impl ClientAssertion {
    async fn signed<'a>(
        &'a self,
        context: AuthenticationContext<'a>,
    ) -> Result<AuthenticationParams<'a>, ProtocolError> {
        let (typ, audience) = match self.form {
            AssertionForm::ForIssuer => {
                ("client-authentication+jwt", context.issuer.filter(|issuer| !issuer.is_empty()))
            }
            AssertionForm::ForEndpoint => ("JWT", None),
        };
        let audience = self.audience.as_deref().or(audience).map(str::to_owned);
        let thumbprint = self.signer.thumbprint.iter().map(|thumbprint| ("x5t#S256", thumbprint));
        let jwt = Jwt::builder()
            .typ(typ)
            .audience(audience.unwrap_or_else(|| context.target_endpoint.to_string()))
            .iss(context.client_id)
            .sub(context.client_id)
            .issued_at_expires_after(SystemTime::from(context.now), LIFETIME)
            .extra_headers(thumbprint.collect::<BTreeMap<_, _>>())
            .claims(())
            .build();
        let assertion = jwt.to_jws_compact(&self.signer).await?;
        let form = vec![
            ("client_id", context.client_id.into()),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into()),
            ("client_assertion", assertion.into()),
        ];
        Ok(AuthenticationParams::builder().form_params(form).build())
    }
}

impl ClientAuthentication for ClientAssertion {
    fn authentication_context<'a>(
        &'a self,
        context: AuthenticationContext<'a>,
    ) -> MaybeSendBoxFuture<'a, Result<AuthenticationParams<'a>, ProtocolError>> {
        Box::pin(self.signed(context))
    }
}
