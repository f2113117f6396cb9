//! What each kind of block but `tier`, `rules` and `test` makes of its fields.

use super::blocks::{Blocks, Fields, Given, gives};
use super::conditions::Conditions;
use super::limits::Budget;
use super::parts::{Balance, BalanceRule, Bound, Domain, Learn, LearnKey, Model, Reward};
use super::policy::{Between, Cond, Lottery, Nanos, Tier};
use super::reach;
use super::schema::{self, Field};
use super::scope::unknown_tier;
use super::sink::meant;
use super::titles::title;
use super::types::{self, Value};
use super::{Source, tier_id};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{self, Block, Kind, Name, Operator, Statement};

/// Rules of `balance`.
pub(super) const MOST_BALANCE_RULES: usize = 16;

/// The longest that a threshold of `balance` may have to hold.
const LONGEST_HOLD: i64 = 3_600_000_000_000;

/// The `policy` block.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) kernel: Option<(u32, u32)>,
    /// Where the kernel is named.
    pub(super) kernel_at: Option<Span>,
    pub(super) watchdog: Nanos,
}

impl Blocks<'_> {
    pub(super) fn head(&mut self, block: &Block) -> Option<Head> {
        let fields = self.fields(block)?;
        let name = title(block, self.sink).map(|name| name.text.clone());
        self.note(&fields, "policy", block.head());
        Some(Head {
            name: name.unwrap_or_default(),
            version: match fields.get("version").map(|entry| &entry.given) {
                Some(Given::Text(text)) => Some(text.clone()),
                _ => None,
            },
            kernel: match fields.get("kernel").map(|entry| &entry.given) {
                Some(Given::Kernel(major, minor)) => Some((*major, *minor)),
                _ => None,
            },
            kernel_at: fields.get("kernel").map(|entry| entry.at),
            watchdog: fields.nanos("watchdog")?,
        })
    }

    /// The `lottery` block, or the defaults without one.
    pub(super) fn lottery(&mut self, block: Option<&Block>) -> Option<Lottery> {
        let fields = match block {
            Some(block) => {
                title(block, self.sink);
                let fields = self.fields(block)?;
                self.note(&fields, "lottery", block.head());
                fields
            }
            None => Fields {
                kind: schema::block("lottery")?,
                entries: Default::default(),
            },
        };
        Some(Lottery {
            between: match fields.choice("between") {
                "strict" => Between::Strict,
                "stride" => Between::Stride,
                _ => Between::Tiers,
            },
            refill: fields.nanos("refill")?,
            compensate: fields.truth("compensate"),
            seed: u64::try_from(fields.number("seed")?).unwrap_or(0),
        })
    }

    pub(super) fn model_block(&mut self, block: &Block, name: &Name) -> Option<Model> {
        let fields = self.fields(block)?;
        self.note(&fields, &format!("model {}", name.text), block.head());
        Some(Model {
            name: name.text.clone(),
            span: name.span(),
            file: path(&fields, "file")?,
            sha256: match fields.get("sha256").map(|entry| &entry.given) {
                Some(Given::Digest(bytes)) => Some(*bytes),
                _ => None,
            },
            inputs: match fields.get("inputs").map(|entry| &entry.given) {
                Some(Given::Attributes(inputs)) => inputs.clone(),
                _ => return None,
            },
            budget: fields.nanos("budget")?,
            missing: fields.ppm("missing")?,
        })
    }

    pub(super) fn learn(&mut self, block: &Block) -> Option<Learn> {
        title(block, self.sink);
        let fields = self.fields(block)?;
        self.note(&fields, "learn", block.head());
        Some(Learn {
            key: match fields.choice("key") {
                "comm" => LearnKey::Comm,
                _ => LearnKey::Exe,
            },
            min_observations: u32::try_from(fields.number("min_observations")?).unwrap_or(0),
            min_confidence: fields.ppm("min_confidence")?,
            stale: fields.nanos("stale")?,
            limit: u64::try_from(fields.number("limit")?).unwrap_or(0),
        })
    }

    /// The `reward` block; what it may change is a field of one of `tiers`.
    pub(super) fn reward(&mut self, block: &Block, tiers: &[Tier]) -> Option<Reward> {
        title(block, self.sink);
        let fields = self.fields(block)?;
        self.note(&fields, "reward", block.head());
        if let Some(Given::Bounds(bounds)) = fields.get("bounds").map(|entry| &entry.given) {
            for bound in bounds {
                if let Some(problem) = left_out(bound, tiers) {
                    self.sink.push(problem);
                }
            }
        }
        Some(Reward {
            script: path(&fields, "script")?,
            every: fields.nanos("every")?,
            bounds: match fields.get("bounds").map(|entry| &entry.given) {
                Some(Given::Bounds(bounds)) => bounds.clone(),
                _ => Vec::new(),
            },
        })
    }

    /// The lines of a `bounds` block.
    pub(super) fn bounds(&mut self, field: &Field, block: &Block) -> Option<Given> {
        if let Some(named) = block.titles.first() {
            return self.refuse(
                Diagnostic::new(Code::E0222, format!("`{}` has no name", field.name))
                    .label(named.span(), "a name that is not needed")
                    .help(format!("write `{} {{ … }}`", field.name)),
            );
        }
        let mut bounds: Vec<Bound> = Vec::new();
        let mut sound = true;
        for statement in &block.statements {
            let Statement::Field(line) = statement else {
                self.sink.push(
                    Diagnostic::new(Code::E0219, "a statement in `bounds` that is no bound")
                        .label(super::titles::first_word(statement), "not in `bounds`")
                        .help("write `TIER.FIELD = LOW..HIGH`"),
                );
                sound = false;
                continue;
            };
            let Some(bound) = self.bound(line) else {
                sound = false;
                continue;
            };
            let same =
                |other: &&Bound| other.tier == bound.tier && other.field.name == bound.field.name;
            if let Some(first) = bounds.iter().find(same) {
                self.sink.push(super::blocks::given_twice(
                    &line.name.text,
                    line.name.span(),
                    first.span,
                    "delete one of the two",
                ));
                sound = false;
                continue;
            }
            bounds.push(bound);
        }
        sound.then_some(Given::Bounds(bounds))
    }

    /// `critical.tickets = 400..1600`
    fn bound(&mut self, line: &ast::Field) -> Option<Bound> {
        let name = line.name.text.as_str();
        let at = line.name.span();
        let Some((tier, field)) = name.split_once('.') else {
            return self.refuse(
                Diagnostic::new(
                    Code::E0237,
                    format!("`{}` is not the field of a tier", shown(name)),
                )
                .label(at, "expected a tier, a dot and a field")
                .help(format!("write `TIER.{} = LOW..HIGH`", shown(name))),
            );
        };
        let index = self.tiers.iter().position(|known| *known == tier);
        let Some(index) = index else {
            return self.refuse(unknown_tier(tier, at, self.tiers));
        };
        let kind = schema::block("tier")?;
        let Some(about) = kind.field(field) else {
            let numbers = kind.fields.iter().filter(|f| f.ty.range().is_some());
            return self.refuse(
                Diagnostic::new(
                    Code::E0207,
                    format!("`tier` has no field `{}`", shown(field)),
                )
                .label(at, "no such field")
                .maybe_help(meant(field, numbers.map(|f| f.name), "field")),
            );
        };
        let Some((low, high)) = about.ty.range() else {
            return self.refuse(
                Diagnostic::new(Code::E0237, format!("`{field}` is not a number"))
                    .label(at, "cannot be changed step by step")
                    .help("bounds are for `tickets`, `slice` and the like"),
            );
        };
        let Kind::Binary(Operator::Range, _, from, to) = &line.value.bare().kind else {
            return self.refuse(
                Diagnostic::new(Code::E0237, format!("the bounds of `{name}` are a range"))
                    .label(line.value.span(), "expected a range")
                    .help(format!(
                        "write `{name} = {}..{}`",
                        about.ty.written(low),
                        about.ty.written(high)
                    )),
            );
        };
        let from_number = self.number(about, (low, high), from);
        let to_number = self.number(about, (low, high), to);
        let (low, high) = (from_number?, to_number?);
        if low > high {
            let show = |number| about.ty.written(number);
            return self.refuse(
                Diagnostic::new(Code::E0237, "a range that runs backwards")
                    .label(line.value.span(), "holds nothing")
                    .help(format!("write `{}..{}`", show(high), show(low))),
            );
        }
        Some(Bound {
            tier: tier_id(index),
            field: about,
            low,
            high,
            span: line.name.span(),
        })
    }

    pub(super) fn balance(&mut self, block: &Block) -> Option<Balance> {
        title(block, self.sink);
        let kind = schema::block("balance")?;
        let mut rules = Vec::new();
        let mut count = 0usize;
        let fields = self.fields_and(block, kind, |blocks, statement| {
            let Statement::Rule(rule) = statement else {
                return false;
            };
            count += 1;
            if count <= MOST_BALANCE_RULES {
                rules.extend(blocks.balance_rule(rule));
            }
            true
        });
        if count > MOST_BALANCE_RULES {
            self.sink.push(
                Diagnostic::new(
                    Code::E0229,
                    format!("more than {MOST_BALANCE_RULES} rules in `balance`"),
                )
                .label(block.head(), format!("has {count}"))
                .help("keep one threshold for each domain"),
            );
        }
        if fields.get("threshold").is_some() && !gives(block, "model") {
            self.needs(&fields, "threshold", "model");
        }
        self.note(&fields, "balance", block.head());
        Some(Balance {
            rules,
            max_moves: fields.ppm("max_moves")?,
            model: match fields.get("model").map(|entry| &entry.given) {
                Some(Given::Model(id)) => Some(*id),
                _ => None,
            },
            threshold: fields.ppm("threshold")?,
        })
    }

    /// `when imbalance > 15% for 40ms -> migrate within llc`
    fn balance_rule(&mut self, rule: &ast::Rule) -> Option<BalanceRule> {
        let whole = rule.place.0;
        let wrong = |message: String, at: Span, label: &str, help: &str| {
            Diagnostic::new(Code::E0235, message)
                .label(at, label)
                .help(help)
        };
        let mut sound = true;
        if rule.target.text != "migrate" {
            self.sink.push(wrong(
                format!("`{}` in `balance`", shown(&rule.target.text)),
                rule.target.span(),
                "not what a rule of `balance` does",
                "write `-> migrate within llc` or `-> migrate within node`",
            ));
            sound = false;
        }
        let within = match rule
            .within
            .as_ref()
            .map(|within| (within, within.text.as_str()))
        {
            Some((_, "llc")) => Some(Domain::Llc),
            Some((_, "node")) => Some(Domain::Node),
            Some((within, text)) => {
                self.sink.push(
                    Diagnostic::new(
                        Code::E0312,
                        format!("tasks cannot move within `{}`", shown(text)),
                    )
                    .label(within.span(), "no such domain")
                    .maybe_help(meant(text, ["llc", "node"], "domain")),
                );
                None
            }
            None => {
                if sound {
                    self.sink.push(wrong(
                        "a rule of `balance` without `within`".to_owned(),
                        rule.target.span(),
                        "how far may tasks move?",
                        "write `-> migrate within llc` or `-> migrate within node`",
                    ));
                }
                None
            }
        };
        let Some(when) = &rule.when else {
            return self.refuse(wrong(
                "`otherwise` in `balance`".to_owned(),
                whole,
                "no rule is the last resort here",
                "write `when imbalance > 15% for 40ms -> migrate within llc`",
            ));
        };
        let hold = match &rule.hold {
            Some(hold) => self.hold(hold),
            None => self.refuse(wrong(
                "a rule of `balance` without `for`".to_owned(),
                when.span(),
                "how long must this hold?",
                "write a time behind it, as `for 40ms`",
            )),
        };
        let when = self.machine(when);
        Some(BalanceRule {
            when: when?,
            hold: super::blocks::nanos(hold?),
            within: within.filter(|_| sound)?,
            span: whole,
        })
    }

    /// `for 40ms`
    fn hold(&mut self, expr: &ast::Expr) -> Option<i64> {
        let span = expr.span();
        match types::value(expr, self.scope, self.sink)? {
            Value::Duration(hold) if (0..=LONGEST_HOLD).contains(&hold) => Some(hold),
            Value::Duration(hold) => self.refuse(
                Diagnostic::new(
                    Code::E0304,
                    format!("`for` is from 0ns to {}", types::duration(LONGEST_HOLD)),
                )
                .label(span, format!("{} is outside", types::duration(hold)))
                .help("write how long the condition has to hold"),
            ),
            Value::Count(number) => {
                let range = (0, LONGEST_HOLD);
                self.refuse(super::literals::bare_number("for", number, range, span))
            }
            other => self.refuse(
                Diagnostic::new(
                    Code::E0301,
                    format!("`for` is a duration, not {}", other.phrase()),
                )
                .label(span, other.phrase())
                .help("write it as in `for 40ms`"),
            ),
        }
    }

    /// A condition about the machine as a whole.
    fn machine(&mut self, when: &ast::Expr) -> Option<Cond> {
        // What it compares with is not in the tables of the classifier.
        let budget = std::mem::take::<Budget>(&mut self.scope.budget);
        let cond = Conditions {
            scope: &mut *self.scope,
            sink: &mut *self.sink,
            examined: &mut Default::default(),
        }
        .condition(when);
        self.scope.budget = budget;
        let cond = cond?;
        if let Some((what, at)) = not_of_the_machine(&cond) {
            return self.refuse(
                Diagnostic::new(Code::E0235, format!("{what} in a rule of `balance`"))
                    .label(at, "of one task, not of the machine")
                    .help("rules of `balance` ask for `imbalance`, `load`, `cpu_util`, `psi.cpu`, `on_battery` and `ncpu`"),
            );
        }
        if !reach::analyse(&[Some(&cond), None]).is_empty() {
            return self.refuse(
                Diagnostic::new(
                    Code::E0235,
                    "a condition of `balance` that always holds, or never",
                )
                .label(when.span(), "no threshold")
                .help("write a threshold, as `imbalance > 15%`"),
            );
        }
        Some(cond)
    }
}

