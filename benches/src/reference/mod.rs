//! The benchmark of the reference's README, run here: 14 KiB echoed by many callers over one connection, over a pool of
//! connections to one address, and over HTTP/1.1 with a connection that is kept alive for each caller.

mod contender;
mod figure;
mod options;
mod published;
mod rounds;
mod table;

pub use contender::{Contender, UnknownContender};
pub use figure::reference_chart;
pub use options::{Cores, ReferenceOptions, UnreadableCores};
pub use published::{PUBLISHED, Published};
pub use rounds::{ReferenceResults, ReferenceRow, run_reference_rounds};
pub use table::reference_markdown;

#[cfg(test)]
mod figure_tests;
#[cfg(test)]
mod options_tests;
#[cfg(test)]
mod table_tests;
