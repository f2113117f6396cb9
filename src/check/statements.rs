//! Takes the statements of one file apart.

use super::LANGUAGE;
use super::checker::Checker;
use super::schema;
use super::sink::meant;
use super::titles::{block_as_value, first_word, unknown_block};
use crate::diag::{Code, Diagnostic, Span, shown};
use crate::syntax::Ast;
use crate::syntax::ast::{Block, Definition, Directive, Kind, Statement};

impl<'a> Checker<'a> {
    /// The statements of one file. An included file defines what others use; how
    /// tasks are sorted is said in the policy itself.
    pub(super) fn file(&mut self, ast: &'a Ast, root: bool) {
        let declared = |statement: &Statement| matches!(statement, Statement::Directive(d) if d.word.text == "language");
        if root && !ast.statements.iter().any(declared) {
            let at = ast.statements.first().map(first_word);
            let at = at.unwrap_or_else(|| Span::new(ast.file(), 0, 0));
            self.no_language = Some(
                Diagnostic::new(Code::E0215, "the policy does not name its language")
                    .label(at, "expected `language 1` before this")
                    .help(format!("start the file with `language {LANGUAGE}`")),
            );
        }
        let mut language = None;
        for (index, statement) in ast.statements.iter().enumerate() {
            match statement {
                Statement::Definition(definition) => self.definition(definition, root),
                Statement::Directive(directive) if directive.word.text == "language" => {
                    self.language(directive, index == 0, language);
                    language = language.or(Some(directive.place.0));
                }
                Statement::Directive(directive) => self.directive(directive),
                Statement::Block(block) => self.block(block, root),
                Statement::Use(_) => self.misplaced(
                    statement,
                    "`use` outside of `rules`",
                    "put it into `rules { … }`, where the group's rules are to stand",
                ),
                Statement::Field(_) => self.misplaced(
                    statement,
                    "a field outside of a block",
                    "put it into `tier NAME { … }`, or write `const` in front of it",
                ),
                Statement::Rule(_) => {
                    self.is_policy |= root;
                    self.misplaced(
                        statement,
                        "a rule outside of `rules`",
                        "put it into `rules { … }`",
                    );
                }
                Statement::Expect(_) => self.misplaced(
                    statement,
                    "`expect` outside of a test",
                    "put it into `test \"…\" { … }`",
                ),
            }
        }
    }

    fn block(&mut self, block: &'a Block, root: bool) {
        let word = block.word.text.as_str();
        if word == "override" {
            self.overrides.push(block);
            return;
        }
        let Some(kind) = schema::block(word) else {
            self.is_policy |= root;
            self.sink.push(unknown_block(block));
            return;
        };
        let is_group = word == "rules" && !block.titles.is_empty();
        if is_group {
            self.groups.push(block);
            return;
        }
        if !root && (!kind.included || word == "rules") {
            let help = match word {
                "rules" => {
                    "give the rules a name, `rules NAME { … }`, and place them in the policy with `use NAME`"
                }
                _ => "move it to the policy",
            };
            self.sink.push(
                Diagnostic::new(Code::E0220, format!("`{word}` in an included file"))
                    .label(block.head(), "stands in the policy itself")
                    .help(help),
            );
            return;
        }
        self.is_policy |= root && (!kind.included || word == "rules");
        self.blocks.entry(kind.word).or_default().push(block);
    }

    fn misplaced(&mut self, statement: &Statement, message: &str, help: &str) {
        self.sink.push(
            Diagnostic::new(Code::E0219, message)
                .label(first_word(statement), "not here")
                .help(help),
        );
    }

    fn definition(&mut self, definition: &Definition, root: bool) {
        let word = definition.word.text.as_str();
        let (name, value) = (&definition.name, &definition.value);
        match word {
            "const" => self.scope.define_constant(name, value, &mut self.sink),
            "set" => self.scope.define_set(name, value, &mut self.sink),
            _ => {
                if let Some(kind) = schema::block(word) {
                    self.is_policy |= root;
                    self.sink.push(block_as_value(kind, definition));
                    return;
                }
                let alias = match word {
                    "let" | "var" | "define" => Some("did you mean `const`?".to_owned()),
                    _ => meant(word, ["const", "set"], "definition"),
                };
                self.sink.push(
                    Diagnostic::new(Code::E0206, format!("unknown statement `{}`", shown(word)))
                        .label(definition.word.span(), "no such statement")
                        .maybe_help(alias),
                );
            }
        }
    }

    fn directive(&mut self, directive: &Directive) {
        let word = directive.word.text.as_str();
        match word {
            "include" => self.include(directive),
            _ => {
                let names = schema::STATEMENTS.iter().map(|(name, ..)| *name);
                self.sink.push(
                    Diagnostic::new(Code::E0206, format!("unknown statement `{}`", shown(word)))
                        .label(directive.word.span(), "no such statement")
                        .maybe_help(meant(word, names, "statement")),
                );
            }
        }
    }

    fn language(&mut self, directive: &Directive, first: bool, given: Option<Span>) {
        let span = directive.place.0;
        if let Some(given) = given {
            self.sink.push(
                Diagnostic::new(Code::E0215, "`language` is given twice")
                    .label(span, "again")
                    .label(given, "first here")
                    .help("delete this one"),
            );
            return;
        }
        if !first {
            self.sink.push(
                Diagnostic::new(Code::E0215, "`language` is not the first statement")
                    .label(span, "too late")
                    .help("move it to the top of the file"),
            );
        }
        match &directive.value.kind {
            Kind::Number {
                value: LANGUAGE,
                unit: None,
            } => {}
            Kind::Number { value, unit: None } => self.sink.push(
                Diagnostic::new(
                    Code::E0216,
                    format!("the language version {value} is not known"),
                )
                .label(
                    directive.value.span(),
                    format!("this edict knows {LANGUAGE}"),
                )
                .help(format!("write `language {LANGUAGE}`, or use a newer edict")),
            ),
            _ => self.sink.push(
                Diagnostic::new(Code::E0216, "the language version is a number")
                    .label(directive.value.span(), "not a plain number")
                    .help(format!("write `language {LANGUAGE}`")),
            ),
        }
    }

    fn include(&mut self, directive: &Directive) {
        if let Kind::Text(_) = directive.value.kind {
            return;
        }
        self.sink.push(
            Diagnostic::new(Code::E0301, "`include` asks for a path")
                .label(directive.value.span(), "expected a text")
                .help("write `include \"FILE\"`"),
        );
    }
}
