//! The standard details, field by field as `google/rpc/error_details.proto` numbers them.

use std::collections::HashMap;
use std::time::Duration;

use prost::Name;

macro_rules! names {
    ($($message:ty: $name:literal;)*) => {
        $(impl Name for $message {
            const PACKAGE: &'static str = "google.rpc";
            const NAME: &'static str = $name;

            fn full_name() -> String {
                concat!("google.rpc.", $name).to_owned()
            }
        })*
    };
}

names! {
    ErrorInfo: "ErrorInfo";
    RetryInfo: "RetryInfo";
    DebugInfo: "DebugInfo";
    QuotaFailure: "QuotaFailure";
    PreconditionFailure: "PreconditionFailure";
    BadRequest: "BadRequest";
    RequestInfo: "RequestInfo";
    ResourceInfo: "ResourceInfo";
    Help: "Help";
    LocalizedMessage: "LocalizedMessage";
}

/// Why a call failed, for programs to decide on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ErrorInfo {
    /// The reason, a constant of its domain in upper case, such as `STOCK_EMPTY`.
    #[prost(string, tag = "1")]
    pub reason: String,
    /// Who defines the reason: a service's name, as a rule a DNS name.
    #[prost(string, tag = "2")]
    pub domain: String,
    /// What else belongs to the reason.
    #[prost(map = "string, string", tag = "3")]
    pub metadata: HashMap<String, String>,
}

/// When the call may be tried again.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct RetryInfo {
    /// The shortest wait.
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<prost_types::Duration>,
}

/// What helps the service's developers. It tells about the inside of the service: not for everybody.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DebugInfo {
    /// Where the error comes from, innermost first.
    #[prost(string, repeated, tag = "1")]
    pub stack_entries: Vec<String>,
    /// More in words.
    #[prost(string, tag = "2")]
    pub detail: String,
}

/// Which quotas are used up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QuotaFailure {
    /// All of them.
    #[prost(message, repeated, tag = "1")]
    pub violations: Vec<QuotaViolation>,
}

/// A quota that is used up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QuotaViolation {
    /// Whose quota it is, such as `client:10.0.0.1`.
    #[prost(string, tag = "1")]
    pub subject: String,
    /// What the quota is on, for people.
    #[prost(string, tag = "2")]
    pub description: String,
}

/// What must be so and is not.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PreconditionFailure {
    /// All of it.
    #[prost(message, repeated, tag = "1")]
    pub violations: Vec<PreconditionViolation>,
}

/// A precondition that does not hold.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PreconditionViolation {
    /// Its kind, a constant of the service such as `TERMS`.
    #[prost(string, tag = "1")]
    pub r#type: String,
    /// What it is about.
    #[prost(string, tag = "2")]
    pub subject: String,
    /// How to make it hold, for people.
    #[prost(string, tag = "3")]
    pub description: String,
}

/// Which fields of the request are wrong.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BadRequest {
    /// All of them.
    #[prost(message, repeated, tag = "1")]
    pub field_violations: Vec<FieldViolation>,
}

/// A field that is wrong.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FieldViolation {
    /// The path to the field, such as `order.lines[2].count`.
    #[prost(string, tag = "1")]
    pub field: String,
    /// What is wrong, for people.
    #[prost(string, tag = "2")]
    pub description: String,
    /// What is wrong, a constant of the service in upper case.
    #[prost(string, tag = "3")]
    pub reason: String,
    /// What is wrong, for the service's users in their language.
    #[prost(message, optional, tag = "4")]
    pub localized_message: Option<LocalizedMessage>,
}

/// What identifies the request when its sender asks for help.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RequestInfo {
    /// An id that the service's logs have.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// What else served the request, encrypted as a rule.
    #[prost(string, tag = "2")]
    pub serving_data: String,
}

/// Which resource the error is about.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceInfo {
    /// Its type.
    #[prost(string, tag = "1")]
    pub resource_type: String,
    /// Its name.
    #[prost(string, tag = "2")]
    pub resource_name: String,
    /// Who owns it; may be empty.
    #[prost(string, tag = "3")]
    pub owner: String,
    /// What went wrong with it, for people.
    #[prost(string, tag = "4")]
    pub description: String,
}

/// Where to read more.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Help {
    /// The places.
    #[prost(message, repeated, tag = "1")]
    pub links: Vec<Link>,
}

/// A place to read at.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Link {
    /// What is there.
    #[prost(string, tag = "1")]
    pub description: String,
    /// Its address.
    #[prost(string, tag = "2")]
    pub url: String,
}

/// A message for the service's users in their language.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LocalizedMessage {
    /// The language, as BCP 47 names it, such as `fr-CH`.
    #[prost(string, tag = "1")]
    pub locale: String,
    /// The message.
    #[prost(string, tag = "2")]
    pub message: String,
}

impl BadRequest {
    /// Without a field yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field that is wrong, and what is wrong with it.
    #[must_use]
    pub fn violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.field_violations.push(FieldViolation {
            field: field.into(),
            description: description.into(),
            ..FieldViolation::default()
        });
        self
    }
}

impl RetryInfo {
    /// The call may be tried again after this time, 10,000 years at most.
    pub fn after(delay: Duration) -> Self {
        const LONGEST: i64 = 315_576_000_000;
        let seconds = i64::try_from(delay.as_secs()).map_or(LONGEST, |all| all.min(LONGEST));
        Self {
            retry_delay: Some(prost_types::Duration {
                seconds,
                // Less than 10^9.
                nanos: i32::try_from(delay.subsec_nanos()).unwrap_or(0),
            }),
        }
    }

    /// The shortest wait; `None` when the service says none, or one before now.
    pub fn delay(&self) -> Option<Duration> {
        Duration::try_from(self.retry_delay?).ok()
    }
}

impl ErrorInfo {
    /// This reason of this domain.
    pub fn new(reason: impl Into<String>, domain: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            domain: domain.into(),
            metadata: HashMap::new(),
        }
    }
}
