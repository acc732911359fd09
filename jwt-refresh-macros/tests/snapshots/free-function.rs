#[refresh_token(from = if id == 0 { &SESSIONS[0] } else { SESSIONS.choose() }, crate = crate::auth)]
async fn product<T: Id>(id: T, #[cfg(unix)] _: bool, (mut a, b): (u8, u8)) -> Result<impl Display, Error>
where
    Wrapper<{ SIZE }, T>: Sized,
{
    #![allow(unused)]
    type Result = ();
    a += 1;
}

// ---- expands to ----

async fn product<T: Id>(
    id: T,
    #[cfg(unix)]
    _: bool,
    (mut a, b): (u8, u8),
) -> Result<impl Display, Error>
where
    Wrapper<{ SIZE }, T>: Sized,
{
    {
        let stale = crate::auth::__private::AsyncGuard::check(
            &if id == 0 { &SESSIONS[0] } else { SESSIONS.choose() },
        );
        if let ::core::option::Option::Some(renewal) = stale {
            match renewal.await {
                ::core::result::Result::Ok(token) => token.unused_lease(),
                ::core::result::Result::Err(error) => {
                    return crate::auth::__private::CarryError::carry(error);
                }
            }
        }
    }
    {
        #![allow(unused)]
        type Result = ();
        a += 1;
    }
}
