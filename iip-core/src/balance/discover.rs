use std::error::Error as StdError;
use std::fmt;
use std::future::pending;

use async_trait::async_trait;

use super::target::{Target, Targets};

/// Finds out which endpoints there are: what is behind a name, in a file, in a registry. A
/// [`Balancer`](super::Balancer) owns one and asks it as long as it lives.
#[async_trait]
pub trait Discover: fmt::Debug + Send + 'static {
    /// The endpoints: the first time as soon as they are known, and then each time they have changed, all of them each
    /// time. Endpoints that were there before keep their connections and what is known of them.
    ///
    /// An empty list changes nothing, like an error: it is rather a mistake than the wish to have no endpoint at all.
    ///
    /// # Errors
    ///
    /// The endpoints cannot be found out now. The balancer keeps those it has, logs the error and asks again after a
    /// pause of 200 ms to 5 s.
    ///
    /// # Cancel safety
    ///
    /// Need not be cancel safe: the future is only dropped when the balancer is.
    async fn next(&mut self) -> Result<Vec<Target>, DiscoverError>;
}

#[async_trait]
impl Discover for Box<dyn Discover> {
    async fn next(&mut self) -> Result<Vec<Target>, DiscoverError> {
        (**self).next().await
    }
}

/// Why the endpoints cannot be found out.
#[derive(Debug)]
pub struct DiscoverError {
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl DiscoverError {
    /// An error that says what cannot be found out, and where.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            source: None,
        }
    }

    /// Adds why.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for DiscoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl StdError for DiscoverError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Endpoints that never change.
#[derive(Debug, Clone)]
pub struct Static {
    targets: Option<Vec<Target>>,
}

impl Static {
    /// These endpoints.
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        Self {
            targets: Some(targets.into_iter().collect()),
        }
    }
}

impl From<Targets> for Static {
    fn from(targets: Targets) -> Self {
        Self::new(targets.into_vec())
    }
}

#[async_trait]
impl Discover for Static {
    async fn next(&mut self) -> Result<Vec<Target>, DiscoverError> {
        match self.targets.take() {
            Some(targets) => Ok(targets),
            None => pending().await,
        }
    }
}
