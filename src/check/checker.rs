//! Makes a policy of the statements of all files.

use std::collections::BTreeMap;

use super::blocks::{Blocks, tier_id};
use super::cases::Cases;
use super::limits::MOST_TIERS;
use super::lines::LineNumbers;
use super::others::Head;
use super::policy::{Model, Policy, Rule, Tier};
use super::rules::{self, Groups, MOST_GROUPS, Rules, Walk};
use super::schema;
use super::scope::{self, Scope};
use super::sink::Sink;
use super::titles::{first_word, overridden, title};
use super::{kernel, looks};
use crate::diag::{Code, Diagnostic, Files, Severity, Span, shown};
use crate::syntax::Ast;
use crate::syntax::ast::{Block, Name, Statement};

/// Models of a policy.
pub const MOST_MODELS: usize = 16;

/// Checks parsed files: what is included before what includes it, the policy
/// itself last. `files` holds their texts.
pub fn check(asts: &[Ast], files: &dyn Files) -> (Option<Policy>, Vec<Diagnostic>) {
    let mut checker = Checker::default();
    let Some((root, included)) = asts.split_last() else {
        return (None, Vec::new());
    };
    for ast in asts {
        for statement in &ast.statements {
            if let Statement::Definition(definition) = statement {
                checker.scope.announce(&definition.name);
            }
        }
    }
    for ast in included {
        checker.file(ast, false);
    }
    checker.file(root, true);
    for ast in asts {
        looks::examine(ast, files, &mut checker.sink);
    }
    let policy = checker.finish(root, files);
    checker.sink.locate(files);
    (policy, checker.sink.finish())
}

/// What was found in the files.
#[derive(Default)]
pub(super) struct Checker<'a> {
    pub(super) scope: Scope,
    pub(super) sink: Sink,
    /// Blocks by their first word, in the order of the files and texts.
    pub(super) blocks: BTreeMap<&'static str, Vec<&'a Block>>,
    pub(super) groups: Vec<&'a Block>,
    pub(super) overrides: Vec<&'a Block>,
    /// Whether the policy itself has statements that only a policy has.
    pub(super) is_policy: bool,
    pub(super) no_language: Option<Diagnostic>,
}

/// What kinds of tiers and models there are, in order, each with its name.
type Named<'a> = Vec<(&'a Block, &'a Name)>;

