//! Random policies and random tasks that nearly miss each other, over every
//! attribute and every operator.

#[path = "random/words.rs"]
mod words;

use super::rng::Rng;
use edict::check::{ATTRIBUTES, Attribute, Policy, Type, Value, check_text};
use edict::eval::Task;
use words::{Words, numbers, words, written};

const TIERS: &[&str] = &["t0", "t1", "t2", "t3"];

/// Attributes that policies ask for more often than for the others.
const FAVOURITES: [Attribute; 10] = [
    Attribute::Comm,
    Attribute::Comm,
    Attribute::Comm,
    Attribute::Exe,
    Attribute::Cgroup,
    Attribute::Cgroup,
    Attribute::Cmdline,
    Attribute::Nice,
    Attribute::Uid,
    Attribute::Kthread,
];

/// Mistakes that a rule may have because it is random; it is taken out then, as
/// a person would.
const MISTAKES: &[&str] = &["E0203", "E0204", "E0205", "E0403", "E0411", "E0412"];

/// A policy that the checker accepts.
pub fn policy(rng: &mut Rng) -> (String, Policy) {
    let among = attributes(rng);
    policy_over(rng, &among)
}

/// A small one, for whoever needs many and has little time: each attribute with
/// patterns costs an automaton.
pub fn small_policy(rng: &mut Rng) -> (String, Policy) {
    let among: Vec<Attribute> = (0..1 + rng.below(3))
        .map(|_| rng.pick(&ATTRIBUTES).attribute)
        .collect();
    policy_of(rng, &among, 5, 2)
}

/// A policy that the checker accepts, over some attributes.
pub fn policy_over(rng: &mut Rng, among: &[Attribute]) -> (String, Policy) {
    policy_of(rng, among, 14, 3)
}

/// A policy of at most so many rules, whose conditions are at most so deep.
fn policy_of(rng: &mut Rng, among: &[Attribute], most: usize, depth: usize) -> (String, Policy) {
    loop {
        let mut rules: Vec<String> = (0..1 + rng.below(most))
            .map(|_| {
                let when = expression(rng, among, depth);
                format!("when {when} -> {}", rng.pick(TIERS))
            })
            .collect();
        let otherwise = rng.pick(TIERS);
        while !rules.is_empty() {
            let text = render(&rules, otherwise);
            let checked = check_text("random.edict", &text);
            if let Some(policy) = checked.policy {
                return (text, policy);
            }
            let first = render(&[], otherwise).matches('\n').count() - 2;
            let mut wrong: Vec<usize> = Vec::new();
            for diagnostic in checked.diagnostics.iter().filter(|d| d.is_error()) {
                let code = diagnostic.code.as_str();
                assert!(
                    MISTAKES.contains(&code),
                    "{code} {}: {:?}\n{text}",
                    diagnostic.message,
                    diagnostic.labels
                );
                let at = diagnostic.labels[0].span.start as usize;
                let line = text[..at].matches('\n').count();
                assert!(line >= first, "{code} is not about a rule:\n{text}");
                wrong.push(line - first);
            }
            assert!(!wrong.is_empty(), "no policy and no error: {text}");
            let mut at = 0;
            rules.retain(|_| {
                at += 1;
                !wrong.contains(&(at - 1))
            });
        }
    }
}

/// A few attributes, so that rules meet; some policies ask for all of them.
fn attributes(rng: &mut Rng) -> Vec<Attribute> {
    if rng.one_in(8) {
        return ATTRIBUTES.iter().map(|about| about.attribute).collect();
    }
    (0..2 + rng.below(6))
        .map(|_| match rng.one_in(2) {
            true => *rng.pick(&FAVOURITES),
            false => rng.pick(&ATTRIBUTES).attribute,
        })
        .collect()
}

