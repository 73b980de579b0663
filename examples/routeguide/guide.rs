//! The service: one handler of each of the four kinds.

use std::collections::HashMap;
use std::time::Instant;

use iip_rpc::{Request, Response, Sender, Status, Streaming};

use crate::features;
use crate::routeguide::{Feature, Point, Rectangle, RouteGuide, RouteNote, RouteSummary};

/// Guides travellers.
pub(crate) struct Guide;

impl RouteGuide for Guide {
    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        Ok(Response::new(features::at(request.into_inner())))
    }

    async fn list_features(
        &self,
        request: Request<Rectangle>,
        out: Sender<Feature>,
    ) -> Result<(), Status> {
        for feature in features::within(request.into_inner()) {
            out.send(feature).await?;
        }
        Ok(())
    }

    async fn record_route(
        &self,
        request: Request<Streaming<Point>>,
    ) -> Result<Response<RouteSummary>, Status> {
        let started = Instant::now();
        let mut points = request.into_inner();
        let mut summary = RouteSummary::default();
        let mut metres = 0.0;
        let mut last = None;
        while let Some(point) = points.message().await? {
            summary.point_count += 1;
            if !features::at(point).name.is_empty() {
                summary.feature_count += 1;
            }
            if let Some(last) = last.replace(point) {
                metres += features::distance(last, point);
            }
        }
        summary.distance = metres as i32;
        summary.elapsed_time = started.elapsed().as_secs() as i32;
        Ok(Response::new(summary))
    }

    async fn route_chat(
        &self,
        request: Request<Streaming<RouteNote>>,
        out: Sender<RouteNote>,
    ) -> Result<(), Status> {
        let mut notes = request.into_inner();
        let mut left: HashMap<Point, Vec<RouteNote>> = HashMap::new();
        while let Some(note) = notes.message().await? {
            let here = left.entry(note.location.unwrap_or_default()).or_default();
            for earlier in here.iter() {
                out.send(earlier.clone()).await?;
            }
            here.push(note);
        }
        Ok(())
    }
}
