use std::sync::{Arc, Weak};
use std::time::Duration;

use super::discover::{Discover, DiscoverError};
use super::registry::Registry;
use crate::client::{Backoff, BackoffConfig};

/// Keeps a registry's list of endpoints, until the registry is gone.
pub(super) async fn run(mut discover: Box<dyn Discover>, registry: Weak<Registry>) {
    let pauses = BackoffConfig::default()
        .min(Duration::from_millis(200))
        .base(Duration::from_secs(1))
        .max(Duration::from_secs(5));
    let mut random = fastrand::Rng::new();
    let mut pause = Backoff::new(pauses.clone());
    // An error is logged once, however often it comes in a row.
    let mut logged = String::new();
    loop {
        let targets = match discover.next().await {
            Ok(targets) if targets.is_empty() => Err(DiscoverError::new("the list is empty")),
            other => other,
        };
        let Some(strong) = registry.upgrade() else {
            return;
        };
        match targets {
            Ok(targets) => {
                tracing::debug!(?targets, "the list of endpoints");
                strong.apply(targets);
                pause = Backoff::new(pauses.clone());
                logged.clear();
            }
            Err(failure) => {
                let text = failure.to_string();
                if logged != text {
                    tracing::warn!(%failure, "the endpoints cannot be found out; those known are kept");
                    logged = text;
                }
                strong.not_listed(Arc::new(failure));
                drop(strong);
                tokio::time::sleep(pause.next_delay(&mut random)).await;
            }
        }
    }
}
