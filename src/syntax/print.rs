//! Writes a tree as text, in one style. What [`parse`](super::parse) makes of the
//! text is the same tree.
//!
//! Comments and the author's line breaks are not in the tree, so they are not in
//! the text.

use std::fmt::{self, Write};

use super::ast::{Ast, Block, Expr, Kind, Operator, Rule, Statement, Title};
use super::scan::{commands, turns};

/// The text of a tree.
pub fn print(ast: &Ast) -> String {
    let mut out = String::new();
    for (index, statement) in ast.statements.iter().enumerate() {
        if index > 0 && matches!(statement, Statement::Block(_)) {
            out.push('\n');
        }
        // Writing to a string does not fail.
        let _ = write_statement(&mut out, statement, 0);
    }
    out
}

/// The text of an expression.
pub fn print_expression(expr: &Expr) -> String {
    let mut out = String::new();
    let _ = write_expr(&mut out, expr);
    out
}

fn write_statement(out: &mut String, statement: &Statement, depth: usize) -> fmt::Result {
    indent(out, depth);
    match statement {
        Statement::Block(block) => return write_block(out, block, depth),
        Statement::Rule(rule) => write_rule(out, rule)?,
        Statement::Definition(definition) => {
            let (word, name) = (&definition.word.text, &definition.name.text);
            write!(out, "{word} {name} = ")?;
            write_expr(out, &definition.value)?;
        }
        Statement::Field(field) => {
            write!(out, "{} = ", field.name.text)?;
            write_expr(out, &field.value)?;
        }
        Statement::Directive(directive) => {
            write!(out, "{} ", directive.word.text)?;
            write_expr(out, &directive.value)?;
        }
        Statement::Use(named) => write!(out, "use {}", named.name.text)?,
        Statement::Expect(expect) => {
            write!(out, "expect {}", expect.tier.text)?;
            if let Some(by) = &expect.by {
                write!(out, " by {}", by.text)?;
            }
        }
    }
    out.push('\n');
    Ok(())
}

fn write_block(out: &mut String, block: &Block, depth: usize) -> fmt::Result {
    out.push_str(&block.word.text);
    for title in &block.titles {
        out.push(' ');
        match title {
            Title::Name(name) => out.push_str(&name.text),
            Title::Text(text, _) => write_text(out, text)?,
        }
    }
    if block.statements.is_empty() {
        out.push_str(" { }\n");
        return Ok(());
    }
    out.push_str(" {\n");
    for statement in &block.statements {
        write_statement(out, statement, depth + 1)?;
    }
    indent(out, depth);
    out.push_str("}\n");
    Ok(())
}

fn write_rule(out: &mut String, rule: &Rule) -> fmt::Result {
    if let Some(label) = &rule.label {
        write!(out, "{}: ", label.text)?;
    }
    match &rule.when {
        Some(when) => {
            out.push_str("when ");
            write_expr(out, when)?;
        }
        None => out.push_str("otherwise"),
    }
    if let Some(hold) = &rule.hold {
        out.push_str(" for ");
        write_expr(out, hold)?;
    }
    write!(out, " -> {}", rule.target.text)?;
    if let Some(within) = &rule.within {
        write!(out, " within {}", within.text)?;
    }
    Ok(())
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// Recursion follows the tree, whose depth the parser bounds.
fn write_expr(out: &mut String, expr: &Expr) -> fmt::Result {
    match &expr.kind {
        Kind::Text(text) => write_text(out, text),
        Kind::Number { value, unit } => {
            write!(out, "{value}{}", unit.as_deref().unwrap_or_default())
        }
        Kind::Truth(truth) => write!(out, "{truth}"),
        Kind::Name(name) => out.write_str(name),
        Kind::Call(name, arguments) => {
            write!(out, "{name}(")?;
            join(out, arguments, ", ")?;
            out.write_str(")")
        }
        Kind::Set(members) if members.is_empty() => out.write_str("{ }"),
        Kind::Set(members) => {
            out.push_str("{ ");
            join(out, members, ", ")?;
            out.write_str(" }")
        }
        Kind::List(members) => {
            out.push('[');
            join(out, members, ", ")?;
            out.write_str("]")
        }
        Kind::Group(inner) => {
            out.push('(');
            write_expr(out, inner)?;
            out.write_str(")")
        }
        Kind::Not(inner) => {
            out.push_str("not ");
            write_expr(out, inner)
        }
        Kind::Negative(inner) => {
            out.push('-');
            write_expr(out, inner)
        }
        Kind::All(members) => join(out, members, " and "),
        Kind::Any(members) => join(out, members, " or "),
        Kind::Binary(operator, _, left, right) => {
            write_expr(out, left)?;
            out.push_str(&between(*operator, left, right));
            write_expr(out, right)
        }
    }
}

/// An operator with the blanks around it: none in a range of simple values.
pub(super) fn between(operator: Operator, left: &Expr, right: &Expr) -> String {
    let simple = |expr: &Expr| !matches!(expr.kind, Kind::Binary(..) | Kind::Not(_));
    match operator {
        Operator::Range if simple(left) && simple(right) => "..".to_owned(),
        _ => format!(" {} ", operator.as_str()),
    }
}

fn join(out: &mut String, members: &[Expr], between: &str) -> fmt::Result {
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        write_expr(out, member)?;
    }
    Ok(())
}

/// A text as it is written, in double quotes.
pub fn print_text(text: &str) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, text);
    out
}

fn write_text(out: &mut String, text: &str) -> fmt::Result {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if commands(c) || turns(c) => write!(out, "\\u{{{:x}}}", u32::from(c))?,
            c => out.push(c),
        }
    }
    out.write_str("\"")
}
