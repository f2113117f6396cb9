//! Random trees: every kind of statement and of expression, as the parser could
//! have made them.

use edict::syntax::RESERVED;
use edict::syntax::ast::{
    Ast, Block, Definition, Directive, Expect, Expr, Field, Kind, Name, Operator, Place, Rule,
    Statement, Title, Use,
};
use proptest::prelude::*;

/// A file.
pub fn any_ast() -> impl Strategy<Value = Ast> {
    prop::collection::vec(any_statement(), 0..5).prop_map(|statements| Ast {
        statements,
        place: Place::default(),
    })
}

/// What a text may hold: anything that is seen, escapes, and what means something
/// outside of a text.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "when ",
        "otherwise",
        " -> a",
        "# no comment",
        "{",
        "}",
        "(",
        "[",
        "\"",
        "\\",
        "\n",
        "\t",
        "\u{1}",
        "\u{202e}",
        "é",
        "/",
        "//",
        "/*",
        "*/",
        ",",
        "and or not in",
        "'",
        "rules { otherwise -> a }",
    ];
    prop_oneof![
        "\\PC{0,12}",
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..5)
            .prop_map(|pieces| pieces.concat()),
    ]
}

/// Words that are names in most places, but not in all: they begin something, are
/// taken for a word of another language, or are units.
const SOMEWHERE: [&str; 14] = [
    "if", "else", "default", "for", "within", "by", "use", "expect", "const", "set", "ns", "us",
    "ms", "s",
];

/// A name that is no word of the language anywhere.
pub fn word() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_]{0,6}(-[a-z0-9]{1,3})?(\\.[a-z]{1,3})?".prop_filter("not a keyword", |word| {
        let first = word.split(['.', '-']).next().unwrap_or("");
        !RESERVED.contains(&first) && !SOMEWHERE.contains(&first)
    })
}

fn expr(kind: Kind) -> Expr {
    Expr {
        kind,
        place: Place::default(),
    }
}

fn name(text: String) -> Name {
    Name {
        text,
        place: Place::default(),
    }
}

/// How tightly the operator of an expression binds, as the table in
/// `src/syntax/expr.rs` says.
fn strength(expr: &Expr) -> u8 {
    match &expr.kind {
        Kind::Any(_) => 1,
        Kind::All(_) => 2,
        Kind::Binary(operator, ..) => binary_strength(*operator),
        Kind::Not(_) | Kind::Negative(_) => 7,
        _ => 8,
    }
}

fn binary_strength(operator: Operator) -> u8 {
    match operator {
        Operator::Range => 4,
        Operator::Plus | Operator::Minus => 5,
        Operator::Times | Operator::Divide => 6,
        _ => 3,
    }
}

/// Puts an operand into parentheses where it binds less tightly than it must.
fn fit(inner: Expr, least: u8) -> Expr {
    if strength(&inner) < least {
        expr(Kind::Group(Box::new(inner)))
    } else {
        inner
    }
}

fn binary(operator: Operator, left: Expr, right: Expr) -> Expr {
    let own = binary_strength(operator);
    // Comparisons do not chain, and `not a == b` is refused.
    let is_not = matches!(left.kind, Kind::Not(_));
    let least = match operator.is_comparison() {
        true if is_not => 8,
        true => own + 1,
        false => own,
    };
    let (left, right) = (fit(left, least), fit(right, own + 1));
    expr(Kind::Binary(
        operator,
        Place::default(),
        Box::new(left),
        Box::new(right),
    ))
}

/// An expression, as deep as [`Kind`] allows without parentheses and with them.
pub fn any_expr() -> impl Strategy<Value = Expr> {
    let unit = prop::option::of(prop_oneof![
        Just("ms".to_owned()),
        Just("%".to_owned()),
        "[a-z]{1,3}"
    ]);
    let leaf = prop_oneof![
        text().prop_map(|text| expr(Kind::Text(text))),
        (any::<u64>(), unit).prop_map(|(value, unit)| expr(Kind::Number { value, unit })),
        any::<bool>().prop_map(|truth| expr(Kind::Truth(truth))),
        word().prop_map(|word| expr(Kind::Name(word))),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let members = |low| prop::collection::vec(inner.clone(), low..4);
        let grouped = || prop::collection::vec(inner.clone().prop_map(|inner| fit(inner, 3)), 2..4);
        let operator = prop::sample::select(Operator::ALL.to_vec());
        prop_oneof![
            1 => (word(), members(0)).prop_map(|(word, members)| expr(Kind::Call(word, members))),
            1 => members(0).prop_map(|members| expr(Kind::Set(members))),
            1 => members(0).prop_map(|members| expr(Kind::List(members))),
            1 => inner
                .clone()
                .prop_map(|inner| expr(Kind::Group(Box::new(inner)))),
            1 => inner
                .clone()
                .prop_map(|inner| expr(Kind::Not(Box::new(fit(inner, 7))))),
            1 => inner
                .clone()
                .prop_map(|inner| expr(Kind::Negative(Box::new(fit(inner, 7))))),
            1 => grouped().prop_map(|members| expr(Kind::All(members))),
            1 => grouped().prop_map(|members| expr(Kind::Any(members))),
            4 => (operator, inner.clone(), inner.clone())
                .prop_map(|(operator, left, right)| binary(operator, left, right)),
        ]
    })
}

/// A statement, blocks in blocks included.
pub fn any_statement() -> impl Strategy<Value = Statement> {
    let place = Place::default();
    let definition = (prop_oneof!["const", "set", word()], word(), any_expr()).prop_map(
        move |(kind, defined, value)| {
            Statement::Definition(Definition {
                word: name(kind),
                name: name(defined),
                value,
                place,
            })
        },
    );
    let field = (word(), any_expr()).prop_map(move |(word, value)| {
        Statement::Field(Field {
            name: name(word),
            value,
            place,
        })
    });
    let rule = (
        prop::option::of(word()),
        prop::option::of((any_expr(), prop::option::of(any_expr()))),
        word(),
        prop::option::of(word()),
    )
        .prop_map(move |(label, when, target, within)| {
            let (when, hold) = when.map_or((None, None), |(when, hold)| (Some(when), hold));
            Statement::Rule(Rule {
                label: label.map(name),
                when,
                hold,
                target: name(target),
                within: within.map(name),
                place,
            })
        });
    let literal = prop_oneof![
        text().prop_map(Kind::Text),
        any::<u64>().prop_map(|value| Kind::Number { value, unit: None }),
    ];
    let directive = (word(), literal).prop_map(move |(word, literal)| {
        Statement::Directive(Directive {
            word: name(word),
            value: expr(literal),
            place,
        })
    });
    let expect = (word(), prop::option::of(word())).prop_map(move |(tier, by)| {
        Statement::Expect(Expect {
            tier: name(tier),
            by: by.map(name),
            place,
        })
    });
    let used = word().prop_map(move |word| {
        Statement::Use(Use {
            name: name(word),
            place,
        })
    });
    let leaf =
        prop_oneof![4 => definition, 4 => field, 4 => rule, 1 => directive, 1 => expect, 1 => used];
    leaf.prop_recursive(2, 12, 4, move |inner| {
        let names = prop::collection::vec(word().prop_map(|word| Title::Name(name(word))), 0..3);
        let text = text().prop_map(|text| vec![Title::Text(text, Place::default())]);
        (
            word(),
            prop_oneof![names, text],
            prop::collection::vec(inner, 0..4),
        )
            .prop_map(move |(word, titles, statements)| {
                Statement::Block(Block {
                    word: name(word),
                    titles,
                    statements,
                    place,
                })
            })
    })
}
