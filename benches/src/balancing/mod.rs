//! What each policy does when one of ten servers is slow: a simulation, its table and its picture.

mod picture;
mod runs;

pub use runs::{Results, run};
