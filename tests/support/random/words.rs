//! What random policies and tasks are made of.
//!
//! Small vocabularies in which one value is the other with a byte more, a
//! component more or one unit less, so that most comparisons are decided at
//! their edge.

use edict::check::{Attribute, Type};

/// What is compared with a text attribute.
pub struct Words {
    pub attribute: Attribute,
    /// Whole values.
    pub values: &'static [&'static str],
    /// What values begin with.
    pub prefixes: &'static [&'static str],
    /// What values end with, or have inside.
    pub parts: &'static [&'static str],
    pub globs: &'static [&'static str],
    pub regexes: &'static [&'static str],
    /// The set of the policies that has values of this kind.
    pub set: &'static str,
    /// Bytes that a value has at most.
    pub longest: usize,
}

const COMMS: Words = Words {
    attribute: Attribute::Comm,
    values: &[
        "a",
        "ab",
        "abc",
        "abd",
        "b",
        "cc1",
        "cc1plus",
        "cc1plu",
        "c",
        "cc",
        "rustc",
        "rust",
        "rustc2",
        "ld",
        "ld.lld",
        "nginx",
        "nginx: worker",
        "fifteen-bytes-a",
        "fifteen-bytes-b",
        "fifteen-bytes-",
        "ü",
        "üb",
        "kworker/0:1",
        "kworker/u8:0",
        "~",
        "x y",
    ],
    prefixes: &[
        "a",
        "ab",
        "abc",
        "c",
        "cc1",
        "rust",
        "kworker/",
        "fifteen-bytes-",
        "ü",
        "ng",
    ],
    parts: &[
        "b", "c", "1", "plus", "lld", "-a", ": w", "bytes-", "üb", "ab",
    ],
    globs: &[
        "*",
        "a*",
        "*b",
        "a?",
        "?b*",
        "cc1*",
        "*c*1*",
        "[a-c]*",
        "[!a]*",
        "ld[.]lld",
        "fifteen-bytes-?",
        "kworker/*:?",
        "ü*",
        "\\a*b",
    ],
    regexes: &[
        "^cc1(plus)?$",
        "^a",
        "b$",
        "[0-9]",
        "^[a-z]+$",
        "^.?b",
        "^kworker/u?[0-9]+:",
        "(rust|nginx)",
        "^.{15}$",
        "ü",
        "\\b[0-9]",
        "b\\B",
    ],
    set: "names",
    longest: 15,
};

const PATHS: Words = Words {
    attribute: Attribute::Exe,
    values: &[
        "/",
        "/a",
        "/a/b",
        "/a/b/c",
        "/a/bc",
        "/ab",
        "/a/b/c/d",
        "/batch.slice",
        "/batch.slice/x",
        "/batch.slicer",
        "/system.slice/backup.service",
        "/usr/bin/cc1",
        "/usr/bin",
        "/usr",
        "/b",
    ],
    prefixes: &[
        "/a",
        "/a/",
        "/a/b",
        "/usr/b",
        "/batch.slice",
        "/",
        "/system",
    ],
    parts: &["/b", "b", "c", "/a", "slice", ".s", "bin", "/c"],
    globs: &[
        "/a/*",
        "/a*",
        "*/b",
        "*/b/*",
        "/?",
        "/a/b?",
        "/*.slice*",
        "/[ab]*",
        "/usr/*/cc1",
        "*c",
    ],
    regexes: &[
        "^/a(/|$)",
        "/b$",
        "[.]slice",
        "^/[ab]+$",
        "bin/[a-z0-9]+$",
        "c",
    ],
    set: "places",
    longest: 64,
};

const CMDLINES: Words = Words {
    attribute: Attribute::Cmdline,
    values: &[
        "ninja",
        "ninja -C out",
        "/usr/bin/ninja -C out",
        "/usr/bin/ninja",
        "cc1 -O2 a.c",
        "cc1 -O2",
        "cc1  -O2",
        "python3 run.py",
        "python3 -m run",
    ],
    prefixes: &["ninja", "ninja ", "/usr/bin/", "cc1 ", "python3 "],
    parts: &[" -C ", "-O2", "ninja", "run", " ", "out", ".c"],
    globs: &[
        "*/ninja *",
        "ninja *",
        "*-O?*",
        "python3 *run*",
        "* *",
        "*[a-z].c",
    ],
    regexes: &[
        "(^|/)ninja( |$)",
        "-O[0-3]( |$)",
        "^python[0-9.]+ ",
        "\\bout$",
    ],
    set: "lines",
    longest: 64,
};

