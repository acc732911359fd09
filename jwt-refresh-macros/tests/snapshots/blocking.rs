#[refresh_token(token, retry)]
pub fn product(&self, id: u64) -> Result<Product, Error> {
    self.get(id).bearer(&token).send()?.json()
}

// ---- expands to ----

pub fn product(&self, mut id: u64) -> Result<Product, Error> {
    let mut held = {
        let token = ::jwt_refresh::__private::BlockingGuard::token(&self.session);
        match token {
            ::core::result::Result::Ok(token) => token,
            ::core::result::Result::Err(error) => {
                return ::jwt_refresh::__private::CarryError::carry(error);
            }
        }
    };
    let mut rerun = false;
    let mut vain = ::jwt_refresh::__private::VainRetry::default();
    loop {
        let next = {
            #[allow(clippy::default_numeric_fallback)]
            let result = {
                let token = ::jwt_refresh::__private::BodyRun::argument(&mut held);
                let id = ::jwt_refresh::__private::BodyRun::argument(&mut id);
                vain.watch_blocking(move || -> Result<Product, Error> {
                    '__guarded: { self.get(id).bearer(&token).send()?.json() }
                })
            };
            let answer = ::jwt_refresh::__private::answer(&result);
            if !(answer.value.is_rejection() || answer.error.is_rejection("product")) {
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
            ::core::option::Option::Some(renewal) => {
                ::jwt_refresh::__private::BlockingGuard::wait(renewal)
            }
            ::core::option::Option::None if rerun => {
                let error = ::jwt_refresh::__private::rejected_again(
                    &self.session,
                    &held,
                );
                return ::jwt_refresh::__private::CarryError::carry(error);
            }
            ::core::option::Option::None => {
                ::jwt_refresh::__private::BlockingGuard::rejected(&self.session, &held)
            }
        };
        rerun = true;
        held = match renewal {
            ::core::result::Result::Ok(token) => token,
            ::core::result::Result::Err(error) => {
                return ::jwt_refresh::__private::CarryError::carry(error);
            }
        };
    }
}
