//! The route guide's service, written for tonic.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Instant;

use async_stream::try_stream;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::features;
use crate::routeguide::route_guide_server::RouteGuide;
use crate::routeguide::{Feature, Point, Rectangle, RouteNote, RouteSummary};

/// Guides travellers.
pub(crate) struct Guide;

#[tonic::async_trait]
impl RouteGuide for Guide {
    type ListFeaturesStream = Pin<Box<dyn Stream<Item = Result<Feature, Status>> + Send>>;
    type RouteChatStream = Pin<Box<dyn Stream<Item = Result<RouteNote, Status>> + Send>>;

    async fn get_feature(&self, request: Request<Point>) -> Result<Response<Feature>, Status> {
        Ok(Response::new(features::at(request.into_inner())))
    }

    async fn list_features(
        &self,
        request: Request<Rectangle>,
    ) -> Result<Response<Self::ListFeaturesStream>, Status> {
        Ok(Response::new(Box::pin(try_stream! {
            for feature in features::within(request.into_inner()) {
                yield feature;
            }
        })))
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
    ) -> Result<Response<Self::RouteChatStream>, Status> {
        Ok(Response::new(Box::pin(try_stream! {
            let mut notes = request.into_inner();
            let mut left: HashMap<Point, Vec<RouteNote>> = HashMap::new();
            while let Some(note) = notes.message().await? {
                let here = left.entry(note.location.unwrap_or_default()).or_default();
                for earlier in here.iter() {
                    yield earlier.clone();
                }
                here.push(note);
            }
        })))
    }
}
