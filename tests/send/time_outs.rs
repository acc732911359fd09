//! Blocking clients whose own time-out is over.

use std::time::Duration;

use jwt_refresh::{RequestAuth, Session};
use jwt_refresh_testkit::{Endpoint, Fault, Times};

use crate::support::{HOUR, World};
use crate::{Cost, PRODUCT, cost};

/// What a blocking client does, given its time-out and the URL.
type BlockingGet = fn(&RequestAuth<Session>, Option<Duration>, String) -> Option<u16>;

fn by_reqwest(auth: &RequestAuth<Session>, timeout: Option<Duration>, url: String) -> Option<u16> {
    let http = reqwest::blocking::Client::builder().no_proxy().timeout(timeout).build().unwrap();
    Some(auth.blocking_execute(&http, http.get(url).build().unwrap()).ok()?.status().as_u16())
}

#[cfg(feature = "ureq")]
fn by_ureq(auth: &RequestAuth<Session>, timeout: Option<Duration>, url: String) -> Option<u16> {
    let agent = ureq::Agent::config_builder().timeout_global(timeout).build().new_agent();
    Some(auth.run(&agent, http::Request::get(url).body(()).unwrap()).ok()?.status().as_u16())
}

#[cfg(feature = "ureq")]
fn by_ureq_middleware(auth: &RequestAuth<Session>, timeout: Option<Duration>, url: String) -> Option<u16> {
    let middleware = auth.clone().ureq_middleware();
    let agent = ureq::Agent::config_builder().timeout_global(timeout).middleware(middleware).build().new_agent();
    Some(agent.get(url).call().ok()?.status().as_u16())
}

#[test]
fn a_request_whose_time_out_is_over_says_nothing_about_the_token() {
    let clients: &[BlockingGet] = &[
        by_reqwest,
        #[cfg(feature = "ureq")]
        by_ureq,
        #[cfg(feature = "ureq")]
        by_ureq_middleware,
    ];
    for get in clients {
        let world = World::new();
        let session = world.session().blocking_connect().unwrap();
        let auth = RequestAuth::new(session, world.rule());
        world.server.inject(Endpoint::Api, Fault::Hang(HOUR), Times::Always);
        let soon = Some(Duration::from_millis(100));
        assert_eq!(get(&auth, soon, world.server.url(PRODUCT)), None);
        world.server.clear_faults();
        assert_eq!(get(&auth, None, world.server.url(PRODUCT)), Some(200));
        let Cost { rejected, refreshes, .. } = cost(&world.server);
        assert_eq!((rejected, refreshes), (0, 0));
    }
}
