use std::fmt;

use super::error::{self, MetadataError};
use super::{MetadataKey, MetadataValue};

/// What travels beside a message: entries of a key and a value, in the order they were added. A key may have
/// several values. Empty metadata allocates nothing.
///
/// At most 64 entries and 16 KiB in all, counting the bytes of keys and values; a key has at most 128 bytes, a value
/// at most 8 KiB. Every change is checked against these limits, and so is what peers send.
///
/// Keys are case-insensitive and kept in lower case. [`Debug`](fmt::Debug) output hides the values of keys that look like secrets
/// ([`MetadataKey::is_sensitive`]).
#[derive(Clone, Default)]
pub struct Metadata {
    /// Metadata is rare and moved often: one word when empty.
    entries: Option<Box<Entries>>,
}

#[derive(Clone, Default)]
struct Entries {
    list: Vec<(MetadataKey, MetadataValue)>,
    size: usize,
}

impl Metadata {
    /// Most entries.
    pub const MAX_ENTRIES: usize = error::MAX_ENTRIES;

    /// Most bytes of keys and values together.
    pub const MAX_SIZE: usize = error::MAX_SIZE;

    /// Metadata without entries.
    pub const fn new() -> Self {
        Self { entries: None }
    }

    /// Sets the only value of `key`: the values it had are gone.
    ///
    /// # Errors
    ///
    /// The key or the value is not valid, or a limit would be passed. Nothing is changed then.
    pub fn insert<K, V>(&mut self, key: K, value: V) -> Result<(), MetadataError>
    where
        K: TryInto<MetadataKey>,
        V: TryInto<MetadataValue>,
        MetadataError: From<K::Error> + From<V::Error>,
    {
        let (key, value) = (key.try_into()?, value.try_into()?);
        let (count, freed) = self
            .list()
            .iter()
            .filter(|(other, _)| *other == key)
            .fold((0, 0), |(count, freed), entry| {
                (count + 1, freed + size_of_entry(entry))
            });
        self.check(&key, &value, count, freed)?;
        self.remove(&key);
        self.push(key, value);
        Ok(())
    }

    /// [`insert`](Self::insert) for metadata that is made in one expression:
    ///
    /// ```
    /// # use iip_rpc::{Metadata, MetadataError};
    /// let metadata = Metadata::new().with("region", "north")?.with("trace-bin", &[0, 159])?;
    /// # Ok::<_, MetadataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`insert`](Self::insert).
    pub fn with<K, V>(mut self, key: K, value: V) -> Result<Self, MetadataError>
    where
        K: TryInto<MetadataKey>,
        V: TryInto<MetadataValue>,
        MetadataError: From<K::Error> + From<V::Error>,
    {
        self.insert(key, value)?;
        Ok(self)
    }

    /// Adds a value to `key`, after those it has.
    ///
    /// # Errors
    ///
    /// The key or the value is not valid, or a limit would be passed. Nothing is changed then.
    pub fn append<K, V>(&mut self, key: K, value: V) -> Result<(), MetadataError>
    where
        K: TryInto<MetadataKey>,
        V: TryInto<MetadataValue>,
        MetadataError: From<K::Error> + From<V::Error>,
    {
        let (key, value) = (key.try_into()?, value.try_into()?);
        self.check(&key, &value, 0, 0)?;
        self.push(key, value);
        Ok(())
    }

    /// Adds an entry as a peer sent it.
    pub(crate) fn append_wire(
        &mut self,
        key: String,
        value: bytes::Bytes,
    ) -> Result<(), MetadataError> {
        self.append(MetadataKey::from_wire(key)?, value)
    }

    /// The first text value of `key`; `None` when there is none, or when it is not text.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_value(key)?.as_str()
    }

    /// The first value of `key` as bytes.
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        self.get_value(key).map(MetadataValue::as_bytes)
    }

    /// The first value of `key`.
    pub fn get_value(&self, key: &str) -> Option<&MetadataValue> {
        self.get_all(key).next()
    }

    /// All values of `key`, in the order they were added.
    pub fn get_all(&self, key: &str) -> impl Iterator<Item = &MetadataValue> {
        self.list()
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(key))
            .map(|(_, value)| value)
    }

    /// Whether `key` has a value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get_value(key).is_some()
    }

    /// Removes all values of `key`; returns the first.
    pub fn remove(&mut self, key: &str) -> Option<MetadataValue> {
        let entries = self.entries.as_mut()?;
        let mut removed = None;
        let mut freed = 0;
        entries.list.retain(|entry| {
            let keep = !entry.0.eq_ignore_ascii_case(key);
            if !keep {
                freed += size_of_entry(entry);
                removed.get_or_insert_with(|| entry.1.clone());
            }
            keep
        });
        entries.size -= freed;
        removed
    }

    /// All entries, in the order they were added.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            entries: self.list().iter(),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// Bytes of all keys and values.
    pub fn size(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| entries.size)
    }

    fn list(&self) -> &[(MetadataKey, MetadataValue)] {
        self.entries.as_ref().map_or(&[], |entries| &entries.list)
    }

    /// Checks that an entry may be added once `count` entries of `freed` bytes are gone.
    fn check(
        &self,
        key: &MetadataKey,
        value: &MetadataValue,
        count: usize,
        freed: usize,
    ) -> Result<(), MetadataError> {
        if !key.is_binary() {
            value.check_text()?;
        }
        if self.len() - count >= Self::MAX_ENTRIES {
            return Err(MetadataError::TooManyEntries);
        }
        let size = self.size() - freed + key.len() + value.as_bytes().len();
        if size > Self::MAX_SIZE {
            return Err(MetadataError::TooLarge { size });
        }
        Ok(())
    }

    fn push(&mut self, key: MetadataKey, value: MetadataValue) {
        let entries = self.entries.get_or_insert_default();
        let entry = (key, value);
        entries.size += size_of_entry(&entry);
        entries.list.push(entry);
    }
}

fn size_of_entry((key, value): &(MetadataKey, MetadataValue)) -> usize {
    key.len() + value.as_bytes().len()
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, value) in self {
            if key.is_sensitive() {
                map.entry(key, &format_args!("<hidden>"));
            } else {
                map.entry(key, value);
            }
        }
        map.finish()
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.list() == other.list()
    }
}

impl Eq for Metadata {}

impl<'a> IntoIterator for &'a Metadata {
    type Item = (&'a MetadataKey, &'a MetadataValue);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterator over the entries of [`Metadata`]; made by [`Metadata::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    entries: std::slice::Iter<'a, (MetadataKey, MetadataValue)>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a MetadataKey, &'a MetadataValue);

    fn next(&mut self) -> Option<Self::Item> {
        self.entries.next().map(|(key, value)| (key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}
