//! The emulated reference: that it is like the reference, and that it and this project serve each other.

mod captures;
mod defects;
mod examples;
mod go_client;
mod go_server;
mod many_calls;
mod quirks;
mod running;
mod small_buffers;
