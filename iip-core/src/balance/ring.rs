use std::sync::Arc;

use super::dice::mixed;
use super::endpoint::Endpoint;
use super::pick::Pick;

/// Points of an endpoint of average weight. Shares of keys differ by about 1 / sqrt of it, 8 %; a point takes 8 bytes, and
/// about as many for the index.
const POINTS: f64 = 160.0;

/// Endpoints on a ring of hashes, each at many points: a key belongs to the endpoint of the point that follows its hash.
///
/// Points depend on nothing but the address and the weight in proportion to the average, so all processes that have the
/// same list have the same ring; and when an endpoint goes, only its own keys find another one.
#[derive(Debug)]
pub(super) struct Ring {
    /// In the order of their places.
    points: Vec<Point>,
    /// Of equal parts of the ring, which point is the first that is not before it. As many parts as points, or up to
    /// twice as many, so that few points are in a part.
    first: Vec<u32>,
    /// A place shifted by this is its part.
    shift: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// The upper half of the hash.
    place: u32,
    /// Index of the endpoint.
    owner: u32,
}

impl Ring {
    pub(super) fn new(endpoints: &[Arc<Endpoint>]) -> Self {
        let weight = |endpoint: &Arc<Endpoint>| f64::from(endpoint.weight().get());
        let total: f64 = endpoints.iter().map(weight).sum();
        let average = total / endpoints.len() as f64;
        let mut hashes = Vec::new();
        for (owner, endpoint) in endpoints.iter().enumerate() {
            let own = Pick::key_of(endpoint.address().to_string().as_bytes());
            let count = (POINTS * weight(endpoint) / average).round().max(1.0) as u64;
            hashes.extend((0..count).map(|point| (mixed(own ^ mixed(point)), owner as u32)));
        }
        // By the whole hash: the order of the list plays no part.
        hashes.sort_unstable();
        let points: Vec<Point> = hashes
            .into_iter()
            .map(|(hash, owner)| Point {
                place: (hash >> 32) as u32,
                owner,
            })
            .collect();
        let bits = points.len().next_power_of_two().ilog2().max(1);
        let shift = u32::BITS - bits;
        let parts = 1 << bits;
        let mut first = Vec::with_capacity(parts as usize);
        let mut index = 0;
        for part in 0..parts {
            let before = |point: &Point| point.place >> shift < part;
            while points.get(index).is_some_and(before) {
                index += 1;
            }
            first.push(index as u32);
        }
        Self {
            points,
            first,
            shift,
        }
    }

    /// The endpoints of all points that follow the key, once round the ring. Each endpoint is there many times.
    pub(super) fn owners(&self, key: u64) -> impl Iterator<Item = usize> {
        let place = (mixed(key) >> 32) as u32;
        let part = (place >> self.shift) as usize;
        let mut start = self.first.get(part).map_or(0, |&first| first as usize);
        let before = |point: &Point| point.place < place;
        while self.points.get(start).is_some_and(before) {
            start += 1;
        }
        let (head, tail) = self.points.split_at(start.min(self.points.len()));
        tail.iter().chain(head).map(|point| point.owner as usize)
    }
}
