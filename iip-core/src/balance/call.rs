use std::time::Instant;

use bytes::Bytes;

use super::balancer::Balancer;
use super::endpoint::EndpointId;
use super::member::Verdict;
use super::pick::Pick;
use crate::client::parse_path;
use crate::conn::{CallFailure, now};
use crate::error::{Error, ErrorKind, Outcome};
use crate::session::{ErrorReply, Format, Payload};
use crate::wire::Path;

impl Balancer {
    /// Calls a raw path at one of the endpoints: sends `data` and returns the whole response. The deadline is the
    /// template's default (10 s).
    ///
    /// A call that never left this side whole goes to another endpoint, and so does, once, one that a server refused
    /// because it stops or has too much to do: nothing of it has run. To an IIP client an error of the server's handler is
    /// ordinary data; see [`ErrorReply::parse`](crate::session::ErrorReply::parse).
    ///
    /// # Errors
    ///
    /// The path is not canonical or the data empty, no endpoint can be reached, the deadline passed, or the connection was
    /// lost while the call was under way. [`Error::outcome`] says whether the call can have run.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the call up; other calls are not affected.
    pub async fn call(&self, path: &str, data: impl Into<Bytes>) -> Result<Bytes, Error> {
        let path = parse_path(path)?;
        let deadline = self.default_deadline();
        let payload = Payload::Whole(data.into());
        self.call_until(&path, Format::Raw, payload, Pick::new(now()), deadline)
            .await
    }

    /// Calls a path with a deadline of its own (`None` waits without limit), and with a key to hash it by in `pick`.
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
        payload: Payload,
        pick: Pick,
        deadline: Option<Instant>,
    ) -> Result<Bytes, Error> {
        let mut pick = pick;
        let mut tried: Vec<EndpointId> = Vec::new();
        let mut refused = false;
        loop {
            let mut picked = self.pick(&pick, &tried, deadline).await?;
            let call = picked
                .connection()
                .call(path, format, payload.clone(), deadline);
            let error = match call.await {
                Ok(data) => {
                    picked.finish(Verdict::Success);
                    return Ok(data);
                }
                Err(CallFailure::Failed(error)) => error,
                // Another call took the last channel, or the connection ended just now.
                Err(CallFailure::NotStarted(_)) => {
                    pick = pick.at(now());
                    continue;
                }
            };
            picked.finish(verdict(&error));
            let again = match error.outcome() {
                Outcome::NotSent => error.is_connection(),
                Outcome::NotProcessed => {
                    !std::mem::replace(&mut refused, true) && elsewhere(&error)
                }
                Outcome::Unknown => false,
            };
            if !again {
                return Err(error);
            }
            let endpoint = picked.endpoint().id();
            if !tried.contains(&endpoint) {
                tried.push(endpoint);
            }
            pick = pick.at(now()).with_attempt(pick.attempt() + 1);
        }
    }
}

/// Whether another server may take what this one refused.
fn elsewhere(error: &Error) -> bool {
    let transient = [ErrorReply::OVERLOADED, ErrorReply::DRAINING];
    error
        .refused_code()
        .is_some_and(|code| transient.contains(&code))
}

/// What the failure of a raw call says about its endpoint.
fn verdict(error: &Error) -> Verdict {
    match (error.kind(), error.outcome()) {
        (ErrorKind::Closed, _) => Verdict::Failure,
        (ErrorKind::Deadline, Outcome::NotSent) => Verdict::Neutral,
        (ErrorKind::Deadline, _) => Verdict::Failure,
        (ErrorKind::Refused { code }, _) => match *code {
            // Ejecting those that have too much to do would leave even more to the others.
            ErrorReply::OVERLOADED | ErrorReply::DRAINING => Verdict::Neutral,
            // It is what the call is answered with anywhere.
            _ => Verdict::Success,
        },
        _ => Verdict::Neutral,
    }
}
