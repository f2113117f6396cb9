//! The tree: what a file says, and where.

use crate::diag::{FileId, Span};

/// Where a node stands. Places are all equal, so that two trees are equal when
/// they say the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place(pub Span);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ast {
    /// What it says, in the order of the text.
    pub statements: Vec<Statement>,
    /// The whole file.
    pub place: Place,
}

impl Ast {
    /// The file that was parsed.
    pub fn file(&self) -> FileId {
        self.place.0.file
    }
}

/// A word: the name of something, or the keyword of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

impl Name {
    /// Where it stands.
    pub fn span(&self) -> Span {
        self.place.0
    }
}

/// A statement, at the top of a file or in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `tier critical { … }`
    Block(Block),
    /// `const base = 3ms`
    Definition(Definition),
    /// `slice = 5ms`
    Field(Field),
    /// `edge: when … -> critical`
    Rule(Rule),
    /// `include "x"`, `language 1`
    Directive(Directive),
    /// `use group`
    Use(Use),
    /// `expect critical by edge`
    Expect(Expect),
}

impl Statement {
    /// Where it stands, from its first word to its end.
    pub fn span(&self) -> Span {
        match self {
            Self::Block(block) => block.place.0,
            Self::Definition(definition) => definition.place.0,
            Self::Field(field) => field.place.0,
            Self::Rule(rule) => rule.place.0,
            Self::Directive(directive) => directive.place.0,
            Self::Use(named) => named.place.0,
            Self::Expect(expect) => expect.place.0,
        }
    }

    /// Where its last part stands. Its own place may reach further, over the
    /// blanks and the comment behind it.
    pub fn last(&self) -> Span {
        match self {
            Self::Block(block) => block.place.0,
            Self::Definition(definition) => definition.value.span(),
            Self::Field(field) => field.value.span(),
            Self::Rule(rule) => rule.within.as_ref().unwrap_or(&rule.target).span(),
            Self::Directive(directive) => directive.value.span(),
            Self::Use(named) => named.name.span(),
            Self::Expect(expect) => expect.by.as_ref().unwrap_or(&expect.tier).span(),
        }
    }
}

/// What stands between the word and the brace of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Title {
    /// `tier critical {`
    Name(Name),
    /// `test "nginx is critical" {`
    Text(String, Place),
}

impl Title {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Name(name) => name.span(),
            Self::Text(_, place) => place.0,
        }
    }

    /// What it says.
    pub fn text(&self) -> &str {
        match self {
            Self::Name(name) => &name.text,
            Self::Text(text, _) => text,
        }
    }
}

/// A word, titles (none, one, or two names), and statements in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its kind.
    pub word: Name,
    /// Its name, or the kind and the name of what it overrides.
    pub titles: Vec<Title>,
    /// What stands in the braces.
    pub statements: Vec<Statement>,
    /// The whole block.
    pub place: Place,
}

impl Block {
    /// The part before the brace.
    pub fn head(&self) -> Span {
        let word = self.word.span();
        self.titles.last().map_or(word, |last| word.to(last.span()))
    }
}

/// `const NAME = VALUE` or `set NAME = VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `const` or `set`.
    pub word: Name,
    /// What is defined.
    pub name: Name,
    /// As what.
    pub value: Expr,
    /// The whole definition.
    pub place: Place,
}

/// `NAME = VALUE` in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The field.
    pub name: Name,
    /// Its value.
    pub value: Expr,
    /// The whole field.
    pub place: Place,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `edge:`
    pub label: Option<Name>,
    /// The condition; none for `otherwise`.
    pub when: Option<Expr>,
    /// `for 40ms`
    pub hold: Option<Expr>,
    /// `-> critical`
    pub target: Name,
    /// `within llc`
    pub within: Option<Name>,
    /// The whole rule.
    pub place: Place,
}

/// A word and a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The word.
    pub word: Name,
    /// A text or a number.
    pub value: Expr,
    /// The whole directive.
    pub place: Place,
}

/// `use NAME`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// What is used.
    pub name: Name,
    /// The whole statement.
    pub place: Place,
}

/// `expect TIER by RULE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The tier.
    pub tier: Name,
    /// The rule.
    pub by: Option<Name>,
    /// The whole statement.
    pub place: Place,
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// What it says.
    pub kind: Kind,
    /// Where it stands.
    pub place: Place,
}

impl Expr {
    /// Where it stands.
    pub fn span(&self) -> Span {
        self.place.0
    }

    /// The expression without the parentheses around it.
    pub fn bare(&self) -> &Self {
        let mut expr = self;
        while let Kind::Group(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }
}

/// The kinds of expression.
///
/// INVARIANT: `All` and `Any` have at least two members, none of which is of the
/// same kind (only its members in a [`Kind::Group`] are); operands that bind
/// less tightly than their operator stand in a `Group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `"nginx"`
    Text(String),
    /// `5ms`
    Number {
        /// The number.
        value: u64,
        /// The unit as written.
        unit: Option<String>,
    },
    /// `true`, `false`
    Truth(bool),
    /// An attribute, a constant, a set, a tier, a choice.
    Name(String),
    /// `latcrit()`
    Call(String, Vec<Expr>),
    /// `{ … }`
    Set(Vec<Expr>),
    /// `[ … ]`
    List(Vec<Expr>),
    /// `( … )`
    Group(Box<Expr>),
    /// `not …`
    Not(Box<Expr>),
    /// `-…`
    Negative(Box<Expr>),
    /// `… and …`
    All(Vec<Expr>),
    /// `… or …`
    Any(Vec<Expr>),
    /// Any other operator between two operands, and where the operator stands.
    Binary(Operator, Place, Box<Expr>, Box<Expr>),
}

/// An operator between two operands, but for `and` and `or`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `in`
    In,
    /// `not in`
    NotIn,
    /// `under`
    Under,
    /// `starts with`
    StartsWith,
    /// `like`
    Like,
    /// `matches`
    Matches,
    /// `contains`
    Contains,
    /// `ends with`
    EndsWith,
    /// `..`
    Range,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Divide,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Self; 19] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessEqual,
        Self::Greater,
        Self::GreaterEqual,
        Self::In,
        Self::NotIn,
        Self::Under,
        Self::StartsWith,
        Self::Like,
        Self::Matches,
        Self::Contains,
        Self::EndsWith,
        Self::Range,
        Self::Plus,
        Self::Minus,
        Self::Times,
        Self::Divide,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::NotIn => "not in",
            Self::Under => "under",
            Self::StartsWith => "starts with",
            Self::Like => "like",
            Self::Matches => "matches",
            Self::Contains => "contains",
            Self::EndsWith => "ends with",
            Self::Range => "..",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divide => "/",
        }
    }

    /// Whether it asks something about its operands.
    pub fn is_comparison(self) -> bool {
        !matches!(
            self,
            Self::Range | Self::Plus | Self::Minus | Self::Times | Self::Divide
        )
    }
}
