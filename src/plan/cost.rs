//! What a plan costs: room in a bank, look-ups for each classification, and
//! questions to the agent. All of it is known before anything runs.
//!
//! A bank has room for a fixed number of names, bounds, clauses and words of
//! rows; what a policy takes of it says how far it is from being refused. The
//! sizes mirror `struct edict_bank`, which [`crate::image`] holds to them.

use std::collections::HashSet;
use std::fmt;

use super::classes::{AttributePlan, Partition};
use super::{Placement, Plan, Slot};
use crate::check::{Attribute, Source};

/// Slots of the table of names and ids, of which four fifths can be taken.
pub const NAME_SLOTS: usize = 81_920;
/// Bounds of prefixes.
pub const PREFIX_BOUNDS: usize = 2_048;
/// Bounds of numbers.
pub const NUMBER_BOUNDS: usize = 32_768;
/// Words of rows, of 64 clauses each.
pub const ROW_WORDS: usize = 131_072;

/// A table of the bank, and what is taken of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableCost {
    /// What is in it.
    pub what: &'static str,
    /// Entries that are taken.
    pub used: usize,
    /// Entries that there are.
    pub most: usize,
    /// Bytes of an entry.
    pub entry: usize,
}

impl TableCost {
    /// Bytes that are taken.
    pub fn bytes(&self) -> usize {
        self.used * self.entry
    }
}

/// What the agent is asked, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asked {
    /// When a process is started or runs another program.
    Exec,
    /// When a task of a cgroup is seen that was not seen before.
    Cgroup,
    /// When a task of a user is seen that was not seen before.
    User,
    /// When a task has a name that was not seen before.
    Name,
    /// Once a second, for the machine as a whole.
    Second,
}

impl Asked {
    /// What it is asked for: `for each exec`.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Exec => "for each exec",
            Self::Cgroup => "for each new cgroup",
            Self::User => "for each new user",
            Self::Name => "for each new name",
            Self::Second => "once a second",
        }
    }
}

/// What one attribute, or the patterns on one, costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotCost {
    /// Where its rows are.
    pub slot: Slot,
    /// Who evaluates it.
    pub placement: Placement,
    /// Classes that known values have.
    pub classes: usize,
    /// Names and ids that are looked up one by one.
    pub names: usize,
    /// Bounds that prefixes or numbers are searched in.
    pub bounds: usize,
    /// Tests that an automaton decides.
    pub patterns: usize,
    /// Hashes that the kernel computes for a look-up.
    pub hashes: usize,
    /// Bounds that the kernel compares with for a look-up, at most.
    pub comparisons: usize,
    /// Bytes of the bank that it takes, rows that others have too left out.
    pub bytes: usize,
    /// When the agent is asked, if it is.
    pub asked: Option<Asked>,
}

/// What a plan costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// For each attribute that the policy uses, in the order of the plan.
    pub slots: Vec<SlotCost>,
    /// The clauses.
    pub clauses: usize,
    /// The different rows, that of all clauses among them.
    pub rows: usize,
    /// Words that are read of each row for a classification, at most.
    pub words: usize,
    /// The tables of a bank.
    pub tables: Vec<TableCost>,
}

impl Cost {
    /// Rows that are looked up for a classification, one for each slot.
    pub fn look_ups(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the tables that are taken.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(TableCost::bytes).sum()
    }

    /// Bytes of the tables.
    pub fn bytes_most(&self) -> usize {
        self.tables
            .iter()
            .map(|table| table.most * table.entry)
            .sum()
    }
}

const CLAUSE_BYTES: usize = 4;
/// A key and a row; the displacements of buckets are counted with them.
const NAME_BYTES: usize = 16 + 2;
const PREFIX_BYTES: usize = 16 + 2;
const BOUND_BYTES: usize = 8 + 2;
const WORD_BYTES: usize = 8;

/// What a plan costs.
pub fn cost(plan: &Plan) -> Cost {
    let words = plan.clauses().len().div_ceil(64);
    let mut rows: HashSet<&[u64]> = HashSet::new();
    let all_ones = |row: &[u64]| {
        let ones: u32 = row.iter().map(|word| word.count_ones()).sum();
        ones as usize == plan.clauses().len()
    };
    let (mut names, mut prefixes, mut numbers) = (0, 0, 0);
    let mut slots = Vec::new();
    for planned in plan.attributes() {
        let known = rows.len();
        let own = planned.rows.iter().map(Vec::as_slice);
        rows.extend(own.filter(|row| !all_ones(row)));
        let mut cost = slot_cost(planned);
        cost.bytes += (rows.len() - known) * words * WORD_BYTES;
        if planned.placement == Placement::Kernel {
            names += cost.names;
            match &planned.partition {
                Partition::Number(_) => numbers += filled(cost.bounds),
                Partition::Text(_) | Partition::Pattern(_) => prefixes += cost.bounds,
            }
        }
        slots.push(cost);
    }
    // Row 0 is that of all clauses, for what the policy does not use.
    let rows = rows.len() + 1;
    let table = |what, used, most, entry| TableCost {
        what,
        used,
        most,
        entry,
    };
    Cost {
        slots,
        clauses: plan.clauses().len(),
        rows,
        words,
        tables: vec![
            table(
                "clauses",
                plan.clauses().len(),
                super::CLAUSES_MAX,
                CLAUSE_BYTES,
            ),
            table("names and ids", name_slots(names), NAME_SLOTS, NAME_BYTES),
            table("prefix bounds", prefixes, PREFIX_BOUNDS, PREFIX_BYTES),
            table("number bounds", numbers, NUMBER_BOUNDS, BOUND_BYTES),
            table("words of rows", rows * words, ROW_WORDS, WORD_BYTES),
        ],
    }
}

