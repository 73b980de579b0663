//! A journey: one call of each of the four kinds.

use std::error::Error;

use crate::routeguide::{Point, Rectangle, RouteGuideClient, RouteNote};

fn point(latitude: i32, longitude: i32) -> Point {
    Point {
        latitude,
        longitude,
    }
}

fn note(location: Point, message: &str) -> RouteNote {
    RouteNote {
        location: Some(location),
        message: message.into(),
    }
}

/// Fails with `what` where something is not as it must be.
fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// Makes the journey with the server at `address`, and fails where its answers are not what they must be.
pub(crate) async fn travel(address: &str) -> Result<(), Box<dyn Error>> {
    let guide = RouteGuideClient::connect(address).await?;
    let melk = point(482_282_000, 153_340_000);
    let nowhere = point(0, 0);

    // One message, one answer.
    let feature = guide.get_feature(melk).await?.into_inner();
    println!("here is {}", feature.name);
    check(feature.name == "Melk Abbey", "the abbey is gone")?;
    let feature = guide.get_feature(nowhere).await?.into_inner();
    check(feature.name.is_empty(), "there is something at 0, 0")?;

    // One message, many answers.
    let austria = Rectangle {
        lo: Some(point(464_000_000, 136_000_000)),
        hi: Some(point(490_000_000, 168_000_000)),
    };
    let mut features = guide.list_features(austria).await?.into_inner();
    let mut listed = 0;
    while let Some(feature) = features.message().await? {
        println!("in the area: {}", feature.name);
        listed += 1;
    }
    check(listed == 2, "there are two features in the area")?;

    // Many messages, one answer.
    let route = [melk, nowhere, melk];
    let (out, summary) = guide.record_route(()).await?;
    out.finish_with(route).await?;
    let summary = summary.await?.into_inner();
    println!("travelled {} km", summary.distance / 1000);
    check(summary.point_count == 3, "three points were passed")?;
    check(summary.feature_count == 2, "two of them have a feature")?;

    // Many messages, many answers, as they come.
    let notes = [
        note(melk, "closed on Mondays"),
        note(nowhere, "it is wet here"),
        note(melk, "the library is worth it"),
        note(melk, "so is the garden"),
    ];
    let (out, mut answers) = guide.route_chat(()).await?;
    for note in notes {
        out.send(note).await?;
    }
    out.finish().await?;
    let mut read = 0;
    while let Some(note) = answers.message().await? {
        println!("somebody was here before: {}", note.message);
        read += 1;
    }
    check(
        read == 3,
        "one earlier note at the third, two at the fourth",
    )?;
    Ok(())
}