const USERS: Words = Words {
    attribute: Attribute::User,
    values: &[
        "root", "roo", "rooty", "postgres", "www-data", "www", "user1", "user10",
    ],
    prefixes: &["root", "www", "user", "user1"],
    parts: &["oo", "data", "1", "r", "-"],
    globs: &["user?", "user*", "*-data", "[rw]*", "root*"],
    regexes: &["^user[0-9]$", "^(root|postgres)$", "o{2}", "w+"],
    set: "accounts",
    longest: 32,
};

const UNITS: Words = Words {
    attribute: Attribute::Unit,
    values: &[
        "nginx.service",
        "nginx@1.service",
        "nginx@10.service",
        "session-1.scope",
        "session-10.scope",
        "user.slice",
        "user-1000.slice",
    ],
    prefixes: &["nginx", "nginx@", "session-", "user"],
    parts: &[".service", ".scope", "@", "-1", "user", "1.s"],
    globs: &[
        "nginx*.service",
        "session-?.scope",
        "*.slice",
        "*@*",
        "user[.-]*",
    ],
    regexes: &[
        "^nginx(@[0-9]+)?[.]service$",
        "[.]s(lice|cope)$",
        "-1[.]",
        "@1",
    ],
    set: "services",
    longest: 64,
};

const CONTAINERS: Words = Words {
    attribute: Attribute::Container,
    values: &[
        "00000000000000000000000000000000000000000000000000000000000000aa",
        "00000000000000000000000000000000000000000000000000000000000000ab",
        "0f00000000000000000000000000000000000000000000000000000000000000",
        "ff00000000000000000000000000000000000000000000000000000000000000",
    ],
    prefixes: &["0", "00", "0f", "ff"],
    parts: &["aa", "ab", "a", "0f", "f0"],
    globs: &["0*a", "*a?", "[0f]f*", "0f*"],
    regexes: &["^0+a", "a[ab]$", "^f", "0f?0"],
    set: "boxes",
    longest: 64,
};

/// The words for a text attribute.
pub fn words(attribute: Attribute) -> Words {
    let like = match attribute {
        Attribute::Comm | Attribute::ParentComm => COMMS,
        Attribute::Exe | Attribute::Cgroup => PATHS,
        Attribute::Cmdline => CMDLINES,
        Attribute::User => USERS,
        Attribute::Unit => UNITS,
        Attribute::Container => CONTAINERS,
        other => panic!("{other} is no text"),
    };
    Words { attribute, ..like }
}

/// What is compared with a number attribute, ascending: neighbours of neither
/// end of its range, at least five.
pub fn numbers(attribute: Attribute) -> &'static [i64] {
    match attribute {
        Attribute::Nice => &[-18, -5, -1, 0, 1, 5, 10, 17],
        Attribute::Uid | Attribute::Gid => &[2, 999, 1000, 1001, 1010, 1039, 65534, 4294967293],
        Attribute::NsPid => &[4026531836, 4026531837, 4026532100, 4026532101, 4026532999],
        Attribute::Pid | Attribute::Tgid | Attribute::Ppid => &[2, 3, 99, 100, 101, 4000, 4194302],
        Attribute::Ncpu => &[2, 3, 7, 8, 64],
        Attribute::Llc | Attribute::Node => &[1, 2, 3, 7, 8],
        Attribute::WakeRate | Attribute::SwitchRate => &[1, 10, 99, 100, 1000],
        _ => match attribute.about().ty {
            Type::Duration => &[100_000, 1_000_000, 2_000_000, 20_000_000, 1_000_000_000],
            Type::Ratio => &[10_000, 150_000, 500_000, 510_000, 990_000],
            other => panic!("{attribute} is {other:?}"),
        },
    }
}

/// A number as a policy has it.
pub fn written(attribute: Attribute, number: i64) -> String {
    match attribute.about().ty {
        Type::Duration => [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)]
            .iter()
            .find(|(_, unit)| number != 0 && number % unit == 0)
            .map_or(format!("{number}ns"), |(name, unit)| {
                format!("{}{name}", number / unit)
            }),
        Type::Ratio => format!("{}%", number / 10_000),
        _ => number.to_string(),
    }
}
