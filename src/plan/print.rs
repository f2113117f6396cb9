//! The plan as text, for `edict plan`.

use std::fmt;

use super::classes::{AttributePlan, Partition};
use super::clauses::Literal;
use super::{Placement, Plan};
use crate::check::{Attribute, Between, Compare, Nanos, Test, TierId, Type};

/// How many members of a set are written out.
const MEMBERS_SHOWN: usize = 4;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {}", self.name())?;
        if let Some(version) = self.version() {
            write!(f, " {version}")?;
        }
        writeln!(f)?;
        self.write_tiers(f)?;
        self.write_attributes(f)?;
        self.write_clauses(f)
    }
}

impl Plan {
    fn tier_name(&self, id: TierId) -> &str {
        self.tiers()
            .get(usize::from(id.0))
            .map_or("?", |tier| tier.name.as_str())
    }

    fn write_tiers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ntiers ({})", self.drawn())?;
        let width = self.tiers().iter().map(|t| t.name.len()).max().unwrap_or(0);
        for (index, tier) in self.tiers().iter().enumerate() {
            let order = tier.order.word();
            write!(
                f,
                "  {index:>2} {:width$}  tickets {:>7}  slice {:>6}  order {order}",
                tier.name,
                tier.tickets,
                Time(tier.slice).to_string(),
            )?;
            if let Some(max_wait) = tier.max_wait {
                write!(f, "  max_wait {}", Time(max_wait))?;
            }
            if !tier.preempt.is_empty() {
                let names: Vec<&str> = tier.preempt.iter().map(|id| self.tier_name(*id)).collect();
                write!(f, "  preempt {}", names.join(", "))?;
            }
            if let Some(cpus) = &tier.cpus {
                write!(f, "  cpus {cpus}")?;
            }
            if tier.exclusive {
                write!(f, "  exclusive")?;
            }
            if let Some(perf) = tier.perf {
                write!(f, "  perf {perf}")?;
            }
            if let Some(budget) = tier.budget {
                write!(f, "  budget {budget}")?;
            }
            if let Some(burst) = tier.burst {
                write!(f, "  burst {}", Time(burst))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    /// How the next tier is chosen.
    fn drawn(&self) -> String {
        let lottery = self.lottery();
        let mut drawn = match lottery.between {
            Between::Strict => "strict".to_owned(),
            Between::Stride => "stride by tickets".to_owned(),
            Between::Tiers => "lottery by tickets".to_owned(),
        };
        if lottery.between != Between::Strict {
            drawn.push_str(&format!(", refill {}", Time(lottery.refill)));
        }
        if !lottery.compensate {
            drawn.push_str(", not compensated");
        }
        if lottery.seed != 0 {
            drawn.push_str(&format!(", seed {}", lottery.seed));
        }
        drawn
    }

    fn write_attributes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nattributes")?;
        for plan in self.attributes() {
            let place = match plan.placement {
                Placement::Kernel => "kernel",
                Placement::Agent => "agent",
            };
            let slot = plan.slot;
            write!(
                f,
                "  {:<20} {place:<6} slot {:>2}",
                slot.to_string(),
                slot.index()
            )?;
            writeln!(f, "  {}", Shape(plan))?;
            if let Partition::Pattern(texts) = &plan.partition {
                for test in texts.tests() {
                    writeln!(f, "    {}", Asked(test, false))?;
                }
            }
        }
        if self.attributes().is_empty() {
            writeln!(f, "  none")?;
        }
        Ok(())
    }

    fn write_clauses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nclauses")?;
        for (index, clause) in self.clauses().iter().enumerate() {
            let rule = self
                .rules()
                .get(usize::from(clause.rule.0))
                .map_or("?", |rule| rule.name.as_str());
            write!(f, "  {index:>4} {rule}: ")?;
            if clause.literals.is_empty() {
                write!(f, "always")?;
            }
            for (position, literal) in clause.literals.iter().enumerate() {
                if position > 0 {
                    write!(f, " and ")?;
                }
                write!(f, "{literal}")?;
            }
            writeln!(f, " -> {}", self.tier_name(clause.tier))?;
        }
        Ok(())
    }
}

