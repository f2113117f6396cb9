//! The table itself.

use super::{
    BlockKind, Engine, Field, FieldType, KIB, MIB, MICROSECOND, MILLISECOND, PERCENT, SECOND,
    Titled,
};

/// Every block, with its fields.
pub const BLOCKS: [BlockKind; 9] = [
    BlockKind {
        word: "policy",
        titled: Titled::Name,
        many: false,
        included: false,
        engine: Engine::There,
        fields: &[
            Field::new(
                "version",
                FieldType::Text,
                "\"1.0.0\"",
                "the version of the policy, for people",
            ),
            Field::new(
                "kernel",
                FieldType::Kernel,
                "\"6.12\"",
                "the oldest kernel that the policy is meant for",
            ),
            Field::new(
                "watchdog",
                FieldType::Duration(8 * SECOND, 30 * SECOND),
                "20s",
                "how long the kernel lets a runnable task wait before it throws the scheduler out",
            )
            .default("20s")
            .restart(),
        ],
        summary: "names the policy; there is exactly one",
        example: "policy web { version = \"1.0.0\" }",
    },
    BlockKind {
        word: "tier",
        titled: Titled::Name,
        many: true,
        included: true,
        engine: Engine::There,
        fields: &[
            Field::new(
                "tickets",
                FieldType::Count(1, 1_000_000),
                "100",
                "the share of CPU time against the other tiers that have something to run",
            )
            .default("100"),
            Field::new(
                "slice",
                FieldType::Duration(100 * MICROSECOND, 100 * MILLISECOND),
                "5ms",
                "how long a task runs before the next one is chosen",
            )
            .default("5ms"),
            Field::new(
                "order",
                FieldType::Choice(&["vtime", "fifo", "lottery"]),
                "vtime",
                "in which order the tasks of the tier run: by virtual time, which nice weighs, by arrival, or by a lottery that nice weighs",
            )
            .default("vtime"),
            Field::new(
                "preempt",
                FieldType::Tiers,
                "[batch]",
                "the tiers whose running tasks a waking task of this tier may interrupt",
            )
            .default("[]"),
            Field::new(
                "max_wait",
                FieldType::Duration(MILLISECOND, 5 * SECOND),
                "100ms",
                "the longest that a runnable task of the tier may wait; at least the slice",
            ),
            Field::new(
                "cpus",
                FieldType::Cpus,
                "\"0-3,8\"",
                "the CPUs that its tasks run on: numbers and ranges, or one domain as `\"llc 0\"` or `\"node 1\"`; all CPUs when it is left out",
            ),
            Field::new(
                "exclusive",
                FieldType::Truth,
                "true",
                "whether no task of another tier runs on the CPUs of the same core while one of its tasks runs",
            )
            .default("false"),
            Field::new(
                "perf",
                FieldType::Ratio(0, 100 * PERCENT),
                "80%",
                "the performance level that a CPU is asked for while it runs a task of the tier",
            ),
            Field::new(
                "budget",
                FieldType::Ratio(PERCENT, 100 * PERCENT),
                "30%",
                "the largest part of the machine's CPU time that the tier takes while others have something to run",
            ),
            Field::new(
                "burst",
                FieldType::Duration(MILLISECOND, SECOND),
                "50ms",
                "how much CPU time the tier may take at once beyond its `budget`",
            )
            .default("50ms"),
        ],
        summary: "a class of tasks that are scheduled alike; at least 1, at most 16",
        example: "tier batch { tickets = 20 }",
    },
    BlockKind {
        word: "model",
        titled: Titled::Name,
        many: true,
        included: true,
        engine: Engine::Missing,
        fields: &[
            Field::new(
                "file",
                FieldType::Path,
                "\"models/latcrit.onnx\"",
                "the model, an ONNX file of the pack",
            )
            .required(),
            Field::new(
                "sha256",
                FieldType::Digest,
                "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
                "the SHA-256 digest that the file must have",
            ),
            Field::new(
                "inputs",
                FieldType::Attributes,
                "[runtime_avg, wake_rate]",
                "the attributes that it is given, in this order",
            )
            .required(),
            Field::new(
                "budget",
                FieldType::Duration(MICROSECOND, 100 * MILLISECOND),
                "200us",
                "the longest that an answer may take; a later one counts as missing",
            )
            .default("200us"),
            Field::new(
                "missing",
                FieldType::Ratio(0, 100 * PERCENT),
                "50%",
                "what it answers where there is no answer",
            )
            .default("50%"),
        ],
        summary: "a model that rules can ask, as `latcrit() > 80%`; at most 16",
        example: "model latcrit { file = \"models/latcrit.onnx\"   inputs = [runtime_avg, wake_rate] }",
    },
    BlockKind {
        word: "rules",
        titled: Titled::MaybeName,
        many: false,
        included: true,
        engine: Engine::There,
        fields: &[],
        summary: "sends each task to a tier: the first rule that matches decides; with a name, a group of rules for `use`",
        example: "rules { otherwise -> normal }",
    },
    BlockKind {
        word: "lottery",
        titled: Titled::None,
        many: false,
        included: false,
        engine: Engine::There,
        fields: &[
            Field::new(
                "between",
                FieldType::Choice(&["tiers", "stride", "strict"]),
                "tiers",
                "how the next tier is chosen: by a lottery weighted by tickets, in turns as frequent as the tickets, or always the first in the text that has something to run",
            )
            .default("tiers"),
            Field::new(
                "refill",
                FieldType::Duration(MILLISECOND, 10 * SECOND),
                "1s",
                "how far back what a tier took or missed counts",
            )
            .default("1s"),
            Field::new(
                "compensate",
                FieldType::Truth,
                "true",
                "whether a tier whose tasks leave their slices early is drawn more often for it",
            )
            .default("true"),
            Field::new(
                "seed",
                FieldType::Count(0, i64::MAX),
                "42",
                "the seed of the draws; 0 takes one from the clock",
            )
            .default("0"),
        ],
        summary: "how tiers share the CPUs",
        example: "lottery { between = tiers }",
    },
    BlockKind {
        word: "balance",
        titled: Titled::None,
        many: false,
        included: false,
        engine: Engine::There,
        fields: &[
            Field::new(
                "max_moves",
                FieldType::Ratio(0, 100 * PERCENT),
                "2%",
                "the largest part of a domain's runnable tasks that moves at once; at least one does, unless it is 0%",
            )
            .default("2%"),
            Field::new(
                "model",
                FieldType::Model,
                "latcrit",
                "a model that is asked about each move, and can forbid it",
            )
            .without_engine(),
            Field::new(
                "threshold",
                FieldType::Ratio(0, 100 * PERCENT),
                "50%",
                "what the answer of `model` has to exceed for a move to be made",
            )
            .default("50%")
            .without_engine(),
        ],
        summary: "when tasks move between domains, and how many",
        example: "balance { when imbalance > 15% for 40ms -> migrate within llc }",
    },
    BlockKind {
        word: "reward",
        titled: Titled::None,
        many: false,
        included: false,
        engine: Engine::Missing,
        fields: &[
            Field::new(
                "script",
                FieldType::Path,
                "\"hooks/reward.rhai\"",
                "the script that judges how well the tiers are served",
            )
            .required(),
            Field::new(
                "every",
                FieldType::Duration(100 * MILLISECOND, 3_600 * SECOND),
                "1s",
                "how often it does",
            )
            .default("1s"),
            Field::new(
                "bounds",
                FieldType::Bounds,
                "{ critical.tickets = 400..1600 }",
                "the fields of tiers that may be changed for a better judgement, and how far",
            ),
        ],
        summary: "a script that judges the outcome, and what may be changed for it",
        example: "reward { script = \"hooks/reward.rhai\"   bounds { critical.tickets = 400..1600 } }",
    },
    BlockKind {
        word: "learn",
        titled: Titled::None,
        many: false,
        included: false,
        engine: Engine::Missing,
        fields: &[
            Field::new(
                "key",
                FieldType::Choice(&["exe", "comm"]),
                "exe",
                "what programs are remembered by; a task may call itself any `comm`",
            )
            .default("exe"),
            Field::new(
                "min_observations",
                FieldType::Count(1, 1_000),
                "3",
                "how many tasks of a program must have been seen before what was learnt counts",
            )
            .default("3"),
            Field::new(
                "min_confidence",
                FieldType::Ratio(0, 100 * PERCENT),
                "60%",
                "how alike they must have behaved",
            )
            .default("60%"),
            Field::new(
                "stale",
                FieldType::Duration(SECOND, 86_400 * SECOND),
                "60s",
                "how long a program that is not seen is kept at hand",
            )
            .default("60s"),
            Field::new(
                "limit",
                FieldType::Bytes(4 * KIB, 64 * MIB),
                "64KiB",
                "how much is remembered; the program that was not seen for the longest time goes first",
            )
            .default("64KiB"),
        ],
        summary: "what is remembered of programs, so that a new task starts as what it was the last time",
        example: "learn { key = exe   min_observations = 3 }",
    },
    BlockKind {
        word: "test",
        titled: Titled::Text,
        many: true,
        included: true,
        engine: Engine::There,
        fields: &[],
        summary: "a task, and where the policy must send it",
        example: "test \"nginx is critical\" { task { comm = \"nginx\" } expect critical by edge }",
    },
];

/// Statements that are not blocks of their own, and how each is written.
pub const STATEMENTS: [(&str, &str, &str); 6] = [
    (
        "language",
        "language 1",
        "the version of the language; the first line of a policy",
    ),
    (
        "include",
        "include \"../base/sets.edict\"",
        "brings in the definitions of another file",
    ),
    ("const", "const base = 3ms", "gives a value a name"),
    (
        "set",
        "set browsers = { \"firefox\", \"chromium\" }",
        "gives a set of texts or numbers a name",
    ),
    ("use", "use web", "places a group of rules among the rules"),
    (
        "override",
        "override tier batch { tickets = 50 }",
        "changes fields of a tier that is defined elsewhere",
    ),
];
