//! Regular expressions as they are written in a policy: what is wrong with one,
//! and what is made of it before anything matches by it.

use std::borrow::Cow;
use std::fmt::Write as _;

use regex_syntax::ast::{self, Ast, Visitor};

use super::automaton::{MOST_NESTED, parse};

/// What is wrong with a regular expression, from which byte to which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::check) struct Flaw {
    pub(in crate::check) start: usize,
    pub(in crate::check) end: usize,
    pub(in crate::check) what: String,
    pub(in crate::check) cure: Option<&'static str>,
}

/// The syntax of an expression.
fn syntax(regex: &str) -> Result<Ast, Box<ast::Error>> {
    ast::parse::ParserBuilder::new()
        .nest_limit(MOST_NESTED)
        .build()
        .parse(regex)
        .map_err(Box::new)
}

/// A regular expression of a policy as everything that matches reads it.
///
/// Boundaries of words are those of ASCII: `\b` means `(?-u:\b)`. Where a word of
/// other letters ends cannot be told by an automaton of bounded size. The policy
/// keeps what its author wrote, so that people read that.
pub fn exact(regex: &str) -> Cow<'_, str> {
    // Every boundary begins so; most expressions have none.
    if !regex.contains("\\b")
        && !regex.contains("\\B")
        && !regex.contains("\\<")
        && !regex.contains("\\>")
    {
        return Cow::Borrowed(regex);
    }
    syntax(regex).map_or(Cow::Borrowed(regex), |tree| bounded(regex, &tree))
}

fn bounded<'a>(regex: &'a str, tree: &Ast) -> Cow<'a, str> {
    let boundaries = ast::visit(tree, Boundaries(Vec::new())).unwrap_or_default();
    if boundaries.is_empty() {
        return Cow::Borrowed(regex);
    }
    let mut out = String::new();
    let mut at = 0;
    for (start, end) in boundaries {
        let (between, boundary) = (regex.get(at..start), regex.get(start..end));
        let _ = write!(
            out,
            "{}(?-u:{})",
            between.unwrap_or(""),
            boundary.unwrap_or("")
        );
        at = end;
    }
    out.push_str(regex.get(at..).unwrap_or(""));
    Cow::Owned(out)
}

/// What is wrong with a regular expression.
pub(in crate::check) fn flaw(regex: &str) -> Option<Flaw> {
    let tree = match syntax(regex) {
        Ok(tree) => tree,
        Err(error) => return Some(unparsed(&error)),
    };
    // Only these can go wrong behind the syntax, and looking takes a while.
    let odd = [
        "\\p", "\\P", "\\x", "\\u", "\\U", "(?", "[:", "&&", "--", "~~",
    ];
    if !odd.iter().any(|odd| regex.contains(odd)) {
        return None;
    }
    let exact = bounded(regex, &tree);
    let error = parse(&exact).err()?;
    let (mut start, mut end, mut what) = (0, regex.len(), error.to_string());
    if let regex_syntax::Error::Translate(error) = *error {
        what = error.kind().to_string();
        if exact == regex {
            (start, end) = (error.span().start.offset, error.span().end.offset);
        }
    }
    Some(Flaw {
        start,
        end,
        what: lower(&what),
        cure: None,
    })
}

fn unparsed(error: &ast::Error) -> Flaw {
    use ast::ErrorKind::{
        GroupUnclosed, GroupUnopened, RepetitionMissing, UnsupportedBackreference,
        UnsupportedLookAround,
    };
    let cure = match error.kind() {
        UnsupportedLookAround => Some(
            "a match takes time in proportion to the text, which look-around cannot promise; \
             write two comparisons, the second with `not`",
        ),
        UnsupportedBackreference => Some(
            "a match takes time in proportion to the text, which back-references cannot \
             promise; write out what may be repeated",
        ),
        RepetitionMissing => Some(
            "a regular expression repeats what stands before; `like` has globs, in which `*` \
             alone is any text",
        ),
        GroupUnclosed | GroupUnopened => Some("the character itself is written `\\\\(` or `\\\\)`"),
        _ => None,
    };
    Flaw {
        start: error.span().start.offset,
        end: error.span().end.offset,
        what: lower(&error.kind().to_string()),
        cure,
    }
}

/// The messages of the library, on one line.
fn lower(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where boundaries of words stand.
struct Boundaries(Vec<(usize, usize)>);

impl Visitor for Boundaries {
    type Output = Vec<(usize, usize)>;
    type Err = ();

    fn finish(self) -> Result<Self::Output, ()> {
        Ok(self.0)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), ()> {
        use ast::AssertionKind::{EndLine, EndText, StartLine, StartText};
        if let Ast::Assertion(assertion) = ast
            && !matches!(assertion.kind, StartLine | EndLine | StartText | EndText)
        {
            let span = assertion.span;
            self.0.push((span.start.offset, span.end.offset));
        }
        Ok(())
    }
}
