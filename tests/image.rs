//! The same policy gives the same bytes: twice in one process, and on every
//! machine. The digests of what ships are written down; when the layout or the
//! compiler changes, `EDICT_BLESS=1 cargo test --test image` writes them anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use edict::check::{check_path, check_text};
use edict::image::{self, Image, layout};
use edict::plan;

const SHIPPED: &[&str] = &[
    "examples/01-two-tiers.edict",
    "examples/02-sets-and-cgroups.edict",
    "examples/07-limits.edict",
    "policies/base",
    "policies/desktop",
];

fn compile(path: &str) -> Image {
    let checked = check_path(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let policy = checked
        .policy
        .unwrap_or_else(|| panic!("{path}: {:#?}", checked.diagnostics));
    image::emit(&plan::lower(&policy).unwrap()).unwrap()
}

#[test]
fn what_ships_has_the_digests_that_are_written_down() {
    let mut text = String::new();
    for path in SHIPPED {
        let image = compile(path);
        assert_eq!(image.bank(), compile(path).bank(), "{path}");
        assert_eq!(image.bank().len(), layout::bank::SIZE);
        writeln!(text, "{} {path}", image.digest()).unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/image.digests");
    if std::env::var_os("EDICT_BLESS").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(&golden).unwrap_or_default());
}

#[test]
fn names_and_comments_are_not_in_the_bytes_and_numbers_are() {
    let digest = |text: &str| {
        let checked = check_text("a.edict", text);
        let policy = checked
            .policy
            .unwrap_or_else(|| panic!("{:#?}", checked.diagnostics));
        image::emit(&plan::lower(&policy).unwrap())
            .unwrap()
            .digest()
    };
    let of = |name: &str, tickets: u32, rest: &str| {
        digest(&format!(
            "language 1\npolicy {name} {{}}\ntier t {{ tickets = {tickets} }}\nrules {{ {rest} otherwise -> t }}\n"
        ))
    };
    assert_eq!(of("a", 5, ""), of("b", 5, "# why not\n"));
    assert_ne!(of("a", 5, ""), of("a", 6, ""));
    assert_ne!(of("a", 5, ""), of("a", 5, "when nice > 3 -> t\n"));
}

#[test]
fn a_policy_without_conditions_uses_no_attribute() {
    let checked = check_text(
        "a.edict",
        "language 1\npolicy a {}\ntier t {}\nrules { otherwise -> t }\n",
    );
    let plan = plan::lower(&checked.policy.unwrap()).unwrap();
    assert!(plan.attributes().is_empty());
    let image = image::emit(&plan).unwrap();
    for about in edict::check::ATTRIBUTES {
        assert!(!image.uses(about.attribute), "{}", about.name);
    }
}