fn render(rules: &[String], otherwise: &str) -> String {
    let mut text = String::from("language 1\npolicy random {}\n");
    for attribute in [
        Attribute::Comm,
        Attribute::Exe,
        Attribute::Cmdline,
        Attribute::User,
        Attribute::Unit,
        Attribute::Container,
    ] {
        let Words { values, set, .. } = words(attribute);
        let members: Vec<String> = values
            .iter()
            .skip(1)
            .step_by(2)
            .map(|name| format!("{name:?}"))
            .collect();
        text += &format!("set {set} = {{ {} }}\n", members.join(", "));
    }
    text += "set people = { 0, 1000, 65534 }\n";
    let crowd: Vec<String> = (1010..1040).map(|uid| uid.to_string()).collect();
    text += &format!("set crowd = {{ {} }}\n", crowd.join(", "));
    text += "set ranges = { 0, 1000..1009, 65534 }\n";
    for (index, tier) in TIERS.iter().enumerate() {
        text += &format!("tier {tier} {{ tickets = {} }}\n", index + 1);
    }
    text += "model oracle { file = \"oracle.onnx\" inputs = [runtime_avg] }\n";
    text += "rules {\n";
    for rule in rules {
        text += rule;
        text.push('\n');
    }
    text + "otherwise -> " + otherwise + "\n}\n"
}

fn expression(rng: &mut Rng, among: &[Attribute], depth: usize) -> String {
    if rng.one_in(60) {
        // Nobody runs it, so it says nothing.
        return (*rng.pick(&["oracle() > 50%", "oracle() in 10%..90%"])).to_owned();
    }
    if depth == 0 || rng.one_in(3) {
        let attribute = *rng.pick(among);
        return atom(rng, attribute);
    }
    let joined = |rng: &mut Rng, word: &str| {
        (0..2 + rng.below(2))
            .map(|_| {
                let part = expression(rng, among, depth - 1);
                if part.contains(" and ") || part.contains(" or ") {
                    format!("({part})")
                } else {
                    part
                }
            })
            .collect::<Vec<_>>()
            .join(word)
    };
    match rng.below(5) {
        0 => format!("not ({})", expression(rng, among, depth - 1)),
        1 | 2 => joined(rng, " and "),
        _ => joined(rng, " or "),
    }
}

/// One comparison of an attribute.
pub fn atom(rng: &mut Rng, attribute: Attribute) -> String {
    let name = attribute.about().name;
    match attribute.about().ty {
        Type::Bool => rng.pick(&["", "not "]).to_string() + name,
        Type::Text => text_atom(rng, name, &words(attribute)),
        Type::Count | Type::Duration | Type::Ratio => number_atom(rng, attribute),
    }
}

fn number_atom(rng: &mut Rng, attribute: Attribute) -> String {
    let name = attribute.about().name;
    let values = numbers(attribute);
    let value = |rng: &mut Rng| written(attribute, *rng.pick(values));
    let ids = matches!(attribute, Attribute::Uid | Attribute::Gid);
    match rng.below(if ids { 8 } else { 6 }) {
        0 | 1 => {
            let compare = *rng.pick(&["==", "!=", "<", "<=", ">", ">="]);
            format!("{name} {compare} {}", value(rng))
        }
        2 => {
            let at = rng.below(values.len() - 3);
            let members: Vec<String> = [at, at + 1, at + 3]
                .iter()
                .map(|at| written(attribute, values[*at]))
                .collect();
            format!(
                "{name} {} {{ {} }}",
                rng.pick(&["in", "not in"]),
                members.join(", ")
            )
        }
        3 | 4 => {
            let low = rng.below(values.len() - 1);
            let high = low + 1 + rng.below(values.len() - low - 1);
            format!(
                "{name} {} {}..{}",
                rng.pick(&["in", "not in"]),
                written(attribute, values[low]),
                written(attribute, values[high])
            )
        }
        5 => {
            let at = rng.below(values.len() - 3);
            let [first, low, high] = [at, at + 1, at + 3].map(|at| written(attribute, values[at]));
            let is = rng.pick(&["in", "not in"]);
            format!("{name} {is} {{ {first}, {low}..{high} }}")
        }
        _ => format!(
            "{name} {} {}",
            rng.pick(&["in", "not in"]),
            rng.pick(&["people", "crowd", "ranges"])
        ),
    }
}

