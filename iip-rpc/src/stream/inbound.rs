use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::body::BodyStream;
use crate::envelope::{Batch, Direction, FrameReader, Head, Item, MessageBytes, Trailer};
use crate::{Metadata, Status};

use super::cancelled;

/// Where the frames of one direction of a call come from.
pub(crate) trait Frames: Send + Unpin + 'static {
    /// The records of the next frame; `None` when the direction is complete.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Status>>;

    /// Messages of this cost were taken by the application.
    fn consumed(&self, cost: usize);

    /// Adds to a status what is known here.
    fn located(&self, status: Status) -> Status {
        status
    }
}

/// The messages of one direction of a streaming call, read off a connection.
pub(crate) struct Inbound<F> {
    frames: F,
    direction: Direction,
    reader: FrameReader,
    /// Messages that were read while something else was looked for.
    ahead: Option<Batch>,
    /// The one message there may be, until it is known to be the only one.
    single: Option<MessageBytes>,
    trailers: Metadata,
    failed: Option<Status>,
    over: bool,
}

enum Next {
    Head(Head),
    Batch(Batch),
    End,
}

impl<F: Frames> Inbound<F> {
    pub(crate) fn new(frames: F, direction: Direction, max_message: usize) -> Self {
        Self {
            frames,
            direction,
            reader: FrameReader::new(direction, max_message),
            ahead: None,
            single: None,
            trailers: Metadata::new(),
            failed: None,
            over: false,
        }
    }

    /// Where the frames come from.
    pub(crate) fn frames_mut(&mut self) -> &mut F {
        &mut self.frames
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Next, Status>> {
        if let Some(batch) = self.ahead.take() {
            return Poll::Ready(Ok(Next::Batch(batch)));
        }
        while !self.over {
            let next = match self.reader.next() {
                Ok(Some(Item::Batch(batch))) => Ok(Next::Batch(batch)),
                Ok(Some(Item::Head(head))) => Ok(Next::Head(head)),
                Ok(Some(Item::Cancelled)) => Err(cancelled()),
                Ok(Some(Item::Trailer(Trailer::Ok(trailers)))) => {
                    self.trailers = trailers;
                    continue;
                }
                Ok(Some(Item::Trailer(Trailer::Failed(status)))) => {
                    self.failed = Some(self.frames.located(status));
                    continue;
                }
                Ok(None) => match ready!(self.frames.poll_frame(context)) {
                    Ok(Some(frame)) => {
                        self.reader.push(frame);
                        continue;
                    }
                    Ok(None) => {
                        self.over = true;
                        match (self.failed.take(), self.reader.finish()) {
                            (Some(status), _) => Err(status),
                            (None, Ok(())) => Ok(Next::End),
                            (None, Err(error)) => Err(self.unreadable(&error)),
                        }
                    }
                    Err(status) => Err(status),
                },
                Err(error) => Err(self.unreadable(&error)),
            };
            self.over |= next.is_err();
            return Poll::Ready(next);
        }
        Poll::Ready(Ok(Next::End))
    }

    fn unreadable(&self, error: &crate::envelope::EnvelopeError) -> Status {
        match self.direction {
            Direction::Request => error.in_request(),
            Direction::Response => self.frames.located(error.in_response()),
        }
    }

    /// What stands before the first message. Waits for the first of HEAD, a message and the end.
    pub(crate) fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, Status>> {
        Poll::Ready(Ok(match ready!(self.poll_next(context))? {
            Next::Head(head) => head,
            Next::Batch(batch) => {
                self.ahead = Some(batch);
                Head::default()
            }
            Next::End => Head::default(),
        }))
    }

    /// The one message there must be, once the direction is complete.
    pub(crate) fn poll_single(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<MessageBytes, Status>> {
        loop {
            match ready!(self.poll_next(context))? {
                // Only the first record may be one, and whoever cared has read it.
                Next::Head(_) => {}
                Next::Batch(batch) => {
                    let mut more = None;
                    let message = batch.split_first(&mut more);
                    if self.single.is_some() || more.is_some() {
                        let error = crate::envelope::EnvelopeError::SecondMessage;
                        return Poll::Ready(Err(self.unreadable(&error)));
                    }
                    self.single = message;
                }
                Next::End => {
                    let missing = crate::envelope::EnvelopeError::NoMessage;
                    let message = self.single.take();
                    return Poll::Ready(message.ok_or_else(|| self.unreadable(&missing)));
                }
            }
        }
    }

    /// What came after the last message.
    pub(crate) fn take_trailers(&mut self) -> Metadata {
        std::mem::take(&mut self.trailers)
    }
}

impl<F: Frames> BodyStream for Inbound<F> {
    fn poll_records(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Batch, Status>>> {
        loop {
            match ready!(self.poll_next(context)) {
                Ok(Next::Head(_)) => {}
                Ok(Next::Batch(batch)) => return Poll::Ready(Some(Ok(batch))),
                Ok(Next::End) => return Poll::Ready(None),
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
        }
    }

    fn consumed(self: Pin<&mut Self>, cost: usize) {
        self.frames.consumed(cost);
    }

    fn is_over(&self) -> bool {
        self.over && self.ahead.is_none() && self.trailers.is_empty()
    }

    fn trailers(mut self: Pin<&mut Self>) -> Metadata {
        self.take_trailers()
    }
}
