use std::sync::Arc;

use super::dice::{Dice, below};
use super::endpoint::Endpoint;

/// Draws endpoints at random, each as often as its weight says, in constant time.
#[derive(Debug)]
pub(super) enum Draw {
    /// All weights are equal.
    Even(usize),
    /// The alias method: a column is drawn evenly, and then one of its two.
    Weighted(Vec<Column>),
}

#[derive(Debug)]
pub(super) struct Column {
    /// In how many of 2^32 cases it is the column's own endpoint.
    own: u32,
    /// Which it is in the others.
    other: u32,
}

impl Draw {
    pub(super) fn new(endpoints: &[Arc<Endpoint>]) -> Self {
        let weights: Vec<u64> = endpoints
            .iter()
            .map(|endpoint| endpoint.weight().get().into())
            .collect();
        match weights.windows(2).all(|pair| pair[0] == pair[1]) {
            true => Self::Even(weights.len()),
            false => Self::Weighted(columns(&weights)),
        }
    }

    /// One of them; `None` if there are none.
    pub(super) fn one(&self, dice: &Dice) -> Option<usize> {
        match self {
            Self::Even(0) => None,
            Self::Even(1) => Some(0),
            Self::Even(count) => Some(below(dice.roll() >> 32, *count)),
            Self::Weighted(columns) => from_columns(columns, dice.roll()),
        }
    }

    /// Two of them, to choose between. Where all weights are equal these are never the same, if there are two. Where they
    /// are not, a light endpoint must not be one of the two each time: it would get far more than its weight, so both are
    /// drawn by weight, the second once more if it was the first. That way none gets more than three times its share.
    pub(super) fn two(&self, dice: &Dice) -> Option<(usize, usize)> {
        match self {
            Self::Even(0) => None,
            Self::Even(1) => Some((0, 0)),
            Self::Even(count) => {
                let bits = dice.roll();
                let first = below(bits >> 32, *count);
                let among_others = below(bits & u64::from(u32::MAX), count - 1);
                let second = among_others + usize::from(among_others >= first);
                Some((first, second))
            }
            Self::Weighted(columns) => {
                let first = from_columns(columns, dice.roll())?;
                let mut second = from_columns(columns, dice.roll())?;
                if second == first {
                    second = from_columns(columns, dice.roll())?;
                }
                Some((first, second))
            }
        }
    }
}

fn from_columns(columns: &[Column], bits: u64) -> Option<usize> {
    let index = below(bits >> 32, columns.len());
    let column = columns.get(index)?;
    match (bits as u32) < column.own {
        true => Some(index),
        false => Some(column.other as usize),
    }
}

/// Of `count` columns as high as the average, each takes its own weight as far as there is room, and the rest of it from
/// one whose weight is larger.
fn columns(weights: &[u64]) -> Vec<Column> {
    let count = weights.len() as u64;
    // Scaled so that a column is as high as the sum of the weights.
    let height: u64 = weights.iter().sum();
    let mut left: Vec<u64> = weights.iter().map(|weight| weight * count).collect();
    let (mut low, mut high): (Vec<usize>, Vec<usize>) =
        (0..weights.len()).partition(|&index| left[index] < height);
    let mut columns: Vec<Column> = (0..weights.len() as u32)
        .map(|index| Column {
            own: u32::MAX,
            other: index,
        })
        .collect();
    while let (Some(index), Some(&from)) = (low.pop(), high.last()) {
        columns[index] = Column {
            own: ((left[index] << 32) / height) as u32,
            other: from as u32,
        };
        left[from] -= height - left[index];
        if left[from] < height {
            high.pop();
            low.push(from);
        }
    }
    columns
}
