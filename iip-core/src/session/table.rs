use std::collections::HashMap;

use crate::wire::ChannelId;

/// Channels with numbers below this live in a vector, others in a map: peers of this project use the lowest numbers,
/// a reference client that never reuses one goes up to a million.
const DENSE: usize = 2048;

/// So many channels are made one by one: most connections that are idle have used one or two, and a vector begins with
/// room for four.
const FEW: usize = 4;

/// State by channel, made when first asked for.
#[derive(Debug)]
pub(crate) struct ChannelTable<T> {
    dense: Vec<T>,
    sparse: HashMap<ChannelId, T>,
}

impl<T: Default> ChannelTable<T> {
    pub(crate) fn new() -> Self {
        Self {
            dense: Vec::new(),
            sparse: HashMap::new(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, channel: ChannelId) -> Option<&T> {
        match self.dense.get(channel.index()) {
            Some(state) => Some(state),
            None if self.sparse.is_empty() => None,
            None => self.sparse.get(&channel),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, channel: ChannelId) -> Option<&mut T> {
        if channel.index() < self.dense.len() {
            self.dense.get_mut(channel.index())
        } else if self.sparse.is_empty() {
            None
        } else {
            self.sparse.get_mut(&channel)
        }
    }

    /// The state of a channel, which begins as the default.
    #[inline]
    pub(crate) fn entry(&mut self, channel: ChannelId) -> &mut T {
        let index = channel.index();
        if index >= self.dense.len() {
            return self.make(channel);
        }
        // The line above made sure that it exists.
        &mut self.dense[index]
    }

    #[cold]
    fn make(&mut self, channel: ChannelId) -> &mut T {
        let index = channel.index();
        if index >= DENSE {
            return self.sparse.entry(channel).or_default();
        }
        if index < FEW {
            self.dense.reserve_exact(index + 1 - self.dense.len());
        }
        self.dense.resize_with(index + 1, T::default);
        &mut self.dense[index]
    }

    /// Forgets a channel that holds nothing any more.
    pub(crate) fn remove(&mut self, channel: ChannelId) {
        if channel.index() < DENSE {
            if let Some(state) = self.dense.get_mut(channel.index()) {
                *state = T::default();
            }
        } else {
            self.sparse.remove(&channel);
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ChannelId, &mut T)> {
        let dense = self.dense.iter_mut().enumerate();
        dense
            .map(|(index, state)| (ChannelId(index as u32), state))
            .chain(
                self.sparse
                    .iter_mut()
                    .map(|(channel, state)| (*channel, state)),
            )
    }
}
