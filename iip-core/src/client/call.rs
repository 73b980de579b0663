use std::time::Instant;

use bytes::Bytes;

use super::pool::Client;
use crate::conn::{CallFailure, CallReceiver, CallSender};
use crate::error::{Error, ErrorKind, Outcome};
use crate::session::{Format, Payload};
use crate::wire::Path;

impl Client {
    /// Calls a raw path: sends `data` and returns the whole response. The deadline is the client's default (10 s).
    ///
    /// To an IIP client an error of the server's handler is ordinary data; see
    /// [`ErrorReply::parse`](crate::session::ErrorReply::parse).
    ///
    /// # Errors
    ///
    /// The path is not canonical or the data empty, there is no connection, the deadline passed, or the connection was
    /// lost. [`Error::outcome`] says whether the call can have run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up; other calls are not affected.
    pub async fn call(&self, path: &str, data: impl Into<Bytes>) -> Result<Bytes, Error> {
        let path = parse(path)?;
        let deadline = self.default_deadline();
        let payload = Payload::Whole(data.into());
        self.call_until(&path, Format::Raw, payload, deadline).await
    }

    /// Calls a path with a deadline of its own; `None` waits without limit.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call).
    pub async fn call_until(
        &self,
        path: &Path,
        format: Format,
        mut payload: Payload,
        deadline: Option<Instant>,
    ) -> Result<Bytes, Error> {
        loop {
            let connection = self.ready(deadline).await?;
            match connection.call(path, format, payload, deadline).await {
                Ok(data) => return Ok(data),
                Err(CallFailure::Failed(error)) => return Err(error),
                // Another call took the last channel, or the connection ended just now.
                Err(CallFailure::NotStarted(back)) => payload = back,
            }
        }
    }

    /// Begins a raw call whose request goes on after `first`, and whose response is received frame by frame. Needs a
    /// native server: plain ones take requests of one frame.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    pub async fn open(
        &self,
        path: &str,
        first: impl Into<Bytes>,
        deadline: Option<Instant>,
    ) -> Result<(CallSender, CallReceiver), Error> {
        let path = parse(path)?;
        let mut payload = Payload::Whole(first.into());
        loop {
            let connection = self.ready(deadline).await?;
            match connection.open(&path, Format::Raw, payload, false, deadline) {
                Ok(halves) => return Ok(halves),
                Err(CallFailure::Failed(error)) => return Err(error),
                Err(CallFailure::NotStarted(back)) => payload = back,
            }
        }
    }

    /// When a call that begins now and brings no deadline has to be done.
    pub fn default_deadline(&self) -> Option<Instant> {
        self.pool.config.default_deadline()
    }
}

pub(crate) fn parse(path: &str) -> Result<Path, Error> {
    Path::new(path).map_err(|error| {
        let text = format!("cannot call {}", path.escape_debug());
        Error::new(ErrorKind::Invalid, Outcome::NotSent, text).with_source(error)
    })
}
