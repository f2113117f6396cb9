//! Tiers: their fields, and what overrides make of them.

use std::collections::BTreeMap;

use super::blocks::{Blocks, Entry, Fields, Given, given_twice, gives, nanos};
use super::policy::{Order, Tier, TierId};
use super::types;
use crate::diag::{Code, Diagnostic, shown};
use crate::syntax::ast::{Block, Name};

impl Blocks<'_> {
    /// The tier in position `id`, with the overrides that name it.
    pub(super) fn tier(
        &mut self,
        block: &Block,
        name: &Name,
        overrides: &[&Block],
        id: TierId,
    ) -> Option<Tier> {
        let mut fields = self.fields(block)?;
        self.overrides(&mut fields, name, overrides);
        let preempt = match fields.get("preempt") {
            Some(Entry {
                given: Given::Tiers(tiers),
                at,
                ..
            }) => {
                if tiers.contains(&id) {
                    self.sink.push(
                        Diagnostic::new(
                            Code::E0223,
                            format!("the tier `{}` preempts itself", shown(&name.text)),
                        )
                        .label(*at, "names its own tier")
                        .help(
                            "within a tier, `order` and `slice` decide; leave it out of the list",
                        ),
                    );
                }
                tiers.clone()
            }
            _ => Vec::new(),
        };
        let slice = fields.number("slice")?;
        let max_wait = fields.number("max_wait");
        if let Some(wait) = max_wait.filter(|wait| *wait < slice) {
            let problem = promise(name, wait, slice, &fields);
            self.sink.push(problem);
        }
        // A value that was refused is there all the same.
        let mut blocks = std::iter::once(&block).chain(overrides);
        if fields.get("burst").is_some() && !blocks.any(|block| gives(block, "budget")) {
            self.needs(&fields, "burst", "budget");
        }
        let budget = fields.ppm("budget");
        let cpus = match fields.get("cpus").map(|entry| &entry.given) {
            Some(Given::Cpus(cpus)) => Some(cpus.clone()),
            _ => None,
        };
        self.note(&fields, &format!("tier {}", name.text), block.head());
        Some(Tier {
            name: name.text.clone(),
            span: name.span(),
            tickets: u32::try_from(fields.number("tickets")?).unwrap_or(1),
            slice: nanos(slice),
            order: match fields.choice("order") {
                "fifo" => Order::Fifo,
                "lottery" => Order::Lottery,
                _ => Order::Vtime,
            },
            preempt,
            max_wait: max_wait.map(nanos),
            cpus,
            exclusive: fields.truth("exclusive"),
            perf: fields.ppm("perf"),
            budget,
            burst: fields.nanos("burst").filter(|_| budget.is_some()),
        })
    }

    /// Says that a field means nothing without another one.
    pub(super) fn needs(&mut self, fields: &Fields, field: &str, other: &str) {
        let Some(entry) = fields.get(field) else {
            return;
        };
        let example = fields.kind.field(other).map(|field| field.written());
        self.sink.push(
            Diagnostic::new(Code::E0238, format!("`{field}` without `{other}`"))
                .label(entry.name, format!("means nothing without `{other}`"))
                .help(format!(
                    "add `{}`, or leave `{field}` out",
                    example.unwrap_or_default()
                )),
        );
    }

    /// Replaces fields of a tier by those of its overrides. Which file comes
    /// first must not matter, so no field is overridden twice.
    fn overrides(&mut self, fields: &mut Fields, name: &Name, overrides: &[&Block]) {
        let mut replaced = BTreeMap::new();
        for block in overrides {
            let mut more = self.fields_and(block, fields.kind, |_, _| false);
            while let Some((field, entry)) = more.entries.pop_first() {
                if let Some(first) = replaced.insert(field, entry.name) {
                    let field = format!("{}.{field}", name.text);
                    let help = "leave one of the two overrides out; which one counts must not depend on the order of files";
                    self.sink.push(given_twice(&field, entry.name, first, help));
                    continue;
                }
                fields.entries.insert(field, entry);
            }
        }
    }
}

/// A `max_wait` that cannot be kept.
fn promise(name: &Name, wait: i64, slice: i64, fields: &Fields) -> Diagnostic {
    let diagnostic = Diagnostic::new(
        Code::E0313,
        format!(
            "the `max_wait` of `{}` is shorter than its `slice`",
            shown(&name.text)
        ),
    );
    let at = |field: &str| fields.get(field).map(|entry| entry.at);
    let diagnostic = match at("max_wait") {
        Some(at) => diagnostic.label(at, types::duration(wait)),
        None => diagnostic,
    };
    match at("slice") {
        Some(at) => diagnostic.label(at, types::duration(slice)),
        None => diagnostic,
    }
    .help(format!(
        "a task waits at least while another of its tier runs for a slice of {}: write `{}` or more",
        types::duration(slice),
        types::duration(slice)
    ))
}
