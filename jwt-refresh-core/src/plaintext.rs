//! Where secrets may go unencrypted: to this machine, or where the user allows it.

use std::net::IpAddr;

/// Whether secrets may be sent over plain `http` to another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plaintext {
    LoopbackOnly,
    Anywhere,
}

impl Plaintext {
    /// Returns whether secrets may be sent over plain `http` to `host`, as it is written in a URL.
    pub(crate) fn admits(self, host: &str) -> bool {
        self == Self::Anywhere || is_loopback(host)
    }
}

/// Returns whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    address.parse().map_or_else(|_| is_local_name(host), |address: IpAddr| address.is_loopback())
}

/// Returns whether a name is `localhost` or below it. No such name is another machine's, whatever
/// DNS says of it (RFC 6761 §6.3).
pub(crate) fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    let start = name.len().saturating_sub("localhost".len());
    name[start..].eq_ignore_ascii_case(b"localhost") && (start == 0 || name[start - 1] == b'.')
}
