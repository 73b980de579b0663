//! What the guide knows: a few sights along the Danube, and the geometry of points.

use crate::routeguide::{Feature, Point, Rectangle};

/// Name, latitude and longitude in degrees times ten million.
const SIGHTS: [(&str, i32, i32); 8] = [
    ("Source of the Danube", 479_520_000, 85_200_000),
    ("Ulm Minster", 483_985_000, 99_925_000),
    ("Stone Bridge, Regensburg", 490_227_000, 120_972_000),
    ("St. Stephen's Cathedral, Passau", 485_745_000, 134_650_000),
    ("Melk Abbey", 482_282_000, 153_340_000),
    ("Prater, Vienna", 482_166_000, 163_980_000),
    ("Bratislava Castle", 481_422_000, 171_002_000),
    ("Chain Bridge, Budapest", 474_989_000, 190_437_000),
];

/// All features, from west to east.
pub(crate) fn all() -> impl Iterator<Item = Feature> {
    SIGHTS.iter().map(|&(name, latitude, longitude)| Feature {
        name: name.into(),
        location: Some(Point {
            latitude,
            longitude,
        }),
    })
}

/// The feature at a point; one without a name when nothing is known about it.
pub(crate) fn at(point: Point) -> Feature {
    all()
        .find(|feature| feature.location == Some(point))
        .unwrap_or(Feature {
            name: String::new(),
            location: Some(point),
        })
}

/// The features inside a rectangle, whichever two opposite corners it was given by.
pub(crate) fn within(area: Rectangle) -> impl Iterator<Item = Feature> {
    let lo = area.lo.unwrap_or_default();
    let hi = area.hi.unwrap_or_default();
    let between = |a: i32, b: i32, x: i32| (a.min(b)..=a.max(b)).contains(&x);
    all().filter(move |feature| {
        let place = feature.location.unwrap_or_default();
        between(lo.latitude, hi.latitude, place.latitude)
            && between(lo.longitude, hi.longitude, place.longitude)
    })
}

/// Metres between two points, along the surface of a ball (haversine).
pub(crate) fn distance(from: Point, to: Point) -> f64 {
    const RADIUS: f64 = 6_371_000.0;
    let radians = |e7: i32| (f64::from(e7) / 1e7).to_radians();
    let half_sine = |a: i32, b: i32| ((radians(b) - radians(a)) / 2.0).sin().powi(2);
    let chord = half_sine(from.latitude, to.latitude)
        + radians(from.latitude).cos()
            * radians(to.latitude).cos()
            * half_sine(from.longitude, to.longitude);
    2.0 * RADIUS * chord.sqrt().asin()
}
