use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;

use prost::Message;

use super::queue::{Queue, Refused};
use crate::method::Largest;
use crate::{Compression, Metadata, Status};

/// The sending half of a stream: what a streaming handler answers with, and what a caller sends its requests with.
///
/// A message is encoded when it is sent, and goes out together with others: when whoever sends next waits for
/// something, or when 16 KiB are together. [`send`](Self::send) waits when the receiver is behind, so that a
/// stream never fills the memory.
///
/// On the server the end of the handler ends the response, with its result; a sender that was moved elsewhere can send
/// no longer than that. On the client [`finish`](Self::finish) ends the request. **Dropping a client's sender without
/// it cancels the call**: a request that was cut short must never look complete.
pub struct Sender<T> {
    queue: Arc<Queue>,
    /// A client's, and not finished: dropping it cancels the call.
    cancels: bool,
    largest: Largest,
    types: PhantomData<fn(T)>,
}

/// Why [`Sender::try_send`] did not take a message. It gives the message back.
pub enum TrySendError<T> {
    /// There is no room now: [`Sender::send`] would wait.
    Full(T),
    /// The call is over, or its response is; nothing can be sent any more.
    Closed(T),
    /// The message itself cannot be sent, for this reason: it is larger than the receiver accepts, or than its method
    /// allows.
    Invalid(T, Status),
}

impl<T> Sender<T> {
    /// The sender of a handler.
    pub(crate) fn of_response(queue: Arc<Queue>, largest: Largest) -> Self {
        Self {
            queue,
            cancels: false,
            largest,
            types: PhantomData,
        }
    }

    /// The sender of a caller.
    pub(crate) fn of_request(queue: Arc<Queue>, largest: Largest) -> Self {
        Self {
            queue,
            cancels: true,
            largest,
            types: PhantomData,
        }
    }

    /// Whether nobody receives messages any more: the call was given up, or has failed, or has its answer.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Waits until nobody receives messages any more: for senders that were moved to a task of their own, and for
    /// clients.
    ///
    /// A handler that awaits this itself never sees it: when its caller gives the call up, the handler's future is
    /// dropped where it waits, and nothing after that runs. What must be done then goes into a `Drop`, or into a task
    /// that waits for [`Cancellation`](crate::Cancellation).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn closed(&self) {
        poll_fn(|context| self.queue.poll_closed(context)).await;
    }

    /// Sets what travels ahead of the first message. It goes out like a message: the caller has it when the handler
    /// next waits.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` when a message was sent or metadata was set before, and on the client, where the request
    /// carries the metadata.
    pub fn set_metadata(&self, metadata: Metadata) -> Result<(), Status> {
        if self.cancels {
            return Err(Status::failed_precondition(
                "metadata of a call is set on its request, before the call begins",
            ));
        }
        if self.queue.set_metadata(metadata) {
            return Ok(());
        }
        Err(Status::failed_precondition(
            "metadata goes ahead of the first message, and can be set only once",
        ))
    }

    /// Sets what travels after the last message, in place of what was set before.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` on the client, whose requests end without trailers.
    pub fn set_trailers(&self, trailers: Metadata) -> Result<(), Status> {
        if self.cancels {
            return Err(Status::failed_precondition("a request has no trailers"));
        }
        self.queue.set_trailers(trailers);
        Ok(())
    }

    /// Sets whether the messages sent after it are compressed on their way, until it is set again. Before that a
    /// handler's are sent as [`Compression::Auto`] says, a caller's as its request does.
    pub fn set_compression(&self, compression: Compression) {
        self.queue.set_compression(compression);
    }

    /// Ends the stream: the last message was sent. On the server, where the end of the handler does that, it does
    /// nothing.
    ///
    /// # Errors
    ///
    /// None in this version. That the call is over already is none: its reply, or its stream of responses, says how it
    /// ended.
    ///
    /// # Cancel safety
    ///
    /// It does not wait. A future that was never polled cancels the call, like a sender that is dropped.
    pub async fn finish(mut self) -> Result<(), Status> {
        if std::mem::take(&mut self.cancels) {
            self.queue.finish();
        }
        Ok(())
    }
}

