//! The statistics paths of the reference, as handlers like any other.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::connections::Connections;
use super::handler::Handler;
use super::handler_error::HandlerError;
use super::route::Incoming;
use super::statistics::Statistics;
use super::statistics_text as text;

/// Connections looked at for one answer.
const MAX_CONNECTIONS: usize = 10_000;

/// Where the handlers find their server, which is made after them.
pub(super) struct Source {
    pub(super) connections: OnceLock<Weak<Connections>>,
    /// One text at a time: the work and the memory of many requests are those of one.
    turn: Semaphore,
}

impl Source {
    pub(super) fn new() -> Self {
        Self {
            connections: OnceLock::new(),
            turn: Semaphore::new(1),
        }
    }

    fn statistics(&self) -> Option<Statistics> {
        let connections = self.connections.get()?.upgrade()?;
        Some(Statistics::new(connections))
    }
}

#[derive(Clone, Copy)]
enum Question {
    ServerCount,
    ServerMeasure,
    PathCount,
    PathMeasure,
    Statis,
    Connections,
}

pub(super) struct StatisticsPath {
    source: Arc<Source>,
    path: &'static str,
    question: Question,
}

impl StatisticsPath {
    const ALL: [(&'static str, Question); 6] = [
        ("/sys/server_count", Question::ServerCount),
        ("/sys/server_measure", Question::ServerMeasure),
        ("/sys/path_count", Question::PathCount),
        ("/sys/path_measure", Question::PathMeasure),
        ("/sys/statis", Question::Statis),
        ("/sys/connection_statis", Question::Connections),
    ];

    /// Whether the path is one of them.
    pub(super) fn is(path: &str) -> bool {
        Self::ALL.iter().any(|(of, _)| *of == path)
    }

    /// All of them, with their paths.
    pub(super) fn all(source: &Arc<Source>) -> impl Iterator<Item = (&'static str, Self)> {
        Self::ALL.into_iter().map(|(path, question)| {
            let source = Arc::clone(source);
            (
                path,
                Self {
                    source,
                    path,
                    question,
                },
            )
        })
    }
}

#[async_trait]
impl Handler for StatisticsPath {
    async fn handle(&self, request: Incoming) -> Result<Bytes, HandlerError> {
        // Not in place, where the other calls of the connection would wait.
        tokio::task::yield_now().await;
        let gone = || HandlerError::new("the server is gone");
        let _turn = self.source.turn.acquire().await.map_err(|_| gone())?;
        let statistics = self.source.statistics().ok_or_else(gone)?;
        let mut out = String::new();
        let of_path = || {
            let path = std::str::from_utf8(request.data()).ok();
            let figures = path.and_then(|path| statistics.path(path));
            figures.ok_or_else(|| HandlerError::new(format!("path [{}] not support", self.path)))
        };
        match self.question {
            Question::ServerCount => text::write_count(&mut out, &statistics.total().traffic),
            Question::ServerMeasure => text::write_measure(&mut out, &statistics.total()),
            Question::PathCount => text::write_count(&mut out, &of_path()?.traffic),
            Question::PathMeasure => text::write_measure(&mut out, &of_path()?),
            Question::Statis => {
                let unit = text::unit(request.data());
                out = text::statis(&statistics.total(), &statistics.paths(), unit);
            }
            Question::Connections => {
                out = text::connections(&statistics.connections(MAX_CONNECTIONS));
            }
        }
        Ok(out.into())
    }
}
