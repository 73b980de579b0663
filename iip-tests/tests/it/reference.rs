//! The emulated reference: that it is like the reference, and that it and this project serve each other.

mod captures;
mod defects;
mod examples;
mod go_client;
mod go_client_limits;
mod go_server;
mod go_server_loss;
mod many_calls;
mod quirks;
mod running;
