//! A session lives whatever runtime asks: a parked one, one that ends, one for each call, none.

mod blocked;
mod chosen;
#[cfg(all(unix, target_os = "linux"))]
mod fork;
mod pools;
mod script;
mod shapes;
#[path = "../support/mod.rs"]
mod support;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use jwt_refresh::{HttpAuthenticator, Policy, Session, SessionBuilder};
use tokio::runtime::{Builder, Runtime};

use support::{SECOND, World, login};

impl World {
    fn authenticator(&self) -> HttpAuthenticator {
        login(&self.server).revocation_url(self.server.url("/api/auth/revoke")).build().unwrap()
    }

    /// A session that revokes its tokens.
    fn builder(&self) -> SessionBuilder {
        Session::builder(self.authenticator()).clock(&self.clock).policy(patient())
    }
}

/// Time-outs that a busy machine does not reach.
fn patient() -> Policy {
    all_within(SECOND * 20)
}

fn all_within(time: Duration) -> Policy {
    Policy::default().login_timeout(time).refresh_timeout(time).store_timeout(time)
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Drives a future without any runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}
