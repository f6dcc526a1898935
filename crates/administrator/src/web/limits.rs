//! Bounds on what one client may hold: the time of a request, and connections.

use super::problem::Refusal;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use schema::{Code, Problem};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Longest time from the head of a request to the head of its answer; a body must have arrived within it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Ends a request that takes too long. A WebSocket's answer is the one that opens it, so it needs no exception: what it
/// carries afterwards is bounded by its own handler.
pub(super) async fn bounded_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = format!("the request took longer than {} s.", REQUEST_TIMEOUT.as_secs());
            let problem = Problem::new(Code::Deadline, message);
            Refusal(problem.fix("Send the whole request at once; ask for fewer rows where it was a query."))
                .into_response()
        }
    }
}

/// How many connections each peer has.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of a peer, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Places {
    /// At most `most` for each peer.
    pub(super) fn new(most: usize) -> Arc<Places> {
        Arc::new(Places { most, taken: Mutex::default() })
    }

    /// `None` where the peer has as many as it may have.
    pub(super) fn take(self: &Arc<Places>, peer: IpAddr) -> Option<Place> {
        let peer = network(peer);
        let mut taken = self.taken.lock();
        let of_peer = taken.entry(peer).or_default();
        if *of_peer >= self.most {
            return None;
        }
        *of_peer += 1;
        Some(Place { places: self.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(of_peer) = taken.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}

/// Whoever has one address of version 6 has its whole network.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::middleware;
    use axum::routing::post;
    use tower::ServiceExt as _;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_ends_the_request_whatever_its_headers_say() {
        for header in ["x-any", "upgrade"] {
            let router = Router::new()
                .route("/", post(async |body: Bytes| body.len().to_string()))
                .layer(middleware::from_fn(bounded_time));
            let begun = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
            let body = Body::from_stream(futures::StreamExt::chain(begun, futures::stream::pending()));
            let request = Request::post("/").header(header, "websocket").body(body).unwrap();
            let answered = tokio::time::timeout(REQUEST_TIMEOUT * 2, router.oneshot(request)).await;
            let status = answered.expect("it was never ended").unwrap().status();
            assert_eq!(status.as_u16(), Code::Deadline.http_status(), "{header}");
        }
    }

    #[test]
    fn one_peer_cannot_take_the_places_of_all() {
        let places = Places::new(2);
        let peer = |text: &str| text.parse::<IpAddr>().unwrap();
        let held: Vec<Option<Place>> = (0..2).map(|_| places.take(peer("2001:db8::1"))).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(peer("2001:db8::2")).is_none(), "another address of the same network");
        assert!(places.take(peer("2001:db8:0:1::1")).is_some() && places.take(peer("10.0.0.1")).is_some());
        drop(held);
        assert!(places.take(peer("2001:db8::1")).is_some());
        assert!(places.taken.lock().is_empty(), "a peer that left is remembered");
    }
}
