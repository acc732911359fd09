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
        {
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
                let ::core::option::Option::Some(other) = ::jwt_refresh::__private::served(
                    &self.session,
                    &held,
                    head,
                    rerun,
                ) else {
                    break result;
                };
                held = other;
                rerun = true;
                continue;
            }
            if vain.is_seen() {
                break result;
            }
        }
        if rerun {
            let error = ::jwt_refresh::__private::rejected_again(&self.session, &held);
            return ::jwt_refresh::__private::CarryError::carry(error);
        }
        rerun = true;
        let renewal = ::jwt_refresh::__private::BlockingGuard::rejected(
            &self.session,
            &held,
        );
        held = match renewal {
            ::core::result::Result::Ok(token) => token,
            ::core::result::Result::Err(error) => {
                return ::jwt_refresh::__private::CarryError::carry(error);
            }
        };
    }
}
