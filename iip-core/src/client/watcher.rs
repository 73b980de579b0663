/// Told about the connections of a [`Client`](super::Client).
pub(crate) trait Watcher: Send + Sync + 'static {
    /// A connection came or went, or an attempt to make one failed. Called without a lock, from the task in which it
    /// happened, and before any call is woken that waits for a connection.
    fn changed(&self);
}
