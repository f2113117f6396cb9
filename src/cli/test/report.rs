//! What came of the tests, for people, for editors and for programs.

use serde_json::{Map, Value, json};

use super::TestArgs;
use crate::check::{Policy, RuleId, TestCase};
use crate::cli::describe::{describe, number_text, quoted, value_json};
use crate::cli::eval::{steps, trace, verdict};
use crate::cli::policy::{self, Examined, count};
use crate::cli::terminal::{Align, table};
use crate::cli::{Exit, Format, Terminal, fail};
use crate::diag::{self, Code, Diagnostic, Files as _, Lines, RenderOptions, shown, visible};
use crate::eval::suite::{self, Coverage, Member, Members, Outcome};
use crate::eval::{Explanation, explain};
use crate::source::SourceSet;

/// As many members of one set are named; then they are counted.
const MEMBERS_SHOWN: usize = 4;

/// What the policies came to together.
#[derive(Default)]
struct Sum {
    passed: usize,
    failed: usize,
    left_out: usize,
    invalid: bool,
    unmet: bool,
    cases: Vec<Value>,
    diagnostics: Vec<diag::json::Described>,
    rules: usize,
    total: usize,
    members: usize,
    members_total: usize,
    uncovered: Vec<Value>,
    uncovered_members: Vec<Value>,
}

/// One valid policy and where it was read.
struct Tested<'a> {
    path: String,
    policy: &'a Policy,
    files: &'a SourceSet,
}

/// Runs the tests of all policies and says what came of them.
pub(super) fn report(args: &TestArgs, all: &[Examined], terminal: &Terminal) -> Exit {
    let mut sum = Sum::default();
    for (path, examined) in args.paths.iter().zip(all) {
        let Some(built) = &examined.built else {
            sum.invalid = true;
            sum.describe(&examined.diagnostics, &examined.files);
            policy::say(terminal, &examined.diagnostics, &examined.files);
            continue;
        };
        policy::warn(terminal, &examined.diagnostics, &examined.files);
        let tested = Tested {
            path: path.to_string_lossy().into_owned(),
            policy: &built.policy,
            files: &examined.files,
        };
        one(args, &tested, &mut sum, terminal);
    }
    let ran = sum.passed + sum.failed;
    if let Some(filter) = &args.filter
        && ran == 0
        && !sum.invalid
    {
        let message = format!("no test has `{}` in its name", shown(filter));
        let help = match sum.left_out {
            0 => "there is no test at all".to_owned(),
            _ => format!("there {}", are(sum.left_out)),
        };
        return fail(terminal, &message, Some(&help));
    }
    let exit = match (sum.invalid, sum.failed > 0 || sum.unmet) {
        (true, _) => Exit::Invalid,
        (false, true) => Exit::Unmet,
        (false, false) => Exit::Done,
    };
    if terminal.format() == Format::Json {
        terminal.json(&sum.document(args, exit == Exit::Done));
    }
    exit
}

fn are(number: usize) -> String {
    match number {
        1 => "is 1 test".to_owned(),
        number => format!("are {number} tests"),
    }
}

/// The tests of one policy.
fn one(args: &TestArgs, tested: &Tested<'_>, sum: &mut Sum, terminal: &Terminal) {
    let policy = tested.policy;
    let wanted = |case: &&TestCase| {
        let filter = args.filter.as_deref();
        filter.is_none_or(|text| case.name.contains(text))
    };
    let outcomes = suite::run(policy, policy.tests().iter().filter(wanted));
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    sum.passed += outcomes.len() - failed;
    sum.failed += failed;
    sum.left_out += policy.tests().len() - outcomes.len();
    for outcome in &outcomes {
        tested.case(outcome, terminal);
        sum.cases.push(tested.case_json(outcome));
    }
    tested.summary(outcomes.len(), failed, terminal);

    let coverage = suite::coverage(policy, &outcomes);
    sum.rules += coverage.covered();
    sum.total += coverage.rules.len();
    let (members, members_total) = coverage.members();
    sum.members += members;
    sum.members_total += members_total;
    let Some(least) = args.coverage else { return };
    sum.uncovered.extend(tested.uncovered_json(&coverage));
    sum.uncovered_members
        .extend(tested.uncovered_members_json(&coverage));
    if terminal.format() != Format::Json {
        terminal.print(&tested.coverage(&coverage, terminal));
    }
    if percent(&coverage) < least {
        sum.unmet = true;
        let diagnostic = Diagnostic::new(
            Code::E0621,
            format!(
                "`{}`: {}% of the rules are covered, {least}% are asked for",
                shown(&tested.path),
                percent(&coverage)
            ),
        )
        .help("add a test for each rule that is not covered");
        sum.describe(std::slice::from_ref(&diagnostic), tested.files);
        policy::say(terminal, &[diagnostic], tested.files);
    }
}

/// Whole percent of the rules, rounded down: 100 is all of them.
fn percent(coverage: &Coverage) -> u32 {
    let percent = coverage.covered() * 100 / coverage.rules.len().max(1);
    u32::try_from(percent).unwrap_or(100)
}

