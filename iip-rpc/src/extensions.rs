use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

/// Values by their type that stay in this process: what a layer leaves for a handler. Empty extensions allocate
/// nothing.
#[derive(Clone, Default)]
pub struct Extensions {
    map: Option<Box<Values>>,
}

/// Extensions are rare and moved often: one word when empty.
#[derive(Clone, Default)]
struct Values(HashMap<TypeId, Box<dyn CloneAny>>);

trait CloneAny: Any + Send + Sync {
    fn clone_box(&self) -> Box<dyn CloneAny>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: Any + Clone + Send + Sync> CloneAny for T {
    fn clone_box(&self) -> Box<dyn CloneAny> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl Clone for Box<dyn CloneAny> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

impl Extensions {
    /// Extensions without a value.
    pub const fn new() -> Self {
        Self { map: None }
    }

    /// Sets the value of type `T`; returns the one it replaces.
    pub fn insert<T: Any + Clone + Send + Sync>(&mut self, value: T) -> Option<T> {
        self.map
            .get_or_insert_default()
            .0
            .insert(TypeId::of::<T>(), Box::new(value))
            .and_then(|old| old.into_any().downcast().ok())
            .map(|old| *old)
    }

    /// The value of type `T`.
    pub fn get<T: Any + Clone + Send + Sync>(&self) -> Option<&T> {
        (**self.map.as_ref()?.0.get(&TypeId::of::<T>())?)
            .as_any()
            .downcast_ref()
    }

    /// The value of type `T`, to be changed.
    pub fn get_mut<T: Any + Clone + Send + Sync>(&mut self) -> Option<&mut T> {
        (**self.map.as_mut()?.0.get_mut(&TypeId::of::<T>())?)
            .as_any_mut()
            .downcast_mut()
    }

    /// Takes the value of type `T` out.
    pub fn remove<T: Any + Clone + Send + Sync>(&mut self) -> Option<T> {
        self.map
            .as_mut()?
            .0
            .remove(&TypeId::of::<T>())
            .and_then(|old| old.into_any().downcast().ok())
            .map(|old| *old)
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.map.as_ref().is_none_or(|map| map.0.is_empty())
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.map.as_ref().map_or(0, |map| map.0.len());
        write!(f, "Extensions({count})")
    }
}
