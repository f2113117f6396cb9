//! Says in words where the grammar stopped and what it would have taken.

use pest::error::{ErrorVariant, InputLocation};

use super::{Builder, Rule};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::scan;

/// Spellings of operators that people try, and what they mean.
const OPERATORS: [(&[&str], &str); 9] = [
    (
        &[
            "startswith",
            "starts_with",
            "startsWith",
            "beginswith",
            "begins",
            "prefix",
        ],
        "starts with",
    ),
    (
        &["endswith", "ends_with", "endsWith", "suffix"],
        "ends with",
    ),
    (&["is", "equals", "eq", "equal"], "=="),
    (&["isnt", "ne", "neq"], "!="),
    (&["isin", "within", "of", "one"], "in"),
    (&["below", "inside", "beneath"], "under"),
    (&["has", "includes", "include"], "contains"),
    (&["match", "regex", "regexp", "rlike", "re"], "matches"),
    (&["glob", "ilike", "fnmatch"], "like"),
];

/// The words that cannot be names, as in the grammar.
pub const RESERVED: [&str; 14] = [
    "when",
    "otherwise",
    "and",
    "or",
    "not",
    "in",
    "under",
    "starts",
    "like",
    "matches",
    "contains",
    "ends",
    "true",
    "false",
];

impl Builder<'_> {
    /// What pest found, in words.
    pub(super) fn unexpected(&self, error: &pest::error::Error<Rule>) -> Diagnostic {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
        };
        let at = self.base + at;
        let rest = self.text.get(at..).unwrap_or("");
        let found = token(rest);
        let span = Span::new(self.file, at, at + found.len());
        let mut wanted: Vec<&str> = Vec::new();
        if let ErrorVariant::ParsingError { positives, .. } = &error.variant {
            for shape in positives {
                let name = described(*shape);
                if !name.is_empty() && !wanted.contains(&name) {
                    wanted.push(name);
                }
            }
        }
        let wanted = match wanted.split_last() {
            None => String::new(),
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
        };
        let what = if rest.is_empty() {
            "the end of the file".to_owned()
        } else {
            format!("`{}`", shown(found))
        };
        let label = if wanted.is_empty() {
            String::new()
        } else {
            format!("expected {wanted}")
        };
        let help = self.suggestion(at, found, &wanted);
        Diagnostic::new(Code::E0101, format!("unexpected {what}"))
            .label(span, label)
            .maybe_help(help)
    }

    /// What was probably meant by a word that has no place here.
    fn suggestion(&self, at: usize, found: &str, wanted: &str) -> Option<String> {
        let before = self.text.get(..at).unwrap_or("");
        let first = before
            .rsplit(['\n', ':', '{', '}'])
            .next()
            .and_then(|statement| statement.split_whitespace().next())
            .unwrap_or(found);
        if RESERVED.contains(&found) && wanted.contains("a name") {
            if matches!(found, "when" | "otherwise") && !scan::TOP.contains(&first) {
                return Some("a label ends with `:`".to_owned());
            }
            return Some(format!(
                "`{found}` is a word of the language; choose another name"
            ));
        }
        if let Some(help) = self.foreign_shape(at, found, wanted, first) {
            return Some(help);
        }
        if wanted.contains("operator") {
            if found == "is"
                && self
                    .text
                    .get(at..)
                    .is_some_and(|rest| rest.starts_with("is not "))
            {
                return Some("did you mean `!=`?".to_owned());
            }
            let spelled = OPERATORS
                .iter()
                .find(|(words, _)| words.contains(&found))
                .map(|(_, operator)| *operator);
            let near = || {
                ["and", "or", "in", "under", "like", "matches", "contains"]
                    .into_iter()
                    .find(|word| {
                        found.len() > 1
                            && found.len() < 16
                            && strsim::osa_distance(word, found) == 1
                    })
            };
            if let Some(operator) = spelled.or_else(near) {
                return Some(format!("did you mean `{operator}`?"));
            }
        }
        // A misspelt `when` looks like the start of something else until what
        // follows does not fit.
        ["when", "otherwise"]
            .into_iter()
            .find(|word| {
                *word != first
                    && first.len() < 16
                    && strsim::osa_distance(word, first) <= word.len() / 4
            })
            .map(|word| format!("did you mean `{word}` by `{}`?", shown(first)))
    }
}

