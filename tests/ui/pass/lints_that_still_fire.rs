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

#[expect(dead_code, reason = "the methods are not called")]
#[refresh_token]
impl Api {
    #[expect(clippy::bool_assert_comparison, reason = "it stands directly in the body")]
    async fn assertion(&self, argument: bool) -> Result<(), Error> {
        assert_eq!(argument, true);
        Ok(())
    }

    #[expect(clippy::uninlined_format_args, reason = "it stands directly in the body")]
    async fn formatted(&self, argument: u8) -> Result<(), Error> {
        println!("{}", argument);
        Ok(())
    }

    #[expect(clippy::println_empty_string, reason = "it stands directly in the body")]
    async fn empty_line(&self) -> Result<(), Error> {
        println!("");
        Ok(())
    }

    #[expect(clippy::todo, reason = "it is the whole body")]
    async fn unfinished(&self) -> Result<(), Error> {
        todo!()
    }
}

#[expect(dead_code, reason = "the methods are not called")]
#[refresh_token(retry)]
impl Api {
    #[expect(clippy::bool_assert_comparison, reason = "it stands directly in the body")]
    async fn assertion_again(&self, argument: bool) -> Result<(), Error> {
        assert_eq!(argument, true);
        Ok(())
    }

    #[expect(clippy::uninlined_format_args, reason = "it stands directly in the body")]
    async fn formatted_again(&self, argument: u8) -> Result<(), Error> {
        println!("{}", argument);
        Ok(())
    }

    #[expect(clippy::needless_return, reason = "the last expression")]
    async fn returned_again(&self, argument: &str) -> Result<bool, Error> {
        return Ok(argument.is_empty());
    }

    #[expect(clippy::ptr_arg, reason = "the argument")]
    async fn borrowed_again(&self, argument: &String) -> Result<usize, Error> {
        Ok(argument.len())
    }

    #[cfg(feature = "blocking")]
    #[expect(clippy::ptr_arg, reason = "the argument")]
    #[refresh_token]
    fn borrowed_blocking(&self, argument: &mut Vec<u8>) -> Result<usize, Error> {
        argument[0] = 1;
        argument.reverse();
        Ok(argument.len())
    }

    #[cfg(feature = "blocking")]
    #[expect(clippy::needless_pass_by_value, reason = "the argument")]
    #[refresh_token]
    fn taken_blocking(&self, argument: String) -> Result<String, Error> {
        Ok(format!("{argument}!"))
    }

    #[cfg(feature = "blocking")]
    #[expect(clippy::needless_return, reason = "the last expression")]
    #[refresh_token]
    fn returned_blocking(&self, argument: &str) -> Result<bool, Error> {
        return Ok(argument.is_empty());
    }
}

/// No lint of clippy is about what the attribute writes, not even one that is off by default.
#[deny(clippy::shadow_same, clippy::shadow_reuse)]
#[expect(dead_code, reason = "the methods are not called")]
#[refresh_token(retry)]
impl Api {
    async fn nothing_added(&self, name: String, out: &mut Vec<u8>, (a, b): (u8, String)) -> Result<i32, Error> {
        out.push(a);
        out.extend(name.bytes().chain(b.bytes()));
        Ok(1)
    }

    #[rustfmt::skip]
    async fn on_one_line(&self) -> Result<i32, Error> { Ok(1) }

    // In an `async fn` this lint fires without the attribute too.
    #[deny(clippy::default_numeric_fallback)]
    #[cfg(feature = "blocking")]
    #[refresh_token]
    fn nothing_added_blocking(&self, out: &mut Vec<u8>) -> Result<i32, Error> {
        out.clear();
        Ok(1)
    }
}