/// Slots of a table of names that is filled to four fifths.
fn name_slots(names: usize) -> usize {
    (names * 5).div_ceil(4)
}

/// Bounds of numbers are filled up to one less than a power of two.
fn filled(bounds: usize) -> usize {
    match bounds {
        0 => 0,
        bounds => (bounds + 1).next_power_of_two() - 1,
    }
}

fn slot_cost(planned: &AttributePlan) -> SlotCost {
    let (names, bounds, patterns) = match &planned.partition {
        Partition::Text(texts) => (texts.exact.len(), texts.bounds.len(), 0),
        Partition::Pattern(texts) => (texts.exact.len(), 0, texts.tests().len()),
        Partition::Number(numbers) => (numbers.exact.len(), numbers.bounds.len(), 0),
    };
    let steps = |bounds: usize| bounds.checked_ilog2().map_or(0, |log| log as usize + 1);
    let (hashes, comparisons, bytes) = match (planned.placement, &planned.partition) {
        (Placement::Agent, _) | (_, Partition::Pattern(_)) => (0, 0, 0),
        (Placement::Kernel, Partition::Text(_)) => (
            usize::from(names > 0),
            steps(bounds),
            name_slots(names) * NAME_BYTES + bounds * PREFIX_BYTES,
        ),
        (Placement::Kernel, Partition::Number(_)) => (
            usize::from(names > 0),
            steps(filled(bounds)),
            name_slots(names) * NAME_BYTES + filled(bounds) * BOUND_BYTES,
        ),
    };
    SlotCost {
        slot: planned.slot,
        placement: planned.placement,
        classes: planned.classes(),
        names,
        bounds,
        patterns,
        hashes,
        comparisons,
        bytes,
        asked: asked(planned.slot),
    }
}

/// When the agent is asked for a slot.
fn asked(slot: Slot) -> Option<Asked> {
    if slot.placement() == Placement::Kernel {
        return None;
    }
    let attribute = slot.attribute();
    Some(match attribute {
        _ if slot.is_patterns() => Asked::Name,
        _ if attribute.about().source == Source::System => Asked::Second,
        Attribute::User => Asked::User,
        Attribute::Cgroup | Attribute::Container | Attribute::Unit => Asked::Cgroup,
        _ => Asked::Exec,
    })
}

/// A table for people.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:<7} {:>7} {:>7} {:>7} {:>8} {:>9}  agent",
            "attribute", "where", "classes", "names", "bounds", "patterns", "bytes"
        )?;
        for slot in &self.slots {
            let place = match slot.placement {
                Placement::Kernel => "kernel",
                Placement::Agent => "agent",
            };
            write!(
                f,
                "{:<20} {place:<7} {:>7} {:>7} {:>7} {:>8} {:>9}",
                slot.slot.to_string(),
                slot.classes,
                slot.names,
                slot.bounds,
                slot.patterns,
                slot.bytes
            )?;
            match slot.asked {
                Some(asked) => writeln!(f, "  {}", asked.phrase())?,
                None => writeln!(f)?,
            }
        }
        if self.slots.is_empty() {
            writeln!(f, "none")?;
        }
        writeln!(f)?;
        for table in &self.tables {
            writeln!(
                f,
                "{:<14} {:>7} of {:>7}, {:>9} bytes",
                table.what,
                table.used,
                table.most,
                table.bytes()
            )?;
        }
        writeln!(
            f,
            "\n{} of {} bytes of a bank; a classification looks up {} and reads {} of each",
            self.bytes(),
            self.bytes_most(),
            counted(self.look_ups(), "row"),
            counted(self.words, "word"),
        )
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check_text;
    use crate::plan::lower;

    #[test]
    fn what_is_taken_is_counted() {
        let names: Vec<String> = (0..100).map(|n| format!("\"p{n}\"")).collect();
        let text = format!(
            "language 1\npolicy p {{ }}\ntier a {{ }}\ntier b {{ }}\nset s = {{ {} }}\n\
             rules {{\n when comm in s or comm starts with \"k\" -> a\n when nice > 3 and nice < 9 -> a\n\
             when exe under \"/usr\" -> a\n otherwise -> b\n}}\n",
            names.join(", ")
        );
        let checked = check_text("p", &text);
        let plan = lower(&checked.policy.unwrap()).unwrap();
        let cost = cost(&plan);
        let found: Vec<(String, usize, usize, usize, Option<Asked>)> = cost
            .slots
            .iter()
            .map(|s| {
                (
                    s.slot.to_string(),
                    s.names,
                    s.bounds,
                    s.comparisons,
                    s.asked,
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("comm".to_owned(), 100, 2, 2, None),
                ("exe".to_owned(), 1, 2, 0, Some(Asked::Exec)),
                ("nice".to_owned(), 0, 2, 2, None),
            ]
        );
        let used: Vec<usize> = cost.tables.iter().map(|table| table.used).collect();
        // Five clauses; comm has three rows of its own, exe and nice two each,
        // and there is the row of all.
        assert_eq!(used[..4], [5, 125, 2, 3]);
        assert_eq!(cost.rows, used[4]);
        assert_eq!(cost.words, 1);
        assert_eq!(cost.look_ups(), 3);
        let own: usize = cost.slots.iter().map(|slot| slot.bytes).sum();
        // The rest are the clauses and the row of all.
        assert_eq!(cost.bytes(), own + 5 * CLAUSE_BYTES + WORD_BYTES);
        assert!(cost.bytes() < cost.bytes_most());
    }
}
