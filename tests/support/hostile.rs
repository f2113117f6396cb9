//! Texts that a hostile author might write.

/// Texts of about `size` bytes, each bad in its own way.
pub fn hostile(size: usize) -> Vec<(&'static str, String)> {
    let repeat = |piece: &str| piece.repeat(size / piece.len());
    let rule = |condition: String| format!("rules {{ when {condition} -> a }}");
    let whole = |rules: String| {
        format!(
            "language 1\npolicy p {{ }}\ntier a {{ }}\ntier b {{ }}\nrules {{\n{rules}\n  otherwise -> b\n}}\n"
        )
    };
    // As many rules as fit, at most as many as a policy may have.
    let each = |line: &dyn Fn(usize) -> String| {
        let mut lines = String::new();
        for n in 0..500 {
            let line = format!("  when {} -> a\n", line(n));
            if lines.len() + line.len() > size {
                break;
            }
            lines.push_str(&line);
        }
        whole(lines)
    };
    let texts = [
        "comm",
        "exe",
        "cgroup",
        "cmdline",
        "parent.comm",
        "user",
        "container",
        "unit",
    ];
    let mut all = patterns(&each, &texts);
    all.extend(vec![
        ("open parentheses", rule(repeat("("))),
        ("open braces", repeat("{")),
        ("open brackets", repeat("[")),
        ("not", rule(format!("{} a", repeat("not ")))),
        ("minus", rule(format!("{} a", repeat("- ")))),
        ("and", rule(format!("{} a", repeat("a and ")))),
        ("or and and", rule(format!("{} a", repeat("a or a and ")))),
        ("sum", rule(format!("a == {} 1", repeat("1+")))),
        ("comparisons", rule(format!("{} a", repeat("a<")))),
        (
            "groups",
            rule(format!("{} a", repeat("(((((((((a))))))))) and "))),
        ),
        (
            "nested groups",
            rule(format!("{}a{}", "(".repeat(60), ")".repeat(60))),
        ),
        (
            "nested calls",
            rule(format!("{}a{}", "a(".repeat(60), ")".repeat(60))),
        ),
        (
            "nested sets",
            rule(format!("a in {}1{}", "{".repeat(60), "}".repeat(60))),
        ),
        (
            "nested blocks",
            format!("{}{}", "a b c { ".repeat(60), "}".repeat(60)),
        ),
        ("unclosed texts", repeat("\"a\n")),
        ("unclosed text", format!("set a = {{ \"{}", repeat("a"))),
        ("quotes", repeat("'")),
        ("escapes", format!("set a = {{ \"{}\" }}", repeat("\\q"))),
        ("set", format!("set a = {{ {} 1 }}", repeat("1,"))),
        ("texts", format!("set a = {{ {} \"\" }}", repeat("\"a\","))),
        ("words", repeat("a ")),
        ("one word", repeat("a")),
        ("digits", format!("language {}", repeat("1"))),
        ("dots", repeat("a.")),
        ("dashes", repeat("a-")),
        ("labels", repeat("a:")),
        ("blanks", repeat(" ")),
        ("comments", repeat("#\n")),
        ("foreign comments", repeat("/*")),
        ("statements", repeat("language 1\n")),
        ("bad statements", repeat("tier a {=}\n")),
        (
            "bad rules",
            format!("rules {{ {} }}", repeat("when -> a\n")),
        ),
        ("commas", format!("tier a {{ {} }}", repeat(","))),
        ("slashes", rule(format!("a under {}", repeat("/")))),
        ("nul", repeat("\0")),
        ("capitals", rule(format!("{} a", repeat("NOT ")))),
        (
            "capital operators",
            rule(format!("{} a", repeat("a AND NOT IN "))),
        ),
        ("signs", rule(format!("{} a", repeat("a ≤ a ~ ")))),
        ("ifs", format!("rules {{ {} }}", repeat("else if a then "))),
        (
            "targets",
            format!("rules {{ {} }}", repeat("otherwise -> tier ")),
        ),
        ("thens", rule(format!("a {} b", repeat("then ")))),
        ("colons", rule(format!("a {} b", repeat(": ")))),
        ("uses", repeat("use use ")),
        ("imports", repeat("import \"\"\n")),
        ("yaml", repeat("a:\n- when: x\n")),
        (
            "deep yaml",
            (0..size / 40)
                .map(|n| format!("{}a:\n", " ".repeat(n % 80)))
                .collect(),
        ),
        ("includes", repeat("#include \"a\"\n")),
        ("ranges", rule(format!("a in {} 1", repeat("1..")))),
        (
            "open sets",
            format!("set a = {{ {} 1 }}", repeat("{1,\n},")),
        ),
        (
            "chains in groups",
            rule(format!("{} a{}", "(a or\n".repeat(31), ")".repeat(31))),
        ),
        (
            "comments in a set",
            format!("set a = {{ {} 1 }}", repeat("1,#\n")),
        ),
        (
            "comments in a rule",
            rule(format!("a {}", repeat("#\nand a"))),
        ),
    ]);
    all
}

/// Patterns that grow, one way or another.
fn patterns(
    each: &dyn Fn(&dyn Fn(usize) -> String) -> String,
    texts: &[&str],
) -> Vec<(&'static str, String)> {
    let of = |n: usize| texts[n % texts.len()];
    vec![
        (
            "expressions that count",
            each(&|n| format!("{} matches \"{n}(a|b)*a(a|b){{{}}}\"", of(n), 10 + n)),
        ),
        (
            "expressions that count letters",
            each(&|n| format!("cmdline matches \"\\\\w{{{}}}x{n}\"", 5 + n)),
        ),
        (
            "expressions of all letters",
            each(&|n| format!("{} matches \"(?i)[^{n}]\\\\pL+[\\\\w--{n}]\"", of(n))),
        ),
        (
            "repetitions of repetitions",
            each(&|n| format!("exe matches \"((((a{{99}}){{99}}){{99}}){{99}}){n}\"")),
        ),
        (
            "globs that count",
            each(&|n| format!("{} like \"*{n}a{}\"", of(n), "?".repeat(14))),
        ),
        (
            "globs of classes",
            each(&|n| {
                format!(
                    "{} like \"*[!a-{}]*[b-z]*{n}\"",
                    of(n),
                    ('b'..='y').nth(n % 20).unwrap()
                )
            }),
        ),
        (
            "many contained",
            each(&|n| format!("{} contains \"{}x\"", of(n / 9), 1000 + n)),
        ),
        (
            "many endings",
            each(&|n| format!("cmdline ends with \"{}x\"", 1000 + n)),
        ),
        (
            "one of many",
            each(&|n| {
                format!(
                    "cmdline matches \"^(a|b{n}|c*d)*x{n}$\" and {} like \"*{n}*\"",
                    of(n)
                )
            }),
        ),
    ]
}
