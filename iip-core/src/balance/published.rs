use std::any::Any;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// How many of these a thread remembers. Who uses more of them at a time on one thread takes the lock more often.
const REMEMBERED: usize = 8;

/// A value that many threads read and that is seldom replaced. Readers take no lock, except for their first read after a
/// replacement, and keep nothing alive: who has replaced a value may count on its end as soon as nobody uses it.
pub(super) struct Published<T> {
    /// Tells it apart from all others of the process.
    id: u64,
    /// Grows with each replacement.
    version: AtomicU64,
    current: Mutex<Arc<T>>,
}

/// What a thread saw last.
struct Seen {
    id: u64,
    version: u64,
    value: Weak<dyn Any + Send + Sync>,
}

thread_local! {
    /// The most recently added first.
    static SEEN: RefCell<[Option<Seen>; REMEMBERED]> = const { RefCell::new([const { None }; REMEMBERED]) };
}

impl<T: Send + Sync + 'static> Published<T> {
    pub(super) fn new(value: T) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            version: AtomicU64::new(0),
            current: Mutex::new(Arc::new(value)),
        }
    }

    /// Lets `read` see the current value. Who waits for [`publish`](Self::publish) and reads then sees the new one.
    pub(super) fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        let version = self.version.load(Ordering::Acquire);
        let current = self.seen(version).unwrap_or_else(|| self.look());
        read(&current)
    }

    /// Replaces the value. The old one ends when the last who reads it is done.
    pub(super) fn publish(&self, value: T) {
        let value = Arc::new(value);
        let mut current = self.lock();
        let old = std::mem::replace(&mut *current, value);
        // Before the lock is free: who holds it finds version and value together.
        self.version.fetch_add(1, Ordering::Release);
        drop(current);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this thread saw at this version.
    fn seen(&self, version: u64) -> Option<Arc<T>> {
        let value = SEEN.try_with(|seen| {
            let seen = seen.borrow();
            let mut known = seen.iter().flatten();
            let found = known.find(|seen| seen.id == self.id && seen.version == version)?;
            found.value.upgrade()
        });
        // A thread that ends remembers nothing.
        value.ok()??.downcast().ok()
    }

    /// Takes the lock, and remembers what it finds.
    fn look(&self) -> Arc<T> {
        let (value, version) = {
            let current = self.lock();
            (Arc::clone(&current), self.version.load(Ordering::Relaxed))
        };
        let any: Arc<dyn Any + Send + Sync> = value.clone();
        let found = Seen {
            id: self.id,
            version,
            value: Arc::downgrade(&any),
        };
        let _ = SEEN.try_with(|seen| {
            let mut seen = seen.borrow_mut();
            let is_own =
                |known: &Option<Seen>| known.as_ref().is_some_and(|known| known.id == self.id);
            let place = seen.iter().position(is_own).unwrap_or(REMEMBERED - 1);
            seen[place] = Some(found);
            seen[..=place].rotate_right(1);
        });
        value
    }
}
