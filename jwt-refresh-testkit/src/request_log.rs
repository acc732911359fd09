//! The last requests that the server received.

use std::collections::VecDeque;

use crate::ReceivedRequest;

/// How many requests are kept.
const MOST_REQUESTS: usize = 1000;

/// How many bytes of bodies are kept with them.
const MOST_BYTES: usize = 64 << 20;

#[derive(Default)]
pub(crate) struct RequestLog {
    requests: VecDeque<ReceivedRequest>,
    /// The length of all bodies together.
    bytes: usize,
}

impl RequestLog {
    pub(crate) fn push(&mut self, request: ReceivedRequest) {
        self.bytes += request.body().len();
        self.requests.push_back(request);
        while self.requests.len() > MOST_REQUESTS || self.bytes > MOST_BYTES && self.requests.len() > 1 {
            let oldest = self.requests.pop_front();
            self.bytes -= oldest.map_or(0, |request| request.body().len());
        }
    }

    pub(crate) fn all(&self) -> Vec<ReceivedRequest> {
        self.requests.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Bytes, http::Request};

    use super::*;

    fn log_of(bodies: &[usize]) -> Vec<usize> {
        let mut log = RequestLog::default();
        for length in bodies {
            let (head, ()) = Request::new(()).into_parts();
            log.push(ReceivedRequest::new(&head, Bytes::from(vec![0; *length]), None, Vec::new()));
        }
        log.all().iter().map(|request| request.body().len()).collect()
    }

    #[test]
    fn the_last_thousand_requests_are_kept() {
        let bodies: Vec<_> = (0..1500).collect();
        assert_eq!(log_of(&bodies), bodies[500..]);
    }

    #[test]
    fn bodies_push_the_oldest_out_but_the_last_request_always_stays() {
        assert_eq!(log_of(&[MOST_BYTES / 2, 1, MOST_BYTES / 2]), [1, MOST_BYTES / 2]);
        assert_eq!(log_of(&[1, MOST_BYTES + 1]), [MOST_BYTES + 1]);
    }
}
