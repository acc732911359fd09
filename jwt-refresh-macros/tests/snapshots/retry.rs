#[refresh_token(token, retry)]
pub async fn rename(&self, id: u64, mut name: String, (a, b): (A, B), out: &mut Out) -> Result<impl Stream, Error> {
    body(token)
}

// ---- expands to ----

pub async fn rename(
    &self,
    id: u64,
    mut name: String,
    mut argument3: (A, B),
    out: &mut Out,
) -> Result<impl Stream, Error> {
    let mut held = {
        let token = ::jwt_refresh::__private::AsyncGuard::token(&self.session);
        match token {
            ::core::result::Result::Ok(token) => token,
            ::core::result::Result::Err(renewal) => {
                match renewal.await {
                    ::core::result::Result::Ok(token) => token,
                    ::core::result::Result::Err(error) => {
                        return ::jwt_refresh::__private::CarryError::carry(error);
                    }
                }
            }
        }
    };
    let mut rerun = false;
    let mut vain = ::jwt_refresh::__private::VainRetry::default();
    loop {
        let next = {
            let result = {
                let token = ::jwt_refresh::__private::BodyRun::argument(&mut held);
                let (a, b) = ::jwt_refresh::__private::BodyRun::argument(&mut argument3);
                vain.watch(
                        ::core::pin::pin!(
                            async move { if let ::core::option::Option::Some(result) =
                            ::core::option::Option::None:: < Result < _, Error > > {
                            return result; } '__guarded : { body(token) } }
                        ),
                    )
                    .await
            };
            let answer = ::jwt_refresh::__private::answer(&result);
            if !(answer.value.is_rejection() || answer.error.is_rejection("rename")) {
                let head = ::jwt_refresh::__private::response(&result).head();
                let in_vain = vain.is_seen();
                let next = ::jwt_refresh::__private::next_run(
                    &self.session,
                    &held,
                    head,
                    rerun,
                    in_vain,
                );
                if next.is_none() {
                    break result;
                }
                next
            } else if vain.is_seen() {
                break result;
            } else {
                ::core::option::Option::None
            }
        };
        let renewal = match next {
            ::core::option::Option::Some(renewal) => renewal,
            ::core::option::Option::None if rerun => {
                let error = ::jwt_refresh::__private::rejected_again(
                    &self.session,
                    &held,
                );
                return ::jwt_refresh::__private::CarryError::carry(error);
            }
            ::core::option::Option::None => {
                ::jwt_refresh::__private::rejected(&self.session, &held)
            }
        };
        rerun = true;
        held = match renewal.await {
            ::core::result::Result::Ok(token) => token,
            ::core::result::Result::Err(error) => {
                return ::jwt_refresh::__private::CarryError::carry(error);
            }
        };
    }
}