/// What the partition of an attribute looks like.
struct Shape<'a>(&'a AttributePlan);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = self.0.classes();
        match &self.0.partition {
            Partition::Text(texts) => write!(
                f,
                "{}, {}, {}",
                Many(classes, "class", "classes"),
                Many(texts.exact.len(), "name", "names"),
                Many(texts.bounds.len(), "prefix bound", "prefix bounds"),
            ),
            Partition::Pattern(texts) => {
                write!(f, "{}", Many(classes, "class", "classes"))?;
                if !texts.exact.is_empty() {
                    write!(f, ", {}", Many(texts.exact.len(), "name", "names"))?;
                }
                write!(f, ", {}", Many(texts.tests().len(), "pattern", "patterns"))
            }
            Partition::Number(numbers) => {
                write!(f, "{}", Many(classes, "class", "classes"))?;
                if !numbers.exact.is_empty() {
                    write!(f, ", {}", Many(numbers.exact.len(), "id", "ids"))?;
                }
                write!(f, ", bounds")?;
                let shown = 6;
                for (bound, _) in numbers.bounds.iter().take(shown) {
                    write!(f, " {}", Value(self.0.attribute, *bound))?;
                }
                if let Some(more @ 1..) = numbers.bounds.len().checked_sub(shown) {
                    write!(f, " and {more} more")?;
                }
                Ok(())
            }
        }
    }
}

struct Many(usize, &'static str, &'static str);

impl fmt::Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}",
            self.0,
            if self.0 == 1 { self.1 } else { self.2 }
        )
    }
}

/// A number in the unit of its attribute.
struct Value(Attribute, i64);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.about().ty, u64::try_from(self.1)) {
            (Type::Duration, Ok(nanos)) => write!(f, "{}", Time(Nanos(nanos))),
            (Type::Ratio, _) if self.1 % 10_000 == 0 => write!(f, "{}%", self.1 / 10_000),
            (Type::Ratio, _) => write!(f, "{} ppm", self.1),
            _ => write!(f, "{}", self.1),
        }
    }
}

/// A duration in the largest unit that is exact.
struct Time(Nanos);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.0;
        for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
            if nanos != 0 && nanos.is_multiple_of(unit) {
                return write!(f, "{}{name}", nanos / unit);
            }
        }
        write!(f, "{nanos}ns")
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Asked(&self.test, self.negated))
    }
}

/// A test, or its negation, as it would be written.
struct Asked<'a>(&'a Test, bool);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(test, negated) = self;
        let (open, close) = if *negated { ("not (", ")") } else { ("", "") };
        let (is, among) = match negated {
            true => ("!=", "not in"),
            false => ("==", "in"),
        };
        match test {
            Test::TextIn(attribute, members) => match (members.len(), members.first()) {
                (1, Some(only)) => write!(f, "{attribute} {is} {only:?}"),
                _ => {
                    write!(f, "{attribute} {among} ")?;
                    write_members(f, members.len(), members.iter().map(|m| format!("{m:?}")))
                }
            },
            Test::StartsWith(attribute, prefix) => {
                write!(f, "{open}{attribute} starts with {prefix:?}{close}")
            }
            Test::Under(attribute, members) => {
                write!(f, "{open}{attribute} under ")?;
                match (members.len(), members.first()) {
                    (1, Some(only)) => write!(f, "{only:?}")?,
                    _ => write_members(f, members.len(), members.iter().map(|m| format!("{m:?}")))?,
                }
                write!(f, "{close}")
            }
            Test::Number(attribute, compare, value) => {
                let compare = match (compare, negated) {
                    (Compare::Eq, false) => "==",
                    (Compare::Eq, true) => "!=",
                    (Compare::Lt, false) | (Compare::Ge, true) => "<",
                    (Compare::Le, false) | (Compare::Gt, true) => "<=",
                    (Compare::Gt, false) | (Compare::Le, true) => ">",
                    (Compare::Ge, false) | (Compare::Lt, true) => ">=",
                };
                write!(f, "{attribute} {compare} {}", Value(*attribute, *value))
            }
            Test::NumberIn(attribute, members) => {
                write!(f, "{attribute} {among} ")?;
                write_members(
                    f,
                    members.len(),
                    members.iter().map(|m| Value(*attribute, *m).to_string()),
                )
            }
            Test::EndsWith(attribute, suffix) => {
                write!(f, "{open}{attribute} ends with {suffix:?}{close}")
            }
            Test::Contains(attribute, part) => {
                write!(f, "{open}{attribute} contains {part:?}{close}")
            }
            Test::Like(attribute, glob) => write!(f, "{open}{attribute} like {glob:?}{close}"),
            Test::Matches(attribute, regex) => {
                write!(f, "{open}{attribute} matches {regex:?}{close}")
            }
            Test::IsTrue(attribute) if *negated => write!(f, "not {attribute}"),
            Test::IsTrue(attribute) => write!(f, "{attribute}"),
        }
    }
}

fn write_members(
    f: &mut fmt::Formatter<'_>,
    count: usize,
    members: impl Iterator<Item = String>,
) -> fmt::Result {
    write!(f, "{{ ")?;
    for (index, member) in members.take(MEMBERS_SHOWN).enumerate() {
        if index > 0 {
            write!(f, ", ")?;
        }
        write!(f, "{member}")?;
    }
    if let Some(more @ 1..) = count.checked_sub(MEMBERS_SHOWN) {
        write!(f, ", and {more} more")?;
    }
    write!(f, " }}")
}