fn text_atom(rng: &mut Rng, name: &str, words: &Words) -> String {
    let Words { values, set, .. } = words;
    let path = words.set == "places";
    match rng.below(if path { 16 } else { 13 }) {
        0 => format!("{name} == {:?}", rng.pick(values)),
        1 => format!("{name} != {:?}", rng.pick(values)),
        2 => format!("{name} in {set}"),
        3 => format!("{name} not in {set}"),
        4 => {
            let at = rng.below(values.len() - 3);
            format!(
                "{name} in {{ {:?}, {:?}, {:?} }}",
                values[at],
                values[at + 1],
                values[at + 3]
            )
        }
        5 | 6 => format!("{name} starts with {:?}", rng.pick(words.prefixes)),
        7 => format!("{name} ends with {:?}", rng.pick(words.parts)),
        8 => format!("{name} contains {:?}", rng.pick(words.parts)),
        9 | 10 => format!("{name} like {:?}", rng.pick(words.globs)),
        11 => format!("{name} matches {:?}", rng.pick(words.regexes)),
        12 => {
            let (sign, among) = *rng.pick(&[
                ("starts with", words.prefixes),
                ("ends with", words.parts),
                ("contains", words.parts),
                ("like", words.globs),
                ("matches", words.regexes),
            ]);
            let at = rng.below(among.len() - 1);
            format!("{name} {sign} {{ {:?}, {:?} }}", among[at], among[at + 1])
        }
        13 => format!("{name} under {set}"),
        _ => format!("{name} under {:?}", rng.pick(values)),
    }
}

/// A task near the vocabulary of the policies.
pub fn task(rng: &mut Rng) -> Task {
    let mut task = Task::default();
    for about in ATTRIBUTES {
        if about.may_be_unknown && rng.one_in(5) {
            continue;
        }
        task.set(about.attribute, value(rng, about.attribute));
    }
    task
}

/// A value near the vocabulary.
pub fn value(rng: &mut Rng, attribute: Attribute) -> Value {
    match attribute.about().ty {
        Type::Bool => Value::Truth(rng.one_in(4)),
        Type::Text if words(attribute).set == "places" => Value::Text(near_path(rng)),
        Type::Text => Value::Text(near_text(rng, &words(attribute))),
        Type::Count | Type::Duration | Type::Ratio => {
            let (low, high) = attribute.about().range.unwrap_or((i64::MIN, i64::MAX));
            let near = rng.pick(numbers(attribute)) + rng.below(3) as i64 - 1;
            Value::Number(near.clamp(low, high))
        }
    }
}

/// A value of the vocabulary, a byte more or less, or cut.
fn near_text(rng: &mut Rng, words: &Words) -> String {
    let bare = matches!(words.attribute, Attribute::Unit | Attribute::Container);
    if bare && rng.one_in(6) {
        return String::new();
    }
    let from = match rng.below(6) {
        0 => words.prefixes,
        1 => words.parts,
        _ => words.values,
    };
    let mut text = (*rng.pick(from)).to_owned();
    match rng.below(8) {
        0 => text.push(*rng.pick(&['a', 'b', '1', '\u{7f}', '/'])),
        1 => {
            text.pop();
        }
        2 => text.insert(0, 'a'),
        3 => text.push_str(rng.pick::<&str>(words.parts)),
        _ => {}
    }
    while text.len() > words.longest {
        text.pop();
    }
    if text.is_empty() {
        text.push('b');
    }
    text
}

fn near_path(rng: &mut Rng) -> String {
    let values = words(Attribute::Exe).values;
    let mut path = (*rng.pick(values)).to_owned();
    match rng.below(6) {
        0 => {
            path = format!(
                "{}/{}",
                path.trim_end_matches('/'),
                rng.pick(&["b", "c", "x"])
            )
        }
        1 if path != "/" => path.push('c'),
        2 if path.len() > 2 => {
            path.pop();
            if path.ends_with('/') {
                path.pop();
            }
        }
        _ => {}
    }
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}