impl<'a> Checker<'a> {
    fn of(&self, word: &str) -> Vec<&'a Block> {
        self.blocks.get(word).cloned().unwrap_or_default()
    }

    /// Refuses every block of a kind but the first.
    fn once(&mut self) {
        for blocks in self.blocks.values() {
            let [first, others @ ..] = blocks.as_slice() else {
                continue;
            };
            let word = first.word.text.as_str();
            if schema::block(word).is_none_or(|kind| kind.many) {
                continue;
            }
            for block in others {
                self.sink.push(
                    Diagnostic::new(Code::E0212, format!("a second `{word}` block"))
                        .label(block.head(), "again")
                        .label(first.head(), "first here")
                        .help("put everything into one block"),
                );
            }
        }
    }

    /// What a policy cannot be without.
    fn needed(&mut self, root: &Ast) {
        let start = root.statements.first().map(first_word);
        let start = start.unwrap_or_else(|| Span::new(root.file(), 0, 0));
        let defines = root.statements.iter().any(|statement| match statement {
            Statement::Directive(directive) => directive.word.text == "include",
            Statement::Definition(_) | Statement::Block(_) => true,
            _ => false,
        });
        if !self.is_policy && defines {
            self.sink.push(
                Diagnostic::new(Code::E0240, "the file has definitions, but no policy")
                    .label(start, "no `policy` and no `rules` in this file")
                    .help("it is there to be included: check the policy that includes it"),
            );
            return;
        }
        self.no_language
            .take()
            .into_iter()
            .for_each(|diagnostic| self.sink.push(diagnostic));
        for (word, code, message, help) in [
            (
                "policy",
                Code::E0214,
                "the policy has no name",
                "add `policy NAME { version = \"1.0.0\" }`",
            ),
            (
                "tier",
                Code::E0218,
                "the policy has no tier",
                "add a tier, as `tier regular { }`",
            ),
            (
                "rules",
                Code::E0217,
                "the policy has no rules",
                "add `rules { otherwise -> TIER }`",
            ),
        ] {
            if !self.blocks.contains_key(word) {
                self.sink.push(
                    Diagnostic::new(code, message)
                        .label(start, format!("no `{word}` block in this file"))
                        .help(help),
                );
            }
        }
    }

    /// Blocks with the names that they define, each name once.
    fn named(&mut self, word: &str, blocks: Vec<&'a Block>, again: &str) -> Named<'a> {
        let mut named: Named<'a> = Vec::new();
        let mut places: BTreeMap<&str, Span> = BTreeMap::new();
        for block in blocks {
            let Some(name) = title(block, &mut self.sink) else {
                continue;
            };
            if let Some(first) = places.get(name.text.as_str()) {
                let twice = scope::twice(word, &name.text, name.span(), *first);
                let help = again.replace("NAME", &shown(&name.text));
                self.sink.push(twice.help(help));
                continue;
            }
            places.insert(&name.text, name.span());
            named.push((block, name));
        }
        named
    }

    fn at_most(&mut self, most: usize, named: &[(&Block, &Name)], words: (&str, &str), help: &str) {
        let (word, words) = words;
        let code = match word {
            "tier" => Code::E0401,
            _ => Code::E0229,
        };
        if let Some((_, name)) = named.get(most) {
            self.sink.push(
                Diagnostic::new(code, format!("more than {most} {words}"))
                    .label(name.span(), format!("this {word} crosses the limit"))
                    .help(help),
            );
        }
    }

    fn finish(&mut self, root: &Ast, files: &'a dyn Files) -> Option<Policy> {
        self.once();
        self.needed(root);
        let rename = "delete or rename one of the two";
        let change = "to change fields of it, write `override tier NAME { … }`";
        let tier_blocks = self.named("tier", self.of("tier"), change);
        self.at_most(
            MOST_TIERS,
            &tier_blocks,
            ("tier", "tiers"),
            "join tiers whose fields are alike",
        );
        let model_blocks = self.named("model", self.of("model"), rename);
        self.at_most(
            MOST_MODELS,
            &model_blocks,
            ("model", "models"),
            "leave out models that nothing asks",
        );
        for (_, name) in &model_blocks {
            self.scope.define_model(name);
        }
        let groups = std::mem::take(&mut self.groups);
        let group_blocks = self.named("group", groups, rename);
        self.at_most(
            MOST_GROUPS,
            &group_blocks,
            ("group", "groups of rules"),
            "join groups that are placed together",
        );
        let names: Vec<&str> = tier_blocks
            .iter()
            .map(|(_, name)| name.text.as_str())
            .collect();
        let overrides = self.overridden(&names);

        let mut blocks = Blocks {
            scope: &mut self.scope,
            sink: &mut self.sink,
            tiers: &names,
            unready: Vec::new(),
            settings: Vec::new(),
        };
        let first = |word: &str| {
            let blocks = self.blocks.get(word);
            blocks.and_then(|blocks| blocks.first().copied())
        };
        let head = first("policy").and_then(|block| blocks.head(block));
        let mut tiers: Vec<Tier> = Vec::new();
        for (index, (block, name)) in tier_blocks.iter().enumerate() {
            let by: &[&Block] = overrides.get(&index).map_or(&[], Vec::as_slice);
            tiers.extend(blocks.tier(block, name, by, tier_id(index)));
        }
        let models: Vec<Model> = model_blocks
            .iter()
            .filter_map(|(block, name)| blocks.model_block(block, name))
            .collect();
        let lottery = blocks.lottery(first("lottery"));
        let balance = first("balance").and_then(|block| blocks.balance(block));
        let reward = first("reward").and_then(|block| blocks.reward(block, &tiers));
        let learn = first("learn").and_then(|block| blocks.learn(block));
        let (unready, settings) = (blocks.unready, blocks.settings);

        let mut lines = LineNumbers::new(files);
        let rules = self.rules(&group_blocks, &names, &mut lines);
        let tests = self.of("test");
        let typed: Vec<&Rule> = rules.rules.iter().map(|typed| &typed.rule).collect();
        let tests = Cases {
            scope: &mut self.scope,
            sink: &mut self.sink,
            tiers: &names,
            rules: &typed,
            named: &rules.named,
            lines: &mut lines,
        }
        .cases(&tests);
        if self.sink.has_errors() {
            // What is not used may be used where the mistake is.
            return None;
        }
        self.unused(root, &tier_blocks, &group_blocks, &rules);
        for diagnostic in &unready {
            self.sink.push(diagnostic.clone().severity(Severity::Note));
        }
        let Head {
            name,
            version,
            kernel,
            kernel_at,
            watchdog,
        } = head?;
        let policy = Policy {
            name,
            version,
            kernel,
            watchdog,
            tiers,
            rules: rules.rules.into_iter().map(|typed| typed.rule).collect(),
            lottery: lottery?,
            models,
            balance,
            reward,
            learn,
            tests,
            unready,
            settings,
        };
        if let (Some(version), Some(at)) = (kernel, kernel_at) {
            let lacking = kernel::lacking(&policy, version);
            let lacking = lacking.into_iter().map(|d| kernel::declared(d, at));
            lacking.for_each(|diagnostic| self.sink.push(diagnostic));
        }
        Some(policy)
    }

    /// The overrides of each tier, by its position.
    fn overridden(&mut self, names: &[&str]) -> BTreeMap<usize, Vec<&'a Block>> {
        let mut found: BTreeMap<usize, Vec<&'a Block>> = BTreeMap::new();
        for block in std::mem::take(&mut self.overrides) {
            let Some(name) = overridden(block, &mut self.sink) else {
                continue;
            };
            match names.iter().position(|known| *known == name.text) {
                Some(index) => found.entry(index).or_default().push(block),
                None => {
                    let unknown = scope::unknown_tier(&name.text, name.span(), names);
                    self.sink.push(unknown);
                }
            }
        }
        found
    }

    /// The rules with their groups, and what is wrong in groups that are not
    /// placed.
    fn rules(
        &mut self,
        group_blocks: &[(&'a Block, &'a Name)],
        names: &[&'a str],
        lines: &mut LineNumbers<'a>,
    ) -> Rules {
        let groups: Groups<'a> = group_blocks
            .iter()
            .map(|(block, name)| (name.text.as_str(), *block))
            .collect();
        // What is too many is refused already, and not looked at for ever.
        let some = groups.len() <= MOST_GROUPS;
        if some {
            rules::circles(&groups, &mut self.sink);
        }
        let (scope, sink) = (&mut self.scope, &mut self.sink);
        let blocks = self.blocks.get("rules").cloned().unwrap_or_default();
        let mut typed: Option<Rules> = None;
        for block in blocks {
            let walk = Walk::new(lines, &groups, names, scope, sink);
            typed.get_or_insert(walk.policy(block));
        }
        let typed = typed.unwrap_or_default();
        for (name, block) in &groups {
            if some && !typed.placed.contains(*name) {
                Walk::new(lines, &groups, names, scope, sink).unplaced(block);
            }
        }
        typed.complain_of_reach(names, sink);
        typed
    }

    /// Warns of what nothing uses. What other files define is there to be shared.
    fn unused(
        &mut self,
        root: &Ast,
        tiers: &[(&Block, &Name)],
        groups: &[(&Block, &Name)],
        rules: &Rules,
    ) {
        let own = |name: &Name| name.span().file == root.file();
        for (index, (_, name)) in tiers.iter().enumerate() {
            if own(name) && !rules.tiers.contains(&tier_id(index)) {
                self.sink.push(
                    Diagnostic::new(
                        Code::W0202,
                        format!("no rule leads to the tier `{}`", name.text),
                    )
                    .label(name.span(), "never used")
                    .help("delete it, or send tasks to it"),
                );
            }
        }
        for (_, name) in groups {
            if own(name) && !rules.placed.contains(&name.text) {
                self.sink.push(
                    Diagnostic::new(
                        Code::W0211,
                        format!("nothing places the group of rules `{}`", name.text),
                    )
                    .label(name.span(), "never used")
                    .help(format!(
                        "write `use {}` in `rules`, or delete it",
                        name.text
                    )),
                );
            }
        }
        self.scope.warn_unused(root.file(), &mut self.sink);
    }
}
