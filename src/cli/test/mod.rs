//! `edict test`: do the policy's own tests pass, and what do they leave out?
//!
//! The tests stand in `test` blocks and are run by the reference evaluator; the
//! machine is not asked for anything, so the outcome is the same everywhere. A
//! test that fails is shown with what it expects, what came, and every rule that
//! was tried on the way there.

mod report;

use std::path::PathBuf;

use clap::Args;

use super::policy::{self, Examined};
use super::{Exit, Terminal, watching};

/// Run the tests of a policy
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict test policies/desktop
  edict test --coverage policies/*
  edict test --coverage=100 --format plain policies/desktop
  edict test --filter audio --watch policies/desktop

A test is a block of the policy:
  test \"nginx is critical\" { task { comm = \"nginx\" nice = 0 } expect critical by edge }

Coverage counts the rules that decided for some test, and the members of sets
that a test hit in the rule that decided (for a set behind `not`: that a test was
kept out by). Only tests that are run count. A minimum, in percent of the rules,
is asked of each policy.

Exit code 2 if a test fails or too little is covered, 3 if a policy is not valid.
With --watch and `--format json` standard output is one document a line.")]
pub(super) struct TestArgs {
    /// Policy files, directories with a policy, or `-`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Say which rules and members of sets no test reaches; fail if less than MIN percent of the
    /// rules are
    #[arg(
        long,
        value_name = "MIN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        value_parser = percent
    )]
    coverage: Option<u32>,
    /// Run only the tests that have this text in their names
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Test again whenever a file changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// `100`, `80%`
fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse();
    match number {
        Ok(number) if number <= 100 => Ok(number),
        _ => Err("the minimum is a whole number of percent, from 0 to 100".to_owned()),
    }
}

pub(super) fn run(args: &TestArgs, terminal: &Terminal) -> Exit {
    if let Err(exit) = policy::readable(&args.paths, args.watch, terminal) {
        return exit;
    }
    let test = |all: &[Examined]| report::report(args, all, terminal);
    match args.watch {
        true => watching::again(&args.paths, terminal, test),
        false => test(&policy::examine_all(&args.paths)),
    }
}