impl<T: Message> Sender<T> {
    /// Sends a message; waits while there is no room for it.
    ///
    /// # Errors
    ///
    /// `CANCELLED` when nobody receives messages any more. On the client the call's reply, or its stream of responses,
    /// says how the call ended. `RESOURCE_EXHAUSTED` when the message is larger than the receiver accepts, or than
    /// its method allows; the stream goes on without it.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has not sent the message.
    pub async fn send(&self, message: T) -> Result<(), Status> {
        match self.send_or_closed(message).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(closed()),
            Err(status) => Err(status),
        }
    }

    /// Sends every message of an iterator, one after the other; waits while there is no room. In a handler that has
    /// nothing else to say this is its last line. The feature `futures` has the same for streams.
    ///
    /// Messages go out as those of [`send`](Self::send) do: when it waits for room, when 16 KiB are together, and when
    /// whoever called it next waits.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send). It ends with the first: the messages before are sent, and no further one is asked
    /// for.
    ///
    /// # Cancel safety
    ///
    /// What was sent stays sent. Dropping the future while it waits loses the one message that it waits with; the rest
    /// is still in an iterator that was given by reference.
    pub async fn send_all(&self, messages: impl IntoIterator<Item = T>) -> Result<(), Status> {
        for message in messages {
            self.send(message).await?;
        }
        Ok(())
    }

    /// Sends every message of an iterator and ends the stream: all that a client sends in a call, in one expression.
    /// Where the answers are to be read meanwhile, the future is one to be spawned:
    ///
    /// ```
    /// # use iip_rpc::{Sender, Status, Streaming};
    /// # async fn chat() -> Result<(Sender<String>, Streaming<String>), Status> { Err(Status::unimplemented("")) }
    /// # async fn call(notes: Vec<String>) -> Result<(), Status> {
    /// let (out, mut answers) = chat().await?;
    /// iip_rpc::tokio::spawn(out.finish_with(notes));
    /// while let Some(answer) = answers.message().await? {
    ///     println!("{answer}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED` when a message is larger than the receiver accepts, or than its method allows; on the client
    /// that cancels the call. That the call is over already is none, as for [`finish`](Self::finish): it stops sending,
    /// and the reply, or the stream of responses, says how the call ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready cancels the call, like dropping the sender.
    pub async fn finish_with(self, messages: impl IntoIterator<Item = T>) -> Result<(), Status> {
        for message in messages {
            if !self.send_or_closed(message).await? {
                break;
            }
        }
        self.finish().await
    }

    /// Whether the message was sent: nobody may receive any more.
    async fn send_or_closed(&self, message: T) -> Result<bool, Status> {
        loop {
            match self.push(&message) {
                Ok(()) => return Ok(true),
                Err(Refused::Closed) => return Ok(false),
                Err(Refused::Invalid(status)) => return Err(status),
                Err(Refused::Full) => poll_fn(|context| self.queue.poll_room(context)).await,
            }
        }
    }

    fn push(&self, message: &T) -> Result<(), Refused> {
        let len = || message.encoded_len();
        self.largest.check(len).map_err(Refused::Invalid)?;
        self.queue.push(message)
    }

    /// Sends a message if that needs no waiting.
    ///
    /// # Errors
    ///
    /// There is no room, nobody receives messages any more, or the message is too large. The message comes back.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match self.push(&message) {
            Ok(()) => Ok(()),
            Err(Refused::Full) => Err(TrySendError::Full(message)),
            Err(Refused::Closed) => Err(TrySendError::Closed(message)),
            Err(Refused::Invalid(status)) => Err(TrySendError::Invalid(message, status)),
        }
    }
}

fn closed() -> Status {
    Status::cancelled("nobody receives messages of this stream any more: its call is over")
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.cancels {
            self.queue.cancel();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

impl<T> TrySendError<T> {
    /// The message that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(message) | Self::Closed(message) | Self::Invalid(message, _) => message,
        }
    }

    /// Whether there is no room now.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether nobody receives messages any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full"),
            Self::Closed(_) => f.write_str("Closed"),
            Self::Invalid(_, status) => f.debug_tuple("Invalid").field(status).finish(),
        }
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("there is no room in the stream now"),
            Self::Closed(_) => f.write_str("nobody receives messages of this stream any more"),
            Self::Invalid(_, status) => status.fmt(f),
        }
    }
}

impl<T> std::error::Error for TrySendError<T> {}

impl<T> From<TrySendError<T>> for Status {
    fn from(error: TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::resource_exhausted(error.to_string()),
            TrySendError::Closed(_) => closed(),
            TrySendError::Invalid(_, status) => status,
        }
    }
}
