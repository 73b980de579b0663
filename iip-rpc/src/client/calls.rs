use std::borrow::Cow;
use std::future::{Future, ready};
use std::pin::Pin;
use std::time::{Duration, Instant};

use iip_core::balance::Pick;

use super::attempts::{Attempt, Attempting, Failed, Rules, attempts};
use super::breaker::{Breaker, Permit};
use super::channel::{Attempted, Channel, Timeout, Tried};
use super::classify::Failure;
use crate::body::{BodyStream, Kind};
use crate::deadline::{after, now};
use crate::envelope::MessageBytes;
use crate::layer::guard;
use crate::{
    Body, Code, Idempotency, MetadataKey, MethodDescriptor, MethodKind, Request, Response,
    RpcService, Status,
};

/// Key of the metadata that tells how many attempts of the call were made before (`docs/protocol.md`, section 7.6).
const PREVIOUS_ATTEMPTS: MetadataKey = MetadataKey::from_static("iip-previous-attempts");

impl RpcService for Channel {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        if let Some(layers) = &self.layers {
            return self.call_layered(layers, request).await;
        }
        let Some(method) = request.method() else {
            return Err(self.not_sent(Status::internal("the request names no method")));
        };
        let now = now();
        if request.deadline().is_some_and(|deadline| deadline <= now) {
            let text = "the deadline passed before the call was sent (setting: timeout)";
            return Err(self.not_sent(Status::deadline_exceeded(text)));
        }
        self.reliability.budget.called(now);
        if method.kind() != MethodKind::Unary {
            return Box::pin(self.stream(method, request, now)).await;
        }
        let (timeout, deadline) = match request.deadline() {
            None => (
                Timeout::Default,
                self.timeout.and_then(|timeout| now.checked_add(timeout)),
            ),
            Some(deadline) => (Timeout::Own(deadline), Some(deadline)),
        };
        let pick = self.pick(now, &request);
        let (body, request) = request.take();
        let message = body
            .into_message()
            .map_err(|status| self.not_sent(status))?;
        let call = Call {
            channel: self,
            method,
            request,
            deadline,
            pick,
            message,
        };
        if self.reliability.prepares {
            return Box::pin(call.make(None)).await;
        }
        let first = call.first(timeout);
        match self.attempt(first, &call.message).await {
            Ok(response) => {
                self.reliability.budget.succeeded();
                Ok(response)
            }
            Err(failed) => call.failed(failed).await,
        }
    }
}

impl Channel {
    /// Makes a call of a method that streams. It has no deadline unless the request has one.
    async fn stream(
        &self,
        method: &'static MethodDescriptor,
        request: Request<Body>,
        now: Instant,
    ) -> Result<Response<Body>, Status> {
        let deadline = request.deadline();
        let pick = self.pick(now, &request);
        let (body, request) = request.take();
        let requests = matches!(
            method.kind(),
            MethodKind::ClientStreaming | MethodKind::Bidirectional
        );
        let message = match (body.into_kind(), requests) {
            (Kind::Message(message), false) => message,
            (Kind::Stream(stream), true) => {
                return self.stream_requests(method, &request, pick, stream).await;
            }
            (_, streamed) => {
                let wanted = if streamed { "a stream" } else { "one message" };
                let text = format!("{} takes {wanted}", method.path());
                return Err(self.not_sent(Status::internal(text)));
            }
        };
        let call = Call {
            channel: self,
            method,
            request,
            deadline,
            pick,
            message,
        };
        if self.reliability.prepares {
            return call.make(None).await;
        }
        let first = call.first(Timeout::Default);
        let response = self.attempt_stream(first, Some(&call.message), None);
        match response.await {
            Ok(response) => {
                self.reliability.budget.succeeded();
                Ok(response)
            }
            Err(failed) => call.failed(failed).await,
        }
    }

    /// Makes the one attempt of a call whose requests are a stream, which is gone once it was taken.
    async fn stream_requests(
        &self,
        method: &'static MethodDescriptor,
        request: &Request<()>,
        pick: Pick,
        requests: Pin<Box<dyn BodyStream>>,
    ) -> Result<Response<Body>, Status> {
        let permit = self.permit()?;
        let attempted = Attempted {
            method,
            request,
            timeout: Timeout::Default,
            deadline: request.deadline(),
            call_deadline: request.deadline(),
            pick,
            tried: None,
        };
        let attempt = self.attempt_stream(attempted, None, Some(requests));
        let response = self.throttled(attempt).await;
        let response = response.map_err(|failed| failed.status)?;
        Ok(match permit {
            Some(permit) => guard(response, permit),
            None => response,
        })
    }

