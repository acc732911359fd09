use jwt_refresh::prelude::*;

use crate::api::{Result, Server, session};

struct Api {
    session: Session,
    server: Server,
}

macro_rules! resource {
    ($(#[$meta:meta])* $vis:vis $name:ident($($argument:ident: $ty:ty),*) -> $output:ty, $token:ident $body:block) => {
        impl Api {
            $(#[$meta])*
            #[refresh_token(token = $token, from = self.session)]
            $vis async fn $name(&self, $($argument: $ty),*) -> $output $body
        }
    };
}

resource!(
    /// A documentation comment that the macro passes on.
    #[allow(dead_code)]
    pub(super) product(id: u64, name: String) -> Result<u64>, bearer {
        Ok(id + bearer.generation() + name.len() as u64)
    }
);

macro_rules! resources {
    ($($options:ident),*; $($name:ident),*; $session:expr) => {
        #[refresh_token(from = $session, token, $($options),*)]
        impl Api {
            $(
                async fn $name(&self, name: String) -> Result<u64> {
                    self.server.call(&token)?;
                    Ok(name.len() as u64)
                }
            )*

            const fn server(&self) -> &Server {
                &self.server
            }
        }
    };
}

resources!(retry; first, second; SESSION.get().expect("a session"));

static SESSION: std::sync::OnceLock<Session> = std::sync::OnceLock::new();

macro_rules! members {
    ($($member:item)*) => {
        #[refresh_token]
        impl Api {
            $($member)*
        }
    };
}

members! {
    async fn third(&self) -> Result<u64> {
        Ok(3)
    }

    #[refresh_token(skip)]
    async fn fourth(&self) -> u64 {
        std::future::ready(4).await
    }
}

#[tokio::test]
async fn compiles_and_runs() {
    let api = Api { session: session().await, server: Server::default() };
    SESSION.set(api.session.clone()).expect("set once");
    assert_eq!(api.product(1, "ab".to_owned()).await.unwrap(), 4);
    assert_eq!(api.first("ab".to_owned()).await.unwrap(), 2);
    assert_eq!(api.second("abc".to_owned()).await.unwrap(), 3);
    assert_eq!(api.third().await.unwrap(), 3);
    assert_eq!(api.fourth().await, 4);
    api.server();
}
