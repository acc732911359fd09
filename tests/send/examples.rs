//! The examples of the clients run to their end, and are short.

use std::path::Path;

#[path = "../../examples/axum_backend.rs"]
mod axum_backend;
#[cfg(feature = "reqwest-middleware")]
#[path = "../../examples/generated_client/main.rs"]
mod generated_client;
#[cfg(feature = "tower")]
#[path = "../../examples/grpc/main.rs"]
pub(crate) mod grpc;
#[cfg(feature = "reqwest-middleware")]
#[path = "../../examples/reqwest_middleware.rs"]
mod reqwest_middleware;
#[cfg(feature = "tower")]
#[path = "../../examples/tower_client.rs"]
mod tower_client;
#[cfg(feature = "ureq")]
#[path = "../../examples/ureq_script.rs"]
mod ureq_script;

#[test]
fn a_backend_shares_one_session_and_tells_its_health() {
    axum_backend::main().unwrap();
}

#[cfg(feature = "reqwest-middleware")]
#[test]
fn generated_clients_get_their_tokens_from_a_session() {
    generated_client::main().unwrap();
}

#[cfg(feature = "reqwest-middleware")]
#[test]
fn a_middleware_gives_each_request_its_token() {
    reqwest_middleware::main().unwrap();
}

#[cfg(feature = "tower")]
#[test]
fn a_layer_gives_each_request_its_token() {
    tower_client::main().unwrap();
}

#[cfg(feature = "tower")]
#[test]
fn a_client_of_grpc_gets_its_token_by_a_layer() {
    grpc::main().unwrap();
}

#[cfg(feature = "ureq")]
#[test]
fn a_script_without_a_runtime_gets_its_tokens() {
    ureq_script::main().unwrap();
}

#[test]
fn each_example_has_less_than_forty_lines_of_code() {
    for name in [
        "axum_backend.rs",
        "generated_client/main.rs",
        "grpc/main.rs",
        "reqwest_middleware.rs",
        "tower_client.rs",
        "ureq_script.rs",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let code = std::fs::read_to_string(path).unwrap();
        let lines = code.lines().filter(|line| !line.starts_with("//!") && !line.is_empty()).count();
        assert!(lines < 40, "{name}: {lines}");
    }
}
