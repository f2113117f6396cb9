//! The keys of the YAML form.

use super::node::{Content, Node};
use super::{Lower, MOST_DIAGNOSTICS};
use crate::diag::{Code, Diagnostic, Span, shown};

/// What stands below a key at the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// `language: 1`
    Language,
    /// A path, or a list of paths.
    Include,
    /// Names and values.
    Constants,
    /// Names and lists.
    Sets,
    /// `policy`: a block whose name is the value of `name`.
    Policy,
    /// Names and blocks.
    Named,
    /// One block.
    Block,
    /// A list of rules.
    Rules,
    /// Names and lists of rules.
    Groups,
    /// A block with a list of rules in it.
    Balance,
    /// A list of tests.
    Tests,
    /// `tier`, then names and blocks.
    Override,
}

pub(super) const SECTIONS: [(&str, Section); 15] = [
    ("language", Section::Language),
    ("policy", Section::Policy),
    ("include", Section::Include),
    ("const", Section::Constants),
    ("set", Section::Sets),
    ("tier", Section::Named),
    ("override", Section::Override),
    ("model", Section::Named),
    ("groups", Section::Groups),
    ("rules", Section::Rules),
    ("lottery", Section::Block),
    ("balance", Section::Balance),
    ("learn", Section::Block),
    ("reward", Section::Block),
    ("test", Section::Tests),
];

/// The keys at the top, in the order in which a policy is usually written.
pub const TOP: [&str; 15] = {
    let mut out = [""; 15];
    let mut index = 0;
    while index < out.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            out[index] = SECTIONS[index].0;
        }
        index += 1;
    }
    out
};

/// Fields that take a text, with their blocks: a value without quotes is a text.
pub const TEXT_FIELDS: [(&str, &str); 6] = [
    ("policy", "version"),
    ("policy", "kernel"),
    ("tier", "cpus"),
    ("model", "file"),
    ("model", "sha256"),
    ("reward", "script"),
];

/// Names that people give to the keys at the top.
const ALIASES: [(&str, &str); 14] = [
    ("tiers", "tier"),
    ("class", "tier"),
    ("layer", "tier"),
    ("consts", "const"),
    ("constants", "const"),
    ("sets", "set"),
    ("models", "model"),
    ("tests", "test"),
    ("rule", "rules"),
    ("group", "groups"),
    ("includes", "include"),
    ("import", "include"),
    ("overrides", "override"),
    ("version", "language"),
];

/// A key and its value.
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) span: Span,
    pub(super) value: &'a Node,
}

impl Lower<'_> {
    /// The keys of a mapping, each once. `what` is what the mapping is.
    pub(super) fn entries<'a>(&mut self, node: &'a Node, what: &str) -> Vec<Entry<'a>> {
        let pairs = match &node.content {
            Content::Mapping(pairs) => pairs,
            _ => {
                self.shape(node, what, "a mapping");
                return Vec::new();
            }
        };
        let mut out: Vec<Entry<'a>> = Vec::with_capacity(pairs.len());
        let mut seen = std::collections::HashMap::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Content::Scalar(text, _) = &key.content else {
                let found = key.content.phrase();
                let span = self.first(key.span);
                self.refuse(
                    Diagnostic::new(Code::E0127, format!("a key is a word, not {found}"))
                        .label(span, found)
                        .help("write a word and a `:`; a value with brackets stands in quotes"),
                );
                continue;
            };
            if text == "<<" {
                self.refuse(
                    Diagnostic::new(Code::E0123, "a merge key")
                        .label(key.span, "a policy has no merge keys")
                        .help("write the keys out, or change a tier of an included file with `override`"),
                );
                continue;
            }
            if let Some(first) = seen.insert(text.as_str(), key.span) {
                self.refuse(
                    Diagnostic::new(
                        Code::E0121,
                        format!("the key `{}` is given twice", shown(text)),
                    )
                    .label(key.span, "again")
                    .label(first, "first here")
                    .help("keep one of the two; what belongs to one key stands below it once"),
                );
                continue;
            }
            out.push(Entry {
                key: text,
                span: key.span,
                value,
            });
        }
        out
    }

    /// Complains of a key that is not there, with what was probably meant.
    pub(super) fn unknown(&mut self, entry: &Entry<'_>, place: &str, known: &[&str]) {
        let alias = ALIASES
            .iter()
            .find(|(alias, key)| *alias == entry.key && known.contains(key))
            .map(|(_, key)| *key);
        let near = || {
            let distance = |known: &&&str| strsim::osa_distance(known, entry.key);
            let close = known.iter().min_by_key(distance)?;
            (entry.key.len() < 32 && distance(&close) <= 2.min(close.len() / 2)).then_some(*close)
        };
        // Nobody is shown more, and what was meant takes a while to find.
        let is_shown = self.diagnostics.len() <= MOST_DIAGNOSTICS;
        let meant = alias.or_else(|| if is_shown { near() } else { None });
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
                format!("the keys here are {}", known.join(" "))
            }
        };
        self.refuse(
            Diagnostic::new(
                Code::E0120,
                format!("unknown key `{}` in {place}", shown(entry.key)),
            )
            .label(entry.span, "no such key")
            .help(help),
        );
    }

    /// The items of a list.
    pub(super) fn items<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Node] {
        match &node.content {
            Content::Sequence(items) => items,
            _ => {
                self.shape(node, what, "a list");
                &[]
            }
        }
    }
}