impl Builder<'_> {
    /// What to write for a statement that has the shape of another language.
    fn foreign_shape(&self, at: usize, found: &str, wanted: &str, first: &str) -> Option<String> {
        let (before, rest) = self.text.split_at_checked(at)?;
        let line = before.rsplit('\n').next().unwrap_or("");
        let line_word = |word: &str| line.split_whitespace().next() == Some(word);
        let after = rest.strip_prefix(found).unwrap_or("");
        let is_last = after
            .trim_start_matches([' ', '\t', '\r'])
            .starts_with(['\n', '#', '}']);
        let help = if line_word("match")
            || line_word("switch")
            || line_word("select")
            || line_word("case")
        {
            "write a rule for each case: `when comm == \"x\" -> tier`"
        } else if found == "between" && wanted.contains("operator") {
            "write two comparisons with `and` between them: `nice >= 1 and nice <= 5`"
        } else if line.trim().is_empty() && (rest.starts_with("- ") || rest.starts_with("---\n")) {
            "this is how YAML is written; edict reads that from a file `policy.yaml`"
        } else if line.trim().is_empty() && (rest.starts_with("--") || rest.starts_with("<!--")) {
            "start a comment with `#`"
        } else if found == ":" && matches!(first, "const" | "set") {
            "a name has no type of its own; write `=` and the value behind it"
        } else if found == ":" && wanted.contains("`{`") && scan::TOP.contains(&first) {
            return Some(format!(
                "put what belongs to `{}` into `{{ … }}`",
                shown(line.trim())
            ));
        } else if found == "," && wanted.contains("`)`") && line.contains(" in (") {
            "a set stands in braces: `in { …, … }`"
        } else if line.trim_start().starts_with("set ") && !line.contains('=') {
            "write `=` between the name of the set and its members"
        } else if wanted.contains("`->`")
            && wanted.contains("operator")
            && is_last
            && is_name(found)
            && !RESERVED.contains(&found)
        {
            return Some(format!("write `-> {}`", shown(found)));
        } else {
            return None;
        };
        Some(help.to_owned())
    }
}

fn is_name(found: &str) -> bool {
    found.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// The token that a text begins with, to print.
fn token(rest: &str) -> &str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut chars = rest.chars();
    let Some(first) = chars.next() else {
        return "";
    };
    let length = if is_word(first) {
        rest.find(|c: char| !is_word(c)).unwrap_or(rest.len())
    } else if first == '"' {
        let body = chars.as_str();
        body.find(['"', '\n']).map_or(rest.len(), |at| at + 2)
    } else if rest.starts_with("->") {
        2
    } else {
        first.len_utf8()
    };
    rest.get(..length.min(rest.len())).unwrap_or(rest)
}

/// What a rule of the grammar is called in messages; empty for what is better
/// not suggested.
fn described(shape: Rule) -> &'static str {
    match shape {
        Rule::EOI
        | Rule::statement
        | Rule::rule
        | Rule::block
        | Rule::definition
        | Rule::definer
        | Rule::field
        | Rule::directive
        | Rule::use_statement
        | Rule::expect_statement => "a statement",
        Rule::word | Rule::name | Rule::title | Rule::text_title | Rule::target => "a name",
        Rule::expression
        | Rule::prefix
        | Rule::group
        | Rule::set
        | Rule::list
        | Rule::call
        | Rule::call_head
        | Rule::text
        | Rule::number
        | Rule::boolean
        | Rule::not
        | Rule::minus => "a value",
        Rule::infix
        | Rule::and
        | Rule::or
        | Rule::not_in
        | Rule::r#in
        | Rule::under
        | Rule::starts_with
        | Rule::like
        | Rule::matches
        | Rule::contains
        | Rule::ends_with
        | Rule::less_equal
        | Rule::greater_equal
        | Rule::less
        | Rule::greater
        | Rule::equal
        | Rule::not_equal
        | Rule::dots
        | Rule::plus
        | Rule::times
        | Rule::divide => "an operator",
        Rule::open => "`{`",
        Rule::close => "`}`",
        Rule::close_group => "`)`",
        Rule::close_list => "`]`",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::arrow | Rule::plain_arrow => "`->`",
        Rule::assign | Rule::plain_assign => "`=`",
        Rule::when_word => "`when`",
        Rule::otherwise_word => "`otherwise`",
        Rule::for_word => "`for`",
        Rule::within_word => "`within`",
        _ => "",
    }
}
