use std::io;
use std::time::{Duration, Instant};

use iip_rpc::Channel;
use iip_rpc::iip_core::balance::EndpointState;
use tokio::time::sleep;

use super::load::PATIENCE;

/// Waits until `what` holds of the channel's endpoints, and returns when it was seen.
pub(super) async fn until(
    channel: &Channel,
    what: impl Fn(&[EndpointState]) -> bool,
) -> io::Result<Instant> {
    let began = Instant::now();
    loop {
        let endpoints = channel.endpoints();
        if what(&endpoints) {
            return Ok(Instant::now());
        }
        if began.elapsed() > PATIENCE {
            let text = format!("this goes on for too long: {endpoints:?}");
            return Err(io::Error::other(text));
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Whether calls are sent there.
pub(super) fn takes_calls(endpoint: &EndpointState) -> bool {
    endpoint.connections > 0 && endpoint.ejected_until.is_none()
}

/// Waits until calls are sent to every endpoint.
pub(super) async fn all_well(channel: &Channel) -> io::Result<Instant> {
    until(channel, |endpoints| endpoints.iter().all(takes_calls)).await
}
