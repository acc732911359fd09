//! A session lives whatever runtime asks: a parked one, one that ends, one for each call, none.

mod blocked;
mod chosen;
#[cfg(all(unix, target_os = "linux"))]
mod fork;
mod script;
mod shapes;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use jwt_refresh::{HttpAuthenticator, ManualClock, Policy, Session, SessionBuilder};
use jwt_refresh_testkit::TestServer;
use tokio::runtime::{Builder, Runtime};

const SECOND: Duration = Duration::from_secs(1);

/// A server whose tokens live for a minute, and sessions on it that read a clock of their own.
struct World {
    server: TestServer,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self::with(TestServer::start())
    }

    fn with(server: TestServer) -> Self {
        Self { server, clock: ManualClock::new() }
    }

    fn authenticator(&self) -> HttpAuthenticator {
        HttpAuthenticator::builder(self.server.url("/api/auth/login"))
            .refresh_url(self.server.url("/api/auth/refresh"))
            .revocation_url(self.server.url("/api/auth/revoke"))
            .field("email", self.server.email())
            .secret_field("password", self.server.password())
            .build()
            .unwrap()
    }

    fn builder(&self) -> SessionBuilder {
        Session::builder(self.authenticator()).clock(&self.clock).policy(short())
    }

    fn pass(&self, time: Duration) {
        self.server.advance(time);
        self.clock.advance(time);
    }
}

/// All time-outs at one second.
fn short() -> Policy {
    Policy::default().login_timeout(SECOND).refresh_timeout(SECOND).store_timeout(SECOND)
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

/// Waits until `done`, which other threads bring about.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < 60 * SECOND, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
