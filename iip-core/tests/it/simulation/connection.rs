//! Two sessions, the bytes between them, and the handlers of one of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use iip_core::session::{
    CallId, Chunk, ClientConfig, ClientSession, Delivery, Ended, Format, Lookup, RouteInfo,
    ServerSession, Violation,
};
use iip_core::wire::Path;

use super::message::Reader;
use super::pipe::Pipe;
use super::plan::{Fault, Plan, Shape, Side};

pub(super) const RAW: Path = Path::from_static("/raw");
pub(super) const UNARY: Path = Path::from_static("/s.S/Unary");
pub(super) const STREAM: Path = Path::from_static("/s.S/Stream");

pub(super) fn path(shape: Shape) -> Path {
    match shape {
        Shape::Raw => RAW,
        Shape::Unary => UNARY,
        _ => STREAM,
    }
}

pub(super) struct Routes;

impl Lookup for Routes {
    fn find(&self, path: &str) -> Option<RouteInfo> {
        let (index, format, delivery) = match path {
            "/raw" => (0, Format::Raw, Delivery::Whole),
            "/s.S/Unary" => (1, Format::Enveloped, Delivery::Whole),
            "/s.S/Stream" => (2, Format::Enveloped, Delivery::Frames),
            _ => return None,
        };
        Some(RouteInfo {
            index,
            format,
            delivery,
            max_message: None,
        })
    }
}

/// A call as its handler sees it.
pub(super) struct Handler {
    pub(super) id: CallId,
    pub(super) attempt: usize,
    pub(super) call: usize,
    pub(super) reader: Reader,
    /// Messages of the request so far, and the costs of those not taken.
    pub(super) received: usize,
    pub(super) unconsumed: VecDeque<usize>,
    pub(super) complete: bool,
    pub(super) started: bool,
    /// Messages of the response that were begun, and what of the last one is not given yet.
    pub(super) sent: usize,
    pub(super) begun: bool,
    pub(super) chunks: VecDeque<Chunk>,
    pub(super) waits: bool,
}

pub(super) struct Connection {
    pub(super) client: ClientSession,
    pub(super) server: ServerSession<Routes>,
    pub(super) to_server: Pipe,
    pub(super) to_client: Pipe,
    pub(super) client_in: BytesMut,
    pub(super) server_in: BytesMut,
    pub(super) client_out: Vec<u8>,
    pub(super) server_out: Vec<u8>,
    pub(super) handlers: Vec<Handler>,
    /// The attempt that came last on each channel.
    pub(super) latest: HashMap<u32, usize>,
    pub(super) client_gone: bool,
    pub(super) server_gone: bool,
    /// Something befell it.
    pub(super) cut: bool,
    pub(super) silent: bool,
    /// The server has said its last word.
    pub(super) finished: bool,
}

impl Connection {
    pub(super) fn new(plan: &Plan, fault: Fault, now: Instant) -> Self {
        let limits = Arc::new(plan.limits.clone());
        let config = ClientConfig {
            limits: Arc::clone(&limits),
            ..ClientConfig::default()
        };
        let (mut to_server, mut to_client) = (Pipe::default(), Pipe::default());
        match fault {
            Fault::Nothing => {}
            Fault::Cut(Side::Client, at) => to_server.cut_at = Some(at),
            Fault::Cut(Side::Server, at) => to_client.cut_at = Some(at),
            Fault::Silence(Side::Client, at) => to_server.silent_from = Some(at),
            Fault::Silence(Side::Server, at) => to_client.silent_from = Some(at),
        }
        Self {
            client: ClientSession::new(config, now),
            server: ServerSession::new(limits, Routes, None, now),
            to_server,
            to_client,
            client_in: BytesMut::new(),
            server_in: BytesMut::new(),
            client_out: Vec::new(),
            server_out: Vec::new(),
            handlers: Vec::new(),
            latest: HashMap::new(),
            client_gone: false,
            server_gone: false,
            cut: false,
            silent: matches!(fault, Fault::Silence(..)),
            finished: false,
        }
    }

    /// Whether a new call could go here, or soon can.
    pub(super) fn takes_calls(&self) -> bool {
        self.client.ended().is_none() && !self.client.is_draining()
    }

    /// Why one of two correct peers found something wrong with the other, if it did. One that hears nothing any more may.
    pub(super) fn quarrel(&self) -> Option<String> {
        [self.client.ended(), self.server.ended()]
            .into_iter()
            .flatten()
            .find(|ended| match ended {
                Ended::ByPeer | Ended::Locally | Ended::Idle | Ended::Io(_) => false,
                Ended::Silent(_) | Ended::Violation(Violation::Slow(_)) => !self.silent,
                Ended::GoAway { code: 3, .. } => !self.silent,
                _ => true,
            })
            .map(ToString::to_string)
    }

    /// What the application holds on the server, and what the session does for it.
    pub(super) fn held(&self) -> usize {
        let application: usize = self
            .handlers
            .iter()
            .map(|handler| handler.unconsumed.iter().sum::<usize>() + handler.reader.partial())
            .sum();
        application.max(self.server.held())
    }

    pub(super) fn handler_of(&self, id: CallId) -> Option<usize> {
        self.handlers.iter().position(|handler| handler.id == id)
    }

    /// When one of the two sessions wants to be called.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let client = self.client.poll_timeout().filter(|_| !self.client_gone);
        let server = self.server.poll_timeout().filter(|_| !self.server_gone);
        client.into_iter().chain(server).min()
    }
}
