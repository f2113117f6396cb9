//! Blocks: fields, and blocks in them.

use super::Lower;
use super::keys::{Entry, TEXT_FIELDS};
use super::node::{Content, Node};
use super::sections::block;
use crate::syntax::ast::{Expr, Field, Place, Statement};

impl Lower<'_> {
    /// What stands below a key; nothing is an empty block.
    pub(super) fn body(&mut self, node: &Node, word: &str) -> Vec<Statement> {
        if matches!(node.content, Content::Empty) {
            return Vec::new();
        }
        let what = format!("`{}`", crate::diag::shown(word));
        let entries = self.entries(node, &what);
        entries
            .iter()
            .filter_map(|entry| self.field(entry, word))
            .collect()
    }

    /// A field, or a block without a name.
    pub(super) fn field(&mut self, entry: &Entry<'_>, word: &str) -> Option<Statement> {
        if let Content::Mapping(_) = entry.value.content {
            let name = self.key_name(entry, "a block")?;
            let statements = self.body(entry.value, &name.text);
            return Some(block(&name.text, entry, Vec::new(), statements));
        }
        let value = if TEXT_FIELDS.contains(&(word, entry.key)) {
            let what = format!("`{}`", entry.key);
            self.text(entry.value, &what)
        } else {
            self.value(entry.value, entry.key)
        };
        self.assigned(entry, value?)
    }

    /// A field whose value is known.
    pub(super) fn assigned(&mut self, entry: &Entry<'_>, value: Expr) -> Option<Statement> {
        let name = self.key_name(entry, "a field")?;
        Some(Statement::Field(Field {
            name,
            place: Place(entry.span.to(value.span())),
            value,
        }))
    }
}
