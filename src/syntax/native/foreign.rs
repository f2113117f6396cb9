//! Spellings of other languages: understood well enough to name the right one.
//!
//! Each is refused, and the tree is built as if the right one stood there, so that
//! everything else that is wrong is found in the same run.

use pest::iterators::Pair;

use super::{Builder, Rule};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::ast::{Expr, Kind, Name, Operator};
use crate::syntax::expr::Infix;
use crate::syntax::scan;

/// Words that bring in a file elsewhere.
const INCLUDES: [&str; 6] = ["import", "require", "source", "load", "use", "using"];

impl Builder<'_> {
    /// `found` is of another language; `instead` is what edict calls it.
    pub(super) fn foreign(&mut self, code: Code, span: Span, found: &str, instead: &str) {
        let found = shown(found);
        self.complain(
            code,
            span,
            &format!("`{found}` is not part of this language"),
            "",
            &format!("write `{instead}`"),
        );
    }

    /// What a foreign operator stands for.
    pub(super) fn foreign_infix(&mut self, span: Span, found: &str) -> Infix {
        let lower = found.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().collect();
        let infix = match words.join(" ").as_str() {
            "&&" | "&" | "and" | "∧" => Infix::And,
            "||" | "|" | "or" | "∨" => Infix::Or,
            "=<" | "≤" => Infix::Binary(Operator::LessEqual),
            "=>" | "≥" => Infix::Binary(Operator::GreaterEqual),
            "<>" | "≠" | "~=" | "!==" => Infix::Binary(Operator::NotEqual),
            "=~" | "~" | "!~" | "matches" => Infix::Binary(Operator::Matches),
            "∈" | "in" => Infix::Binary(Operator::In),
            "not in" => Infix::Binary(Operator::NotIn),
            "under" => Infix::Binary(Operator::Under),
            "like" => Infix::Binary(Operator::Like),
            "contains" => Infix::Binary(Operator::Contains),
            _ => Infix::Binary(Operator::Equal),
        };
        match (found, infix) {
            ("=", _) => self.complain(
                Code::E0102,
                span,
                "`=` in a condition",
                "`=` gives a name its value",
                "write `==` to compare",
            ),
            ("!~", _) => self.foreign(Code::E0102, span, found, "not (… matches …)"),
            (_, Infix::And) => self.foreign(Code::E0102, span, found, "and"),
            (_, Infix::Or) => self.foreign(Code::E0102, span, found, "or"),
            (_, Infix::Binary(operator)) => {
                self.foreign(Code::E0102, span, found, operator.as_str());
            }
        }
        infix
    }

    pub(super) fn foreign_arrow(&mut self, span: Span, found: &str) {
        if found == ":" {
            self.complain(
                Code::E0102,
                span,
                "`:` behind a condition",
                "expected `->`",
                "write `->` in front of the tier",
            );
        } else {
            let words: Vec<&str> = found.split_whitespace().collect();
            self.foreign(Code::E0102, span, &words.join(" "), "->");
        }
    }

    /// `import "sets.edict"`
    pub(super) fn foreign_include(&mut self, word: &mut Name) {
        if INCLUDES.contains(&word.text.as_str()) {
            self.foreign(Code::E0112, word.span(), &word.text, "include");
            word.text = "include".to_owned();
        }
    }

    /// `tier: critical`: a block begun like a field.
    pub(super) fn foreign_block(
        &mut self,
        name: &Name,
        assign: &Pair<'_, Rule>,
        value: &Expr,
    ) -> bool {
        let is_block = !matches!(name.text.as_str(), "language" | "include" | "const" | "set");
        let Kind::Name(title) = &value.kind else {
            return false;
        };
        if assign.as_rule() != Rule::foreign_colon
            || !is_block
            || !scan::TOP.contains(&name.text.as_str())
        {
            return false;
        }
        let whole = name.span().to(value.span());
        self.diagnostics.push(
            Diagnostic::new(
                Code::E0112,
                format!("`:` between `{}` and its name", name.text),
            )
            .label(whole, "a block without braces")
            .help(format!("write `{} {} {{ … }}`", name.text, shown(title))),
        );
        true
    }

    pub(super) fn assign(&mut self, pair: &Pair<'_, Rule>) {
        let found = pair.clone().into_inner().next();
        let foreign = pair.as_rule() == Rule::foreign_colon
            || found.is_some_and(|found| found.as_rule() == Rule::foreign_double_assign);
        if foreign {
            let span = self.span(pair);
            let found = pair.as_str();
            self.complain(
                Code::E0112,
                span,
                &format!("`{found}` between a name and its value"),
                "",
                "write `=`",
            );
        }
    }
}
