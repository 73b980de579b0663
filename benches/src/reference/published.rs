//! What the reference's own README says.

/// One line of the table in the reference's README (<https://github.com/truexf/iip>, 14 KiB echo): nanoseconds from one
/// call's end to the next, for the client on so many cores. It has as many callers as cores (`RunParallel`); the server
/// is a process of its own, which is not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The client's `GOMAXPROCS`.
    pub cores: usize,
    /// `BenchmarkPFEchoClientServer`: one channel of one connection.
    pub one: u32,
    /// `BenchmarkPFIIPBalanceClient`: its load-balancing client, a connection for each caller.
    pub pool: u32,
    /// `BenchmarkPFEchoNetHttp`: HTTP/1.1 of Go's standard library.
    pub http: u32,
}

/// All of it.
pub const PUBLISHED: [Published; 3] = [
    Published {
        cores: 1,
        one: 1_944_837,
        pool: 1_942_451,
        http: 3_342_903,
    },
    Published {
        cores: 4,
        one: 1_589_468,
        pool: 590_167,
        http: 868_070,
    },
    Published {
        cores: 8,
        one: 1_630_507,
        pool: 305_865,
        http: 428_245,
    },
];

impl Published {
    /// Name and nanoseconds of each of its three, in the order of the table.
    pub fn lines(&self) -> [(&'static str, u32); 3] {
        [
            ("reference, one channel", self.one),
            ("reference, load-balancing client", self.pool),
            ("HTTP/1.1 keep-alive (Go net/http)", self.http),
        ]
    }

    /// How many times the throughput of HTTP/1.1 so many nanoseconds are.
    pub fn against_http(&self, nanos: u32) -> f64 {
        f64::from(self.http) / f64::from(nanos)
    }
}

/// Calls a second, when one ends every so many nanoseconds.
pub(super) fn per_second(nanos: u32) -> f64 {
    1e9 / f64::from(nanos)
}