fn path(fields: &Fields, name: &str) -> Option<String> {
    match fields.get(name).map(|entry| &entry.given) {
        Some(Given::Path(path)) => Some(path.clone()),
        _ => None,
    }
}

/// Says that bounds leave out the value that the field begins with.
fn left_out(bound: &Bound, tiers: &[Tier]) -> Option<Diagnostic> {
    let tier = tiers.get(usize::from(bound.tier.0))?;
    let field = bound.field;
    let value = match field.name {
        "tickets" => u64::from(tier.tickets),
        "slice" => tier.slice.0,
        "max_wait" => tier.max_wait?.0,
        "perf" => u64::from(tier.perf?.0),
        "budget" => u64::from(tier.budget?.0),
        "burst" => tier.burst?.0,
        _ => return None,
    };
    let value = i64::try_from(value).ok()?;
    if (bound.low..=bound.high).contains(&value) {
        return None;
    }
    let name = format!("{}.{}", shown(&tier.name), field.name);
    let value = field.ty.written(value);
    Some(
        Diagnostic::new(
            Code::E0237,
            format!("the bounds of `{name}` leave out its own value, `{value}`"),
        )
        .label(bound.span, "begins outside of its bounds")
        .label(tier.span, format!("`{}` is `{value}` here", field.name))
        .help("widen the bounds, or change the tier"),
    )
}

/// The first part of a condition that is about a task or a model.
fn not_of_the_machine(cond: &Cond) -> Option<(String, Span)> {
    match cond {
        Cond::And(members) | Cond::Or(members) => members.iter().find_map(not_of_the_machine),
        Cond::Not(inner) => not_of_the_machine(inner),
        Cond::Model(_, _, _, at) => Some(("a model".to_owned(), *at)),
        Cond::Test(test, at) => {
            let about = test.attribute().about();
            (about.source != Source::System).then(|| (format!("`{}`", about.name), *at))
        }
    }
}
