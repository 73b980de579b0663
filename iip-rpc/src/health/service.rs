use super::message::{
    CHECK, HealthCheckRequest, HealthCheckResponse, SERVICE, ServingStatus, WATCH,
};
use super::reporter::HealthReporter;
use crate::server::{Methods, NamedService};
use crate::{Body, Request, Response, RpcService, Sender, Status};

/// The service `grpc.health.v1.Health`, for [`add_service`](crate::server::ServerBuilder::add_service); made by
/// [`HealthReporter::service`].
///
/// Anyone who can call the server can ask it. Given to a [`HealthClient`](super::HealthClient) in place of a channel it
/// answers without a network.
#[derive(Clone, Debug)]
pub struct HealthServer {
    methods: Methods,
}

impl HealthReporter {
    /// The service that tells what is said here.
    pub fn service(&self) -> HealthServer {
        let checked = self.clone();
        let watched = self.clone();
        let methods = Methods::builder(SERVICE)
            .unary(&CHECK, move |request: Request<HealthCheckRequest>| {
                let answer = check(&checked, &request.get_ref().service);
                async move { answer }
            })
            .server_streaming(&WATCH, move |request: Request<HealthCheckRequest>, out| {
                watch(watched.clone(), request.into_inner().service, out)
            })
            .build();
        HealthServer { methods }
    }
}

fn check(
    reporter: &HealthReporter,
    service: &str,
) -> Result<Response<HealthCheckResponse>, Status> {
    let status = reporter.status(service).ok_or_else(|| {
        Status::not_found("the server has no service of this name, or says nothing of its health")
    })?;
    Ok(HealthCheckResponse::from(status).into())
}

/// Says how the service is, and each change of that, until the server stops.
async fn watch(
    reporter: HealthReporter,
    service: String,
    out: Sender<HealthCheckResponse>,
) -> Result<(), Status> {
    let mut changes = reporter.subscribe();
    let mut last = None;
    loop {
        let (status, stops) = {
            let said = changes.borrow_and_update();
            let status = said.of(&service).unwrap_or(ServingStatus::ServiceUnknown);
            (status, said.stops)
        };
        if last.replace(status) != Some(status) {
            out.send(status.into()).await?;
        }
        if stops {
            return Err(Status::unavailable("the server stops"));
        }
        // The reporter, which tells of changes, lives as long as this.
        let _ = changes.changed().await;
    }
}

impl NamedService for HealthServer {
    const NAME: &'static str = SERVICE;

    fn methods(&self) -> &Methods {
        &self.methods
    }
}

impl RpcService for HealthServer {
    fn call(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Body>, Status>> + Send {
        self.methods.call(request)
    }
}
