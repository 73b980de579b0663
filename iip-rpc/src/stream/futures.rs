//! Streams as the `futures` crates know them (feature `futures`).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_core::Stream;
use prost::Message;

use super::{Sender, Streaming};
use crate::Status;

/// The messages, and the error that ends them if one does; as [`message`](Streaming::message), without a further item
/// after an error.
impl<T: Message + Default> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, Status>>> {
        self.poll_message(context).map(Result::transpose)
    }
}

impl<T: Message> Sender<T> {
    /// [`send_all`](Self::send_all) for a stream of messages, in the same way and with the same errors.
    ///
    /// # Errors
    ///
    /// As for [`send_all`](Self::send_all).
    ///
    /// # Cancel safety
    ///
    /// As for [`send_all`](Self::send_all).
    pub async fn send_stream(&self, messages: impl Stream<Item = T>) -> Result<(), Status> {
        let mut messages = pin!(messages);
        while let Some(message) = poll_fn(|context| messages.as_mut().poll_next(context)).await {
            self.send(message).await?;
        }
        Ok(())
    }
}
