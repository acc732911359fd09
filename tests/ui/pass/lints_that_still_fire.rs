//! Lints fire in annotated methods as in others: an expectation that is not met is an error here.

use jwt_refresh::Error;
use jwt_refresh::prelude::*;

use crate::api::session;

struct Api {
    session: Session,
}

#[must_use]
const fn important() -> u64 {
    1
}

#[tokio::test]
async fn compiles_and_runs() {
    assert!(Api { session: session().await }.session.is_ready());
}

#[expect(dead_code, reason = "the methods are not called")]
#[refresh_token]
impl Api {
    #[expect(unused_variables, reason = "the argument, the variable")]
    async fn unused(&self, argument: u64) -> Result<(), Error> {
        let variable = 1;
        Ok(())
    }

    #[expect(unused_variables, reason = "the token")]
    #[refresh_token(token)]
    async fn unused_token(&self) -> Result<(), Error> {
        Ok(())
    }

    #[expect(unused_mut, reason = "the argument")]
    async fn not_mutable(&self, mut argument: u64) -> Result<u64, Error> {
        Ok(argument)
    }

    #[expect(unused_must_use, reason = "the result")]
    async fn dropped(&self) -> Result<(), Error> {
        important();
        Ok(())
    }

    #[expect(unreachable_code, reason = "the last expression")]
    async fn unreachable(&self) -> Result<(), Error> {
        return Ok(());
        Err(Error::denied("never"))
    }

    #[expect(clippy::len_zero, clippy::needless_return, reason = "clippy lints fire as well")]
    async fn clippy_reads_on(&self, argument: &str) -> Result<bool, Error> {
        return Ok(argument.len() == 0);
    }
}

#[expect(dead_code, reason = "the methods are not called")]
#[refresh_token(retry)]
impl Api {
    #[expect(unused_variables, reason = "the argument, the variable")]
    async fn unused_again(&self, argument: u64) -> Result<(), Error> {
        let variable = 1;
        Ok(())
    }

    #[expect(unused_variables, reason = "the token")]
    #[refresh_token(token)]
    async fn unused_token_again(&self) -> Result<(), Error> {
        Ok(())
    }

    #[expect(unused_mut, reason = "the argument")]
    async fn not_mutable_again(&self, mut argument: u64) -> Result<u64, Error> {
        Ok(argument)
    }

    #[expect(unused_must_use, reason = "the result")]
    async fn dropped_again(&self) -> Result<(), Error> {
        important();
        Ok(())
    }

    #[expect(unreachable_code, reason = "the last expression")]
    async fn unreachable_again(&self) -> Result<(), Error> {
        return Ok(());
        Err(Error::denied("never"))
    }

    #[expect(clippy::len_zero, reason = "clippy lints fire as well")]
    async fn clippy_reads_on_again(&self, argument: &str) -> Result<bool, Error> {
        Ok(argument.len() == 0)
    }
}
