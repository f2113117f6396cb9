//! Cures in the spelling of the YAML form.
//!
//! The checker says how things are written in the block form. For a YAML file the
//! same cure is spelled differently: "write `slice: 5ms`", not "write `slice =
//! 5ms`".

use super::print;
use crate::diag::{FileId, Span};
use crate::syntax::ast::{Ast, Block, Name, Place, Statement};
use crate::syntax::native;

/// A help text with each piece in backticks that is a statement of the block form
/// spelled as YAML.
pub fn respell(help: &str) -> String {
    let mut out = String::with_capacity(help.len());
    for (index, piece) in help.split('`').enumerate() {
        if index > 0 {
            out.push('`');
        }
        let spelled = match index % 2 {
            1 => block(piece).or_else(|| statement(piece)),
            _ => None,
        };
        out.push_str(spelled.as_deref().unwrap_or(piece));
    }
    out
}

/// A block whose inside is left to the reader.
fn block(text: &str) -> Option<String> {
    let head = text.strip_suffix("{ … }")?.trim_end();
    let words: Vec<&str> = head.split(' ').collect();
    Some(match words.as_slice() {
        ["set", name, "="] => format!("set: {{ {name}: [ … ] }}"),
        ["rules", name] => format!("groups: {{ {name}: [ … ] }}"),
        ["policy", name] => format!("policy: {{ name: {name} }}"),
        ["override", kind, name] => format!("override: {{ {kind}: {{ {name}: {{ … }} }} }}"),
        [word, name] => format!("{word}: {{ {name}: {{ … }} }}"),
        [word] => format!("{word}:"),
        _ => return None,
    })
}

/// Stands for an ellipsis while a cure is parsed.
const BLANK: &str = "X__X";

/// One statement as YAML on one line.
fn statement(text: &str) -> Option<String> {
    // What stands for something else is no word of the language, but its shape is.
    let whole = text.replace('…', BLANK);
    let parsed = native::parse(FileId(0), &whole);
    if !parsed.diagnostics.is_empty() {
        return None;
    }
    let statements = parsed.ast?.statements;
    let [one] = statements.as_slice() else {
        return None;
    };
    let inner = |word: &str| {
        let place = Place(Span::default());
        Statement::Block(Block {
            word: Name {
                text: word.to_owned(),
                place,
            },
            titles: Vec::new(),
            statements: vec![one.clone()],
            place,
        })
    };
    let (holder, skip) = match one {
        Statement::Field(_) => (inner("lottery"), "lottery:\n  "),
        Statement::Rule(_) | Statement::Use(_) => (inner("rules"), "rules:\n  "),
        Statement::Directive(_) => (one.clone(), ""),
        Statement::Definition(_) => (one.clone(), ""),
        _ => return None,
    };
    let ast = Ast {
        statements: vec![holder],
        place: Place(Span::default()),
    };
    let yaml = print(&ast, &[]).ok()?;
    let yaml = yaml.strip_prefix(skip)?.trim_end();
    let lines: Vec<&str> = yaml.lines().map(str::trim).collect();
    match lines.as_slice() {
        [one] => Some(one.replace(BLANK, "…")),
        [first, second] if first.ends_with(':') => {
            Some(format!("{first} {{ {second} }}").replace(BLANK, "…"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cures_are_spelled_as_yaml() {
        for (native, yaml) in [
            ("write `slice = 5ms`", "write `slice: 5ms`"),
            ("write `language 1` first", "write `language: 1` first"),
            (
                "end with `otherwise -> TIER`",
                "end with `- otherwise: TIER`",
            ),
            ("add `cpus = \"0-3,8\"`", "add `cpus: \"0-3,8\"`"),
            ("write `preempt = [a, b]`", "write `preempt: [a, b]`"),
            ("write `use web`", "write `- use: web`"),
            ("write `const a = 3ms`", "write `const: { a: 3ms }`"),
            ("write `rules { … }`", "write `rules:`"),
            ("write `rules web { … }`", "write `groups: { web: [ … ] }`"),
            ("write `tier X { … }`", "write `tier: { X: { … } }`"),
            ("write `set x = { … }`", "write `set: { x: [ … ] }`"),
        ] {
            assert_eq!(respell(native), yaml);
        }
    }

    #[test]
    fn other_pieces_stay() {
        for help in [
            "write `3ms`",
            "did you mean `nice`?",
            "write `comm != \"x\"`",
            "write `not (a == b)`",
            "an odd ` in it",
            "",
        ] {
            assert_eq!(respell(help), help);
        }
    }
}
