//! Conditions as boxes in the space of classes.

use std::collections::BTreeMap;

use super::super::attribute::Attribute;
use super::super::bits::Bits;
use super::super::partition::{Partition, spend};
use super::super::policy::Cond;

/// The classes of the values of each attribute that some condition tests.
pub(super) type Space<'a> = BTreeMap<Attribute, Partition<'a>>;

/// A part of the space: the classes allowed for each attribute. In a box, an
/// attribute that is left out may have any value.
pub(super) type Region = BTreeMap<Attribute, Bits>;

/// A conjunction.
#[derive(Debug, Clone, Default)]
pub(super) struct Conjunction {
    pub(super) masks: Region,
    /// Whether a model has a say in it as well, so that it may fail anywhere.
    pub(super) unsure: bool,
}

impl Conjunction {
    /// The points of a region that are in it.
    pub(super) fn within(&self, region: &Region) -> Region {
        let mut out = region.clone();
        for (attribute, mask) in &self.masks {
            if let Some(own) = out.get_mut(attribute) {
                *own = own.and(mask);
            }
        }
        out
    }
}

/// How a condition that a model decides is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Models {
    /// It may be true or not.
    Unforeseen,
    /// It is unknown, as long as nothing runs the model.
    Unknown,
}

/// Every point of the space.
pub(super) fn everything(space: &Space<'_>) -> Region {
    space
        .iter()
        .map(|(attribute, partition)| (*attribute, Bits::all(partition.len())))
        .collect()
}

/// Writes a condition (or its negation) as alternatives of conjunctions, those
/// that cannot be left out. None when that is more work than is left.
pub(super) fn expand(
    cond: &Cond,
    wanted: bool,
    models: Models,
    space: &Space<'_>,
    left: &mut usize,
) -> Option<Vec<Conjunction>> {
    Some(match cond {
        Cond::Not(inner) => expand(inner, !wanted, models, space, left)?,
        Cond::Model(..) => match models {
            Models::Unknown => Vec::new(),
            Models::Unforeseen => vec![Conjunction {
                masks: Region::new(),
                unsure: true,
            }],
        },
        Cond::Test(test, _) => {
            let attribute = test.attribute();
            let mask = space
                .get(&attribute)
                .map_or_else(|| Bits::none(0), |partition| partition.mask(test, wanted));
            if mask.is_empty() {
                Vec::new()
            } else {
                vec![Conjunction {
                    masks: Region::from([(attribute, mask)]),
                    unsure: false,
                }]
            }
        }
        Cond::And(members) | Cond::Or(members) => {
            let all = matches!(cond, Cond::And(_)) == wanted;
            let mut out = if all {
                vec![Conjunction::default()]
            } else {
                Vec::new()
            };
            for member in members {
                let more = expand(member, wanted, models, space, left)?;
                if all {
                    let size = |some: &[Conjunction]| -> usize { some.iter().map(words).sum() };
                    let (one, other) = (size(&out), size(&more));
                    let copied = one.saturating_mul(more.len());
                    spend(left, copied.saturating_add(other.saturating_mul(out.len())))?;
                    out = out
                        .iter()
                        .flat_map(|a| more.iter().filter_map(move |b| both(a, b)))
                        .collect();
                } else {
                    out.extend(more);
                }
            }
            out
        }
    })
}

/// How much work it is to copy a conjunction.
fn words(conjunction: &Conjunction) -> usize {
    conjunction
        .masks
        .values()
        .map(|mask| mask.words() + 16)
        .sum()
}

/// The conjunction of two, if it can hold.
fn both(a: &Conjunction, b: &Conjunction) -> Option<Conjunction> {
    let mut out = a.clone();
    out.unsure |= b.unsure;
    for (attribute, mask) in &b.masks {
        let met = out
            .masks
            .get(attribute)
            .map_or_else(|| mask.clone(), |own| own.and(mask));
        if met.is_empty() {
            return None;
        }
        out.masks.insert(*attribute, met);
    }
    Some(out)
}
