//! The contenders.

mod aws;
mod azure;
mod by_hand;
mod gcp_auth;
mod google;
mod huskarl;
mod limits;
mod middle;
mod ours;
mod service_account;
mod yup;

use crate::peer::{Contender, Stampede};

/// All rows, in the order of the tables.
pub fn all() -> Vec<Contender> {
    let refreshed_by_a_task = Stampede::Left("a task in the background refreshes, and an expired token is an error");
    vec![
        Contender::new("limit", |_| Box::pin(limits::make())).limit(),
        Contender::new("jwt-refresh", |server| Box::pin(ours::make(server))),
        Contender::new("jwt-refresh, retry", |server| Box::pin(ours::make_with_retry(server))),
        Contender::new("jwt-refresh, many methods", |server| Box::pin(ours::make_with_many_methods(server))),
        Contender::new("std::sync::Mutex", |server| Box::pin(by_hand::std_mutex(server))),
        Contender::new("std::sync::RwLock", |server| Box::pin(by_hand::std_rw_lock(server))),
        Contender::new("tokio::sync::Mutex", |server| Box::pin(by_hand::tokio_mutex(server))),
        Contender::new("tokio::sync::RwLock", |server| Box::pin(by_hand::tokio_rw_lock(server))),
        Contender::new("google-cloud-auth", |server| Box::pin(google::make(server))).stampede(Stampede::NoneYet),
        Contender::new("azure_identity", |server| Box::pin(azure::make(server))),
        Contender::new("gcp_auth", |server| Box::pin(gcp_auth::make(server))),
        Contender::new("yup-oauth2", |server| Box::pin(yup::make(server))),
        Contender::new("aws-smithy-runtime", |server| Box::pin(aws::make(server))),
        Contender::new("huskarl", |server| Box::pin(huskarl::make(server))),
        Contender::new("middle", |server| Box::pin(middle::make(server))).stampede(refreshed_by_a_task),
    ]
}
