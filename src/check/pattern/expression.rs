//! Regular expressions as they are written in a policy: what is wrong with one,
//! and what is made of it before anything matches by it.

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

/// The expression as everything that matches reads it, or what is wrong with it.
///
/// Boundaries of words are those of ASCII: `\b` is written `(?-u:\b)`. Where a
/// word of other letters ends cannot be told by an automaton of bounded size.
pub(in crate::check) fn sound(regex: &str) -> Result<String, Flaw> {
    let tree = ast::parse::ParserBuilder::new()
        .nest_limit(MOST_NESTED)
        .build()
        .parse(regex)
        .map_err(|error| unparsed(&error))?;
    let boundaries = ast::visit(&tree, Boundaries(Vec::new())).unwrap_or_default();
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
    // Only these can go wrong behind the syntax, and looking takes a while.
    let odd = [
        "\\p", "\\P", "\\x", "\\u", "\\U", "(?", "[:", "&&", "--", "~~",
    ];
    if !odd.iter().any(|odd| regex.contains(odd)) {
        return Ok(out);
    }
    let Err(error) = parse(&out) else {
        return Ok(out);
    };
    let (mut start, mut end, mut what) = (0, regex.len(), error.to_string());
    if let regex_syntax::Error::Translate(error) = *error {
        what = error.kind().to_string();
        if out == regex {
            (start, end) = (error.span().start.offset, error.span().end.offset);
        }
    }
    Err(Flaw {
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
