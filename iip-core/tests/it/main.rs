//! The integration tests of `iip-core`.

mod acknowledge;
mod attacks;
mod attacks_client;
mod balance;
mod balancer;
mod balancer_health;
mod captures;
mod captures_net;
mod corpus;
mod drain;
mod echo;
mod overload;
mod pair;
mod peer;
mod pool;
mod pool_loss;
mod raw;
mod running;
mod server;
mod server_limits;
mod simulation;
mod statistics;
mod streams;
mod stress;
mod tidy;
mod vectors;
