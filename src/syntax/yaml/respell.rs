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
        Statement::Block(block) => return whole_block(block),
        Statement::Expect(_) => return None,
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

/// A block with what is in it, in brackets.
fn whole_block(block: &Block) -> Option<String> {
    let ast = Ast {
        statements: vec![Statement::Block(block.clone())],
        place: Place(Span::default()),
    };
    let yaml = print(&ast, &[]).ok()?;
    let mut lines = yaml.lines();
    let head = lines.next()?;
    let mut inner: Vec<&str> = lines.map(str::trim).collect();
    // A list item of one line, or the keys of one mapping; what is deeper would
    // need brackets of its own.
    let name = match (block.word.text.as_str(), block.titles.as_slice()) {
        ("rules", []) => match inner.as_slice() {
            [one] => return Some(format!("{head} [{{ {} }}]", one.strip_prefix("- ")?)),
            _ => return None,
        },
        ("policy" | "lottery", _) => None,
        ("tier" | "model", [_]) if !inner.is_empty() => Some(inner.remove(0)),
        _ => return None,
    };
    let is_deeper = |line: &&str| line.starts_with("- ") || line.ends_with([':', '-']);
    if inner.iter().any(is_deeper) {
        return None;
    }
    let fields = inner.join(", ");
    Some(match name {
        Some(name) if inner.is_empty() => format!("{head} {{ {name} }}"),
        Some(name) => format!("{head} {{ {name} {{ {fields} }} }}"),
        None => format!("{head} {{ {fields} }}"),
    })
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
            (
                "add `rules { otherwise -> T }`",
                "add `rules: [{ otherwise: T }]`",
            ),
            ("add `tier regular { }`", "add `tier: { regular: {} }`"),
            (
                "add `policy NAME { version = \"1.0.0\" }`",
                "add `policy: { name: NAME, version: \"1.0.0\" }`",
            ),
            (
                "add `tier a { slice = 5ms   tickets = 5 }`",
                "add `tier: { a: { slice: 5ms, tickets: 5 } }`",
            ),
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
