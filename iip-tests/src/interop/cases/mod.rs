//! The cases, by what they are about.

pub(super) mod calls;
pub(super) mod compression;
pub(super) mod crowds;
pub(super) mod flow;
pub(super) mod giving_up;
pub(super) mod metadata;
pub(super) mod soak;
pub(super) mod status;
pub(super) mod streams;
