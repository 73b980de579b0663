//! Details of a [`Status`](crate::Status): bytes of the application's own, or the standard messages that
//! `google.rpc` defines.
//!
//! The standard messages need the feature `details`. They travel as the encoding of a `google.rpc.Status`, which
//! readers in other languages understand too.
#![cfg_attr(
    feature = "details",
    doc = r#"
```
use iip_rpc::Status;
use iip_rpc::details::{BadRequest, RetryInfo};

let status = Status::invalid_argument("the name is wrong")
    .with_detail(&BadRequest::new().violation("name", "it is empty"))
    .with_detail(&RetryInfo::after(std::time::Duration::from_secs(1)));
let wrong = status.details().find::<BadRequest>().unwrap();
assert_eq!(wrong.field_violations[0].field, "name");
```
"#
)]

mod opaque;
#[cfg(feature = "details")]
mod packed;
#[cfg(feature = "details")]
mod standard;

#[cfg(test)]
mod opaque_tests;
#[cfg(all(test, feature = "details"))]
mod packed_tests;

pub use opaque::Details;
#[cfg(feature = "details")]
pub use packed::Detail;
#[cfg(feature = "details")]
pub use standard::{
    BadRequest, DebugInfo, ErrorInfo, FieldViolation, Help, Link, LocalizedMessage,
    PreconditionFailure, PreconditionViolation, QuotaFailure, QuotaViolation, RequestInfo,
    ResourceInfo, RetryInfo,
};