impl Sum {
    fn describe(&mut self, diagnostics: &[Diagnostic], files: &SourceSet) {
        self.diagnostics
            .extend(diag::json::describe(diagnostics, files));
    }

    fn document(&mut self, args: &TestArgs, ok: bool) -> Value {
        let mut coverage = json!({
            "rules": self.rules,
            "total": self.total,
            "members": self.members,
            "members_total": self.members_total,
        });
        if args.coverage.is_some()
            && let Some(coverage) = coverage.as_object_mut()
        {
            let take = std::mem::take::<Vec<Value>>;
            coverage.insert("uncovered".into(), take(&mut self.uncovered).into());
            coverage.insert(
                "uncovered_members".into(),
                take(&mut self.uncovered_members).into(),
            );
        }
        json!({
            "ok": ok,
            "passed": self.passed,
            "failed": self.failed,
            "left_out": self.left_out,
            "coverage": coverage,
            "cases": self.cases,
            "diagnostics": self.diagnostics,
        })
    }
}

impl Tested<'_> {
    fn rule(&self, id: RuleId) -> (&str, &str, u32) {
        let rule = self.policy.rules().get(usize::from(id.0));
        rule.map_or(("", "", 0), |rule| {
            (&rule.name, self.files.name(rule.span.file), rule.line)
        })
    }

    /// `critical by edge`
    fn expected(&self, case: &TestCase) -> String {
        let tier = self.policy.tier(case.tier).map_or("", |tier| &tier.name);
        match case.rule {
            Some(rule) => format!("`{tier}` by `{}`", self.rule(rule).0),
            None => format!("`{tier}`"),
        }
    }

    /// Says what came of one test.
    fn case(&self, outcome: &Outcome<'_>, terminal: &Terminal) {
        let case = outcome.case;
        let format = terminal.format();
        if outcome.passed() {
            if format == Format::Plain {
                terminal.print(&format!(
                    "{}:{}: passed: {}\n",
                    visible(self.files.name(case.span.file)),
                    case.line,
                    visible(&case.name)
                ));
            }
            return;
        }
        if format == Format::Json {
            return;
        }
        let explanation = explain(self.policy, &outcome.task);
        let diagnostic = self.failure(outcome, &explanation);
        let options = RenderOptions {
            color: terminal.colors_results(),
            width: terminal.width(),
        };
        let mut text = diag::render(&[diagnostic], self.files, format.into(), options);
        if format == Format::Human {
            text.push_str(&steps(terminal, &explanation));
            text.push('\n');
        } else {
            for step in &explanation.trace {
                text.push_str(&format!("  tried: {}: {}\n", step.name, step.because));
            }
        }
        terminal.print(&text);
    }

    fn failure(&self, outcome: &Outcome<'_>, explanation: &Explanation) -> Diagnostic {
        let case = outcome.case;
        let came = verdict(self.policy, self.files, explanation);
        let diagnostic = Diagnostic::new(
            Code::E0620,
            format!(
                "the test `{}` failed: its task is sent to `{}` by `{}`",
                shown(&case.name),
                came.tier,
                came.rule
            ),
        )
        .label(case.span, format!("expected {}", self.expected(case)));
        let rule = self.policy.rules().get(usize::from(outcome.verdict.rule.0));
        match rule {
            Some(rule) => diagnostic.label(rule.span, "this rule decided"),
            None => diagnostic,
        }
        .help(format!(
            "to try it alone: edict eval {} --task {}",
            quoted(&self.path),
            quoted(&describe(&outcome.task))
        ))
    }

    fn case_json(&self, outcome: &Outcome<'_>) -> Value {
        let case = outcome.case;
        let (rule, file, line) = self.rule(outcome.verdict.rule);
        let tier = |id| self.policy.tier(id).map(|tier| tier.name.as_str());
        let task: Map<String, Value> = outcome
            .task
            .values()
            .map(|(attribute, value)| (attribute.to_string(), value_json(value)))
            .collect();
        let mut document = json!({
            "policy": self.path,
            "name": case.name,
            "file": self.files.name(case.span.file),
            "line": case.line,
            "passed": outcome.passed(),
            "task": task,
            "expected": {
                "tier": tier(case.tier),
                "rule": case.rule.map(|rule| self.rule(rule).0),
            },
            "got": {
                "tier": tier(outcome.verdict.tier),
                "rule": rule,
                "file": file,
                "line": line,
            },
        });
        if !outcome.passed()
            && let Some(document) = document.as_object_mut()
        {
            let explanation = explain(self.policy, &outcome.task);
            document.insert("trace".into(), trace(&explanation));
        }
        document
    }

    fn summary(&self, ran: usize, failed: usize, terminal: &Terminal) {
        if terminal.format() != Format::Human {
            return;
        }
        let path = visible(&self.path);
        let left_out = match self.policy.tests().len() - ran {
            0 => String::new(),
            number => format!(", {number} left out"),
        };
        terminal.print(&match (ran, failed) {
            (0, _) if left_out.is_empty() => format!(
                "{}: {path}: the policy has no tests; `edict explain test` shows one\n",
                terminal.green("ok")
            ),
            (_, 0) => format!(
                "{}: {path}: {} passed{left_out}\n",
                terminal.green("ok"),
                count(ran, "test")
            ),
            (_, failed) => format!(
                "{}: {path}: {failed} of {} failed{left_out}\n",
                terminal.red("not ok"),
                count(ran, "test")
            ),
        });
    }

    fn coverage(&self, coverage: &Coverage, terminal: &Terminal) -> String {
        let plain = terminal.format() == Format::Plain;
        let named = match plain {
            true => usize::MAX,
            false => MEMBERS_SHOWN,
        };
        let place = |file: &str, line: u32| format!("{}:{line}", visible(file));
        let rules = self.uncovered(coverage).into_iter();
        let rules = rules.map(|(rule, file, line)| (place(file, line), rule, String::new()));
        let sets = self.uncovered_sets(coverage).into_iter().map(|set| {
            let (rule, file, _) = self.rule(set.rule);
            let about = format!("{}: {}", set.attribute, listed(set, named));
            (place(file, self.line(set)), rule, about)
        });
        let lines = rules.chain(sets);
        if plain {
            return lines
                .map(|(place, rule, about)| {
                    let about = match about.as_str() {
                        "" => String::new(),
                        about => format!(": {about}"),
                    };
                    format!("{place}: not covered: {rule}{about}\n")
                })
                .collect();
        }
        let (members, all) = coverage.members();
        let mut out = format!(
            "coverage: {} of {} ({}%){}\n",
            coverage.covered(),
            count(coverage.rules.len(), "rule"),
            percent(coverage),
            match all {
                0 => String::new(),
                _ => format!(", {members} of {} of sets", count(all, "member")),
            }
        );
        let rows: Vec<Vec<String>> = lines
            .map(|(place, rule, about)| vec![format!("  {rule}"), place, about])
            .collect();
        if !rows.is_empty() {
            let head = [
                ("  not covered", Align::Left),
                ("at", Align::Left),
                ("members", Align::Left),
            ];
            out.push_str(&table(&head, &rows));
        }
        out
    }

    /// The rules that decided nothing.
    fn uncovered(&self, coverage: &Coverage) -> Vec<(&str, &str, u32)> {
        (0..)
            .zip(&coverage.rules)
            .filter(|(_, count)| **count == 0)
            .map(|(index, _)| self.rule(RuleId(index)))
            .collect()
    }

    /// The sets with members that nothing hit, in rules that decided something:
    /// the members of the others are as uncovered as they are.
    fn uncovered_sets<'a>(&self, coverage: &'a Coverage) -> Vec<&'a Members> {
        coverage
            .sets
            .iter()
            .filter(|set| {
                let count = coverage.rules.get(usize::from(set.rule.0));
                count.is_some_and(|count| *count > 0) && missed(set).next().is_some()
            })
            .collect()
    }

    /// The line of a condition.
    fn line(&self, set: &Members) -> u32 {
        let text = self.files.text(set.span.file);
        Lines::new(text).position(set.span.start as usize).line
    }

    fn uncovered_json(&self, coverage: &Coverage) -> Vec<Value> {
        self.uncovered(coverage)
            .into_iter()
            .map(|(rule, file, line)| {
                json!({ "policy": self.path, "rule": rule, "file": file, "line": line })
            })
            .collect()
    }

    fn uncovered_members_json(&self, coverage: &Coverage) -> Vec<Value> {
        self.uncovered_sets(coverage)
            .into_iter()
            .map(|set| {
                let (rule, file, _) = self.rule(set.rule);
                let members: Vec<Value> = missed(set)
                    .map(|member| match member {
                        Member::Text(text) => json!(text),
                        Member::Number(number) => json!(number),
                    })
                    .collect();
                json!({
                    "policy": self.path,
                    "rule": rule,
                    "file": file,
                    "line": self.line(set),
                    "attribute": set.attribute.to_string(),
                    "members": members,
                })
            })
            .collect()
    }
}

/// The members that are not covered, as many as are asked for, then a count.
fn listed(set: &Members, named: usize) -> String {
    let missed: Vec<String> = missed(set).map(|member| written(set, member)).collect();
    let shown = missed.get(..named.min(missed.len())).unwrap_or_default();
    let names = visible(&shown.join(", ")).into_owned();
    match missed.len() - shown.len() {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

fn missed(set: &Members) -> impl Iterator<Item = &Member> {
    set.members
        .iter()
        .filter(|(_, hit)| !**hit)
        .map(|(member, _)| member)
}

/// A member as a policy writes it.
fn written(set: &Members, member: &Member) -> String {
    match member {
        Member::Text(text) => format!("\"{text}\""),
        Member::Number(number) => number_text(set.attribute, *number),
    }
}
