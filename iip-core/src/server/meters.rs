//! What a server counts, for the `metrics` facade; `docs/statistics.md` has the names. Without the feature, nothing.

#[cfg(feature = "metrics")]
pub(super) use facade::Meters;
#[cfg(not(feature = "metrics"))]
pub(super) use nothing::Meters;

#[cfg(feature = "metrics")]
mod facade {
    use metrics::{
        Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge,
        describe_histogram, gauge, histogram,
    };

    use crate::server::gate::Refusal;
    use crate::server::overload::OverloadStats;
    use crate::session::{RouteTally, Traffic};

    const FRAMES: &str = "iip_server_frames_total";
    const MESSAGES: &str = "iip_server_messages_total";
    const BYTES: &str = "iip_server_bytes_total";
    const DURATION: &str = "iip_server_call_duration_seconds";
    const CONNECTIONS: &str = "iip_server_connections";
    const CALLS: &str = "iip_server_calls";
    const LIMIT: &str = "iip_server_calls_limit";
    const REFUSED: &str = "iip_server_calls_refused_total";

    /// One for each path, of the recorder that there was when the server was made.
    pub(in crate::server) struct Meters {
        routes: Vec<RouteMeters>,
        /// Of everything without a route.
        other: RouteMeters,
        connections: Gauge,
        in_flight: Gauge,
        waiting: Gauge,
        limit: Gauge,
        refused: [Counter; Refusal::ALL.len()],
    }

    struct RouteMeters {
        received: TrafficMeters,
        sent: TrafficMeters,
        duration: Histogram,
    }

    struct TrafficMeters {
        frames: Counter,
        messages: Counter,
        bytes: Counter,
    }

    impl Meters {
        /// With the paths of the routes in the order of their numbers; `None`: the fallback.
        pub(in crate::server) fn new(paths: Vec<Option<String>>) -> Self {
            describe_counter!(FRAMES, Unit::Count, "Frames");
            describe_counter!(MESSAGES, Unit::Count, "Whole requests and responses");
            describe_counter!(BYTES, Unit::Bytes, "Bytes of frames, headers included");
            describe_histogram!(DURATION, Unit::Seconds, "From request to answer");
            describe_gauge!(CONNECTIONS, Unit::Count, "Open connections");
            describe_gauge!(CALLS, Unit::Count, "Calls in progress, and calls that wait");
            describe_gauge!(LIMIT, Unit::Count, "Calls that may be in progress");
            describe_counter!(REFUSED, Unit::Count, "Calls refused for want of room");
            Self {
                routes: paths.into_iter().map(RouteMeters::new).collect(),
                other: RouteMeters::new(None),
                connections: gauge!(CONNECTIONS),
                in_flight: gauge!(CALLS, "state" => "in_flight"),
                waiting: gauge!(CALLS, "state" => "waiting"),
                limit: gauge!(LIMIT),
                refused: Refusal::ALL.map(|why| counter!(REFUSED, "limit" => why.name())),
            }
        }

        /// How many calls there are, and may be.
        pub(in crate::server) fn calls(&self, stats: impl FnOnce() -> OverloadStats) {
            let stats = stats();
            self.in_flight.set(stats.in_flight as f64);
            self.waiting.set(stats.waiting as f64);
            self.limit.set(stats.limit as f64);
        }

        pub(in crate::server) fn refused(&self, why: Refusal, calls: u64) {
            if let Some(counter) = self.refused.get(why as usize) {
                counter.increment(calls);
            }
        }

        fn route(&self, route: u32) -> &RouteMeters {
            self.routes.get(route as usize).unwrap_or(&self.other)
        }

        pub(in crate::server) fn add(&self, route: u32, tally: &RouteTally) {
            let Traffic {
                frames_sent,
                frames_received,
                messages_sent,
                messages_received,
                bytes_sent,
                bytes_received,
            } = tally.traffic;
            let RouteMeters { received, sent, .. } = self.route(route);
            received.frames.increment(frames_received);
            received.messages.increment(messages_received);
            received.bytes.increment(bytes_received);
            sent.frames.increment(frames_sent);
            sent.messages.increment(messages_sent);
            sent.bytes.increment(bytes_sent);
        }

        pub(in crate::server) fn answered(&self, route: u32, nanos: u64, calls: u64) {
            let seconds = nanos as f64 / 1e9;
            let histogram = &self.route(route).duration;
            histogram.record_many(seconds, calls as usize);
        }

        pub(in crate::server) fn opened(&self) {
            self.connections.increment(1.0);
        }

        pub(in crate::server) fn closed(&self) {
            self.connections.decrement(1.0);
        }
    }

    impl RouteMeters {
        fn new(path: Option<String>) -> Self {
            // No path is called so: they begin with a slash.
            let path = path.unwrap_or_else(|| String::from("other"));
            Self {
                received: TrafficMeters::new(&path, "received"),
                sent: TrafficMeters::new(&path, "sent"),
                duration: histogram!(DURATION, "path" => path),
            }
        }
    }

    impl TrafficMeters {
        fn new(path: &str, direction: &'static str) -> Self {
            let of = |name: &'static str| counter!(name, "path" => path.to_owned(), "direction" => direction);
            Self {
                frames: of(FRAMES),
                messages: of(MESSAGES),
                bytes: of(BYTES),
            }
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod nothing {
    use crate::server::gate::Refusal;
    use crate::server::overload::OverloadStats;
    use crate::session::RouteTally;

    pub(in crate::server) struct Meters;

    impl Meters {
        pub(in crate::server) fn new(_: Vec<Option<String>>) -> Self {
            Self
        }

        pub(in crate::server) fn add(&self, _: u32, _: &RouteTally) {}

        #[inline(always)]
        pub(in crate::server) fn answered(&self, _: u32, _: u64, _: u64) {}

        #[inline(always)]
        pub(in crate::server) fn calls(&self, _: impl FnOnce() -> OverloadStats) {}

        pub(in crate::server) fn refused(&self, _: Refusal, _: u64) {}

        pub(in crate::server) fn opened(&self) {}

        pub(in crate::server) fn closed(&self) {}
    }
}