    /// A place for a call, if the channel has so many.
    fn permit(&self) -> Result<Option<Permit>, Status> {
        let breaker = self.reliability.breaker.as_ref();
        let permit = breaker.map(Breaker::call).transpose();
        permit.map_err(|status| self.here(status))
    }

    /// Makes an attempt unless too many were refused lately, and remembers how it ended.
    async fn throttled<T>(
        &self,
        attempt: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        let Some(throttling) = &self.reliability.throttling else {
            return attempt.await;
        };
        if let Err(status) = throttling.admit(now(), fastrand::f64()) {
            return Err(Failed {
                status: self.here(status),
                failure: Failure::Final,
                others: false,
                endpoint: None,
            });
        }
        let result = attempt.await;
        let accepted = match &result {
            Ok(_) => true,
            Err(failed) => match failed.failure {
                Failure::Final => failed.status.code() != Code::DeadlineExceeded,
                Failure::Answered(code) => code != Code::Unavailable,
                _ => false,
            },
        };
        if accepted {
            throttling.accepted(now());
        }
        result
    }
}

/// How a call ends.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send + 'a>>;

/// A call of one message, as its attempts need it.
struct Call<'a> {
    channel: &'a Channel,
    method: &'static MethodDescriptor,
    request: Request<()>,
    deadline: Option<Instant>,
    pick: Pick,
    message: MessageBytes,
}

impl Call<'_> {
    /// The first attempt, which has all of the call's time.
    fn first(&self, timeout: Timeout) -> Attempted<'_> {
        Attempted {
            method: self.method,
            request: &self.request,
            timeout,
            deadline: self.deadline,
            call_deadline: self.deadline,
            pick: self.pick,
            tried: None,
        }
    }

    /// The first attempt has failed.
    #[cold]
    fn failed(&self, first: Failed) -> Answer<'_> {
        // Most failures are answers.
        if first.failure.is_answer() {
            self.channel.reliability.budget.succeeded();
            return Box::pin(ready(Err(first.status)));
        }
        Box::pin(self.make(Some(first)))
    }

    /// Makes the call's attempts: all, or those after the first one, which has failed.
    async fn make(&self, first: Option<Failed>) -> Result<Response<Body>, Status> {
        let permit = self.channel.permit()?;
        let reliability = &*self.channel.reliability;
        let idempotency = reliability.idempotency(&self.request, self.method);
        let hedged =
            self.method.kind() == MethodKind::Unary && idempotency == Idempotency::NoSideEffects;
        let rules = Rules {
            policy: &reliability.retry,
            budget: &reliability.budget,
            breaker: reliability.breaker.as_ref(),
            hedge: reliability.hedge.as_ref().filter(|_| hedged),
            idempotency,
            deadline: self.deadline,
        };
        let tried = Tried::default();
        if let Some(first) = &first {
            tried.add(first.endpoint);
        }
        let response = attempts(&Repeated { call: self, tried }, rules, first).await?;
        Ok(match permit {
            Some(permit) => guard(response, permit),
            None => response,
        })
    }

    /// The request of an attempt after `previous` others.
    fn request(&self, previous: u32) -> Cow<'_, Request<()>> {
        if previous == 0 {
            return Cow::Borrowed(&self.request);
        }
        let mut request = self.request.clone();
        let number = previous.to_string();
        if let Err(error) = request.metadata_mut().insert(PREVIOUS_ATTEMPTS, number) {
            tracing::debug!(%error, "the number of an attempt is left out");
        }
        Cow::Owned(request)
    }
}

/// A call whose attempts are made one by one, or side by side.
struct Repeated<'a> {
    call: &'a Call<'a>,
    tried: Tried,
}

impl Attempt for Repeated<'_> {
    type Answer = Response<Body>;

    fn attempt(&self, previous: u32, timeout: Option<Duration>) -> Attempting<'_, Response<Body>> {
        let Call {
            channel, method, ..
        } = *self.call;
        let call = self.call;
        let attempt = async move {
            let request = call.request(previous);
            let within = timeout.and_then(after);
            let deadline = [call.deadline, within].into_iter().flatten().min();
            let attempted = Attempted {
                method,
                request: &request,
                timeout: deadline.map_or(Timeout::Default, Timeout::Own),
                deadline,
                call_deadline: call.deadline,
                pick: call.pick.with_attempt(previous),
                tried: Some(&self.tried),
            };
            if method.kind() == MethodKind::Unary {
                channel.attempt(attempted, &call.message).await
            } else {
                let message = Some(&call.message);
                channel.attempt_stream(attempted, message, None).await
            }
        };
        Box::pin(channel.throttled(attempt))
    }
}
