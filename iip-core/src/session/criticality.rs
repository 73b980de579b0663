/// How much it matters that a call is answered, in the order in which calls are given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// Given up first: such calls may be three quarters of the limit at most.
    Sheddable,
    /// Ordinary calls.
    #[default]
    Critical,
    /// Given up last: such calls may exceed an adaptive limit by a quarter.
    CriticalPlus,
}

impl Criticality {
    /// All, the least critical first.
    pub(crate) const ALL: [Self; 3] = [Self::Sheddable, Self::Critical, Self::CriticalPlus];
}

/// What a session refuses without a look at anything but its criticality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusing {
    /// The most critical that is refused; with it all that are less.
    pub(crate) most: Criticality,
    /// The error object they get.
    pub(crate) json: &'static str,
}
