//! A task as a policy sees it: one value, or none, for each attribute.

use std::collections::BTreeMap;

use crate::check::{Attribute, Value};

/// The attributes of one task. What has no value here is *unknown*: every
/// condition on an unknown attribute is false, and so is its negation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Task {
    values: BTreeMap<Attribute, Value>,
}

impl Task {
    /// The same task with this value.
    #[must_use]
    pub fn with(mut self, attribute: Attribute, value: impl Into<Value>) -> Self {
        self.set(attribute, value);
        self
    }

    /// Gives an attribute its value.
    pub fn set(&mut self, attribute: Attribute, value: impl Into<Value>) {
        self.values.insert(attribute, value.into());
    }

    /// Makes an attribute unknown.
    pub fn forget(&mut self, attribute: Attribute) {
        self.values.remove(&attribute);
    }

    /// The attributes that are known, in their order, each with its value.
    pub fn values(&self) -> impl Iterator<Item = (Attribute, &Value)> {
        self.values
            .iter()
            .map(|(attribute, value)| (*attribute, value))
    }

    /// The value of an attribute.
    pub fn value(&self, attribute: Attribute) -> Option<&Value> {
        self.values.get(&attribute)
    }

    /// The value of a text attribute.
    pub fn text(&self, attribute: Attribute) -> Option<&str> {
        match self.value(attribute) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The value of a number attribute: a count, a duration in nanoseconds or a
    /// ratio in parts per million.
    pub fn number(&self, attribute: Attribute) -> Option<i64> {
        match self.value(attribute) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The value of a truth attribute.
    pub fn truth(&self, attribute: Attribute) -> Option<bool> {
        match self.value(attribute) {
            Some(Value::Truth(truth)) => Some(*truth),
            _ => None,
        }
    }
}
