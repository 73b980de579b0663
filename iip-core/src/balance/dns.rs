use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{ResolverBuilder, TokioResolver};

use super::discover::{Discover, DiscoverError};
use super::target::Target;
use super::weight::Weight;
use crate::conn::now;
use crate::transport::Address;

/// Endpoints found in the DNS: all addresses of a name, or all records of a service. The name is asked for again when what
/// it was answered with expires (its TTL), but not sooner than after 5 s, and at the latest after 60 s.
///
/// It is made from `name:port`, for the A and AAAA records of the name and each with that port; or from
/// `_service._protocol.name`, for SRV records, which have ports and weights of their own: of these only the ones of the
/// first priority are endpoints, their weights in proportion to the largest, which is 100.
///
/// The system's resolver configuration (`/etc/resolv.conf`, `/etc/hosts`) is read when the first list is asked for.
/// Where there is no answer, or an empty one, the balancer keeps the endpoints it has.
#[derive(Clone)]
pub struct Dns {
    question: Question,
    server: Option<SocketAddr>,
    min: Duration,
    max: Duration,
    resolver: Option<TokioResolver>,
    /// When the last answer expires.
    due: Option<Instant>,
    last: Vec<Target>,
}

#[derive(Clone)]
enum Question {
    Host { name: Arc<str>, port: u16 },
    Service(Arc<str>),
}

impl Dns {
    fn new(question: Question) -> Self {
        Self {
            question,
            server: None,
            min: Duration::from_secs(5),
            max: Duration::from_secs(60),
            resolver: None,
            due: None,
            last: Vec::new(),
        }
    }

    /// All addresses of a name, with this port.
    ///
    /// # Errors
    ///
    /// When it is not a well-formed name.
    pub fn host(name: &str, port: u16) -> Result<Self, DiscoverError> {
        // It is what would be dialed.
        let host = Address::tcp(name, port).ok().and_then(|host| host.host());
        let name = host.ok_or_else(|| not_a_name(name))?;
        Ok(Self::new(Question::Host {
            name: name.into(),
            port,
        }))
    }

    /// The SRV records of a service such as `_iip._tcp.example.com`.
    ///
    /// # Errors
    ///
    /// When it is not a well-formed name.
    pub fn service(name: &str) -> Result<Self, DiscoverError> {
        Name::from_str(name).map_err(|error| not_a_name(name).with_source(error))?;
        Ok(Self::new(Question::Service(name.into())))
    }

    /// Asks this server, and nothing else; default: what the system is configured for.
    #[must_use]
    pub fn server(mut self, address: SocketAddr) -> Self {
        self.server = Some(address);
        self
    }

    /// The shortest time between two questions, whatever their answers' TTL; default 5 s, at least 10 ms. With less, a
    /// change is seen sooner where the TTL allows it, and the DNS has more to do.
    #[must_use]
    pub fn min_interval(mut self, time: Duration) -> Self {
        self.min = time.max(Duration::from_millis(10));
        self
    }

    /// The longest time between two questions, whatever their answers' TTL; default 60 s. It is no less than the shortest.
    #[must_use]
    pub fn max_interval(mut self, time: Duration) -> Self {
        self.max = time;
        self
    }

    fn resolver(&mut self) -> Result<TokioResolver, NetError> {
        if let Some(resolver) = &self.resolver {
            return Ok(resolver.clone());
        }
        let mut builder = match self.server {
            None => TokioResolver::builder_tokio()?,
            Some(address) => asking(address),
        };
        // What is asked for has expired, or is wanted sooner.
        builder.options_mut().cache_size = 0;
        let resolver = builder.build()?;
        self.resolver = Some(resolver.clone());
        Ok(resolver)
    }

