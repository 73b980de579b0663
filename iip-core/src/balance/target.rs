use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use super::weight::{Weight, WeightError};
use crate::transport::{Address, AddressError};

/// How much of a refused entry an error message repeats.
const SHOWN_MAX: usize = 128;

/// A place to send calls to, as a list or a service discovery names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    address: Address,
    weight: Weight,
    locality: Option<Arc<str>>,
}

impl Target {
    /// An address with weight 1, and without a locality.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            weight: Weight::default(),
            locality: None,
        }
    }

    /// Its share of the calls, in proportion to the others'.
    #[must_use]
    pub fn with_weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// Where it is, such as the name of a zone. Callers may prefer what is near them.
    #[must_use]
    pub fn with_locality(mut self, locality: impl Into<Arc<str>>) -> Self {
        self.locality = Some(locality.into());
        self
    }

    /// What is dialed.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its share of the calls, in proportion to the others'.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// Where it is, if that is known.
    pub fn locality(&self) -> Option<&Arc<str>> {
        self.locality.as_ref()
    }
}

impl From<Address> for Target {
    fn from(address: Address) -> Self {
        Self::new(address)
    }
}

/// `address#weight`, without the weight when it is 1. The locality is not part of it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        match self.weight {
            Weight::MIN => Ok(()),
            weight => write!(f, "#{weight}"),
        }
    }
}

impl FromStr for Target {
    type Err = TargetsError;

    /// Reads `address` or `address#weight`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entry = text.trim();
        let refused = |reason| TargetsError {
            entry: Some(shown(entry)),
            reason,
        };
        if entry.is_empty() {
            return Err(refused(Reason::Empty));
        }
        let (address, weight) = match entry.rsplit_once('#') {
            Some((address, weight)) => {
                let weight = weight.parse().map_err(|why| refused(Reason::Weight(why)))?;
                (address, weight)
            }
            None => (entry, Weight::default()),
        };
        let address = address.parse();
        let address = address.map_err(|why| refused(Reason::Address(why)))?;
        Ok(Self::new(address).with_weight(weight))
    }
}

/// A list of targets in which no address is twice; at least one.
///
/// It is written `address#weight,address#weight,…`, each address as in [`Address`], with a scheme of its own or without;
/// `#1` may be left out, and blanks around an entry mean nothing. So a Unix socket whose path holds `,` or `#` cannot be
/// in a text; a list made with [`from_targets`](Self::from_targets) can hold it.
///
/// ```
/// use iip_core::balance::Targets;
///
/// let targets: Targets = "iip://10.0.0.1:9090#2,10.0.0.2:9090,[::1]:9090,unix:///run/app.sock#3".parse()?;
/// assert_eq!(targets.len(), 4);
/// assert_eq!(targets[0].weight().get(), 2);
/// assert_eq!(targets[1].to_string(), "iip://10.0.0.2:9090");
/// # Ok::<(), iip_core::balance::TargetsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(Vec<Target>);

impl Targets {
    /// A list of these targets, in their order.
    ///
    /// # Errors
    ///
    /// When there is none, or an address is there twice.
    pub fn from_targets(targets: impl IntoIterator<Item = Target>) -> Result<Self, TargetsError> {
        let targets: Vec<_> = targets.into_iter().collect();
        if targets.is_empty() {
            return Err(TargetsError {
                entry: None,
                reason: Reason::Empty,
            });
        }
        let mut known = HashMap::with_capacity(targets.len());
        for (index, target) in targets.iter().enumerate() {
            if let Some(first) = known.insert(target.address(), index) {
                return Err(TargetsError {
                    entry: Some(shown(&target.to_string())),
                    reason: Reason::Twice(first + 1),
                });
            }
        }
        Ok(Self(targets))
    }

    /// The targets, in the order of the list.
    pub fn into_vec(self) -> Vec<Target> {
        self.0
    }
}

impl Deref for Targets {
    type Target = [Target];

    fn deref(&self) -> &[Target] {
        &self.0
    }
}

impl From<Target> for Targets {
    fn from(target: Target) -> Self {
        Self(vec![target])
    }
}

impl From<Address> for Targets {
    fn from(address: Address) -> Self {
        Target::new(address).into()
    }
}

impl FromStr for Targets {
    type Err = TargetsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Self::from_targets([]);
        }
        let targets: Result<Vec<_>, _> = text.split(',').map(str::parse).collect();
        Self::from_targets(targets?)
    }
}

impl TryFrom<&str> for Targets {
    type Error = TargetsError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, target) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{target}")?;
        }
        Ok(())
    }
}

/// Why a text or a list is not [`Targets`]. The message names the entry, and says what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetsError {
    /// `None`: the list as a whole.
    entry: Option<String>,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Empty,
    Address(AddressError),
    Weight(WeightError),
    /// Which entry had the address first, counted from 1.
    Twice(usize),
}

impl fmt::Display for TargetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.entry, &self.reason) {
            (None, _) => f.write_str("no targets; write host:port#weight,host:port#weight"),
            (Some(_), Reason::Empty) => f.write_str(
                "a target is empty; remove the surplus comma, or write host:port#weight",
            ),
            // It repeats the entry.
            (Some(_), Reason::Address(why)) => why.fmt(f),
            (Some(entry), Reason::Weight(why)) => {
                write!(
                    f,
                    "invalid target {entry:?}: behind # stands its weight, and {why}"
                )
            }
            (Some(entry), Reason::Twice(first)) => write!(
                f,
                "target {entry:?} is there twice, first as number {first}; give it once, with the weight that it is to have"
            ),
        }
    }
}

impl std::error::Error for TargetsError {}

/// The head of a text; what is from a configuration file can be anything.
fn shown(text: &str) -> String {
    let mut head: String = text.chars().take(SHOWN_MAX).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    head
}
