#[refresh_token(retry_if = Error::is_expired, from = self.auth.session())]
pub async fn rename(&mut self) -> Result<Product, Error> {
    body()
}

// ---- expands to ----

pub async fn rename(&mut self) -> Result<Product, Error> {
    let provider = {
        use ::jwt_refresh::__private::Keep as _;
        ::jwt_refresh::__private::Kept(self.auth.session()).keep()
    };
    let mut held = {
        let token = ::jwt_refresh::__private::AsyncGuard::token(&provider);
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
    ::jwt_refresh::__private::unused_lease(&held).unused_lease();
    let mut rerun = false;
    let mut vain = ::jwt_refresh::__private::VainRetry::default();
    loop {
        let next = {
            let result = vain
                .watch(
                    ::core::pin::pin!(
                        async { let _ = & mut * self; if let
                        ::core::option::Option::Some(result) =
                        ::core::option::Option::None:: < Result < Product, Error > > {
                        return result; } '__guarded : { body() } }
                    ),
                )
                .await;
            if !::jwt_refresh::__private::retry_if(Error::is_expired, &result)
                .is_rejection()
            {
                let head = ::jwt_refresh::__private::response(&result).head();
                let in_vain = vain.is_seen();
                let next = ::jwt_refresh::__private::next_run(
                    &provider,
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
                let error = ::jwt_refresh::__private::rejected_again(&provider, &held);
                return ::jwt_refresh::__private::CarryError::carry(error);
            }
            ::core::option::Option::None => {
                ::jwt_refresh::__private::rejected(&provider, &held)
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