    /// The endpoints, and when they expire.
    async fn ask(&mut self) -> Result<(Vec<Target>, Instant), NetError> {
        let resolver = self.resolver()?;
        match &self.question {
            Question::Host { name, port } => {
                let answer = resolver.lookup_ip(&**name).await?;
                let addresses = answer.iter().map(|ip| SocketAddr::new(ip, *port));
                let targets = addresses.map(|address| Target::new(Address::from(address)));
                Ok((targets.collect(), answer.valid_until()))
            }
            Question::Service(name) => {
                let answer = resolver.srv_lookup(&**name).await?;
                let records = answer.answers().iter();
                let services = records.filter_map(|record| match &record.data {
                    RData::SRV(service) => Some(Service {
                        priority: service.priority,
                        weight: service.weight,
                        port: service.port,
                        host: service.target.to_string(),
                    }),
                    _ => None,
                });
                Ok((targets(services.collect()), answer.valid_until()))
            }
        }
    }

    fn error(&self, why: &str) -> DiscoverError {
        DiscoverError::new(format!("no endpoints for {self}: {why}"))
    }
}

/// A record of a service.
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) host: String,
}

/// Endpoints from the records of the first priority. Names that cannot be dialed are left out, and so is `.`, which says
/// that there is no such service.
pub(super) fn targets(services: Vec<Service>) -> Vec<Target> {
    let first = services.iter().map(|service| service.priority).min();
    let is_first = |service: &&Service| Some(service.priority) == first;
    let most = services
        .iter()
        .filter(is_first)
        .map(|service| service.weight);
    let most = u32::from(most.max().unwrap_or(0));
    let targets = services.iter().filter(is_first).filter_map(|service| {
        let host = service.host.trim_end_matches('.');
        let address = Address::tcp(host, service.port).ok()?;
        let share = (u32::from(service.weight) * 100).div_ceil(most.max(1));
        let weight = u8::try_from(share).ok().and_then(Weight::new);
        Some(Target::new(address).with_weight(weight.unwrap_or_default()))
    });
    targets.collect()
}

fn not_a_name(name: &str) -> DiscoverError {
    DiscoverError::new(format!(
        "{name:?} cannot be looked for in the DNS; write name:port, or _service._protocol.name for SRV records"
    ))
}

fn asking(address: SocketAddr) -> ResolverBuilder<TokioRuntimeProvider> {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    let config = ResolverConfig::from_name_servers(vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

/// How long an answer is used that is valid for this long.
pub(super) fn used_for(valid: Duration, min: Duration, max: Duration) -> Duration {
    valid.min(max).max(min)
}

impl FromStr for Dns {
    type Err = DiscoverError;

    /// Reads `name:port` or `_service._protocol.name`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once(':') {
            Some((name, port)) => match port.parse() {
                Ok(port) => Self::host(name, port),
                Err(_) => Err(not_a_name(text)),
            },
            None if text.starts_with('_') => Self::service(text),
            None => Err(not_a_name(text)),
        }
    }
}

#[async_trait]
impl Discover for Dns {
    async fn next(&mut self) -> Result<Vec<Target>, DiscoverError> {
        loop {
            if let Some(due) = self.due {
                tokio::time::sleep_until(due.into()).await;
            }
            let (mut targets, expires) = match self.ask().await {
                Ok(answer) => answer,
                Err(error) => return Err(self.error(&error.to_string())),
            };
            if targets.is_empty() {
                return Err(self.error("the answer is empty"));
            }
            // Servers rotate their answers.
            targets.sort_by_cached_key(ToString::to_string);
            targets.dedup_by(|a, b| a.address() == b.address());
            let valid = expires.saturating_duration_since(Instant::now());
            self.due = Some(now() + used_for(valid, self.min, self.max));
            if targets != self.last {
                self.last.clone_from(&targets);
                return Ok(targets);
            }
        }
    }
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.question {
            Question::Host { name, port } => write!(f, "dns://{name}:{port}"),
            Question::Service(name) => write!(f, "dns://{name}"),
        }
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dns({self})")
    }
}
