//! `edict translate` and the YAML form on the command line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "cli/edict.rs"]
#[allow(dead_code, reason = "the command line tests use the rest")]
mod edict_binary;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use edict_binary::{Desk, GOOD, golden};

/// A policy with a comment in every place.
const COMMENTED: &str = "\
# Head.

language 1 # one

policy web { version = \"1.0\" }

# ---- sets

# Servers.
set edge = {
  \"nginx\", # the usual one
  # and another
  \"envoy\",
}
tier a { tickets = 5 # few
  # short
  slice = 1ms }
# The rest.
tier b { }

rules {
  # First.
  edge: when comm in edge   # who
         and nice <= 0 -> a # where
  otherwise -> b
} # done
# End.
";

#[test]
fn both_ways_say_the_same() {
    let desk = Desk::new();
    desk.write("web/policy.edict", COMMENTED);
    let yaml = desk.run(&["translate", "--to", "yaml", "web"]).done();
    golden("translate.yaml", &yaml);
    let native = desk.run_with(&["translate", "--to", "native", "-"], &yaml);
    let native = native.done();
    golden("translate.edict", &native);
    // From there on nothing changes any more.
    let again = desk
        .run_with(&["translate", "--to", "yaml", "-"], &native)
        .done();
    let back = desk
        .run_with(&["translate", "--to", "native", "-"], &again)
        .done();
    assert_eq!(back, native);
    let same = desk
        .run_with(&["translate", "--to", "yaml", "-"], &again)
        .done();
    assert_eq!(same, again);
    for (name, text) in [("a/policy.yaml", &yaml), ("b/policy.edict", &native)] {
        desk.write(name, text);
        let directory = name.split('/').next().unwrap();
        assert_eq!(
            desk.run(&["check", "--format", "plain", directory]).done(),
            ""
        );
    }
    let tier = |policy: &str| desk.json(&["eval", policy, "--task", "comm=nginx nice=0"], 0);
    let (one, two) = (tier("a"), tier("b"));
    assert_eq!((&one["tier"], &one["rule"]), (&two["tier"], &two["rule"]));
    assert_eq!(one["tier"], "a");
    let fresh = desk.json(&["translate", "--to", "yaml", "web"], 0);
    assert_eq!(fresh["text"], yaml);
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let desk = Desk::new();
    let path = desk.dir().join("out.yaml");
    desk.run(&["translate", "--to", "yaml", "good.edict", "-o", "out.yaml"])
        .done();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("language: 1\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("out.yaml", desk.dir().join("link.yaml")).unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    desk.write("copy.yaml", &text);
    desk.run(&["translate", "--to", "yaml", "copy.yaml", "-o", "link.yaml"])
        .done();
    let after = fs::metadata(&path).unwrap();
    assert_ne!(after.ino(), before);
    assert_eq!(after.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(
        fs::symlink_metadata(desk.dir().join("link.yaml"))
            .unwrap()
            .is_symlink()
    );

    // A policy that is broken changes nothing.
    let out = desk.run(&["translate", "--to", "yaml", "-o", "out.yaml", "/dev/null"]);
    assert_eq!(out.code, 3);
    desk.write("bad.edict", "language 1\nrules { otherwise -> }\n");
    let out = desk.run(&["translate", "--to", "yaml", "bad.edict", "-o", "out.yaml"]);
    assert_eq!((out.code, out.stdout.as_str()), (3, ""));
    assert!(out.stderr.contains("E0101"), "{}", out.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let out = desk.run(&[
        "translate",
        "--to",
        "yaml",
        "good.edict",
        "-o",
        "none/out.yaml",
    ]);
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("E0014"), "{}", out.stderr);
    let out = desk.run(&["translate", "--to", "yaml", "good.edict", "-o", "/dev/full"]);
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("E0014"), "{}", out.stderr);
    desk.run(&["translate", "--to", "yaml", "good.edict", "-o", "/dev/null"])
        .done();
    let left: Vec<_> = fs::read_dir(desk.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn comments_inside_of_conditions_are_carried_over() {
    let desk = Desk::new();
    let text = "\
language: 1
policy: { name: p, description: \"no # comment\" }
tier:
  a:
    slice: |
      1ms  # short
  b: {}
set:
  s: [x]
rules:
  # Above.
  - when: |
      comm in s  # these

      # and polite ones
      and nice > 3
    tier: a  # there
  - when: 'nice > 2  # it''s one line'
    tier: a
  - when: |2
        uid == 1  # indented
    tier: a
  - otherwise: b
";
    for to in ["native", "yaml"] {
        let out = desk.run_with(&["translate", "--to", to, "-"], text).done();
        for comment in [
            "# short",
            "# Above.",
            "# these",
            "# and polite ones",
            "# there",
            "# it's one line",
            "# indented",
        ] {
            let lines = out.lines().filter(|line| line.contains(comment));
            assert_eq!(lines.count(), 1, "{comment} in {out}");
        }
        assert_eq!(out.matches('#').count(), 8, "{out}");
        let again = desk.run_with(&["translate", "--to", to, "-"], &out).done();
        assert_eq!(again, out);
    }
    // Two that would stand behind the same line are not joined.
    let text = "language 1\ntier a {\n  slice = 1ms # one\n} # two\nrules { otherwise -> a }\n";
    let out = desk
        .run_with(&["translate", "--to", "yaml", "-"], text)
        .done();
    assert!(
        out.contains("  # one\n") && out.contains("# two\n"),
        "{out}"
    );
    assert!(!out.contains("# one  # two"), "{out}");
}

#[test]
fn the_original_stays_and_names_tell_the_form() {
    let desk = Desk::new();
    let yaml = desk
        .run(&["translate", "--to", "yaml", "good.edict", "-o", "-"])
        .done();
    assert!(yaml.starts_with("language: 1\n"), "{yaml}");
    assert!(!desk.dir().join("-").exists());
    desk.write("good.yaml", &yaml);
    desk.write("plain", GOOD);
    symlink("plain", desk.dir().join("link")).unwrap();
    for (to, from, output, why) in [
        ("yaml", "good.edict", "good.edict", "says the block form"),
        ("yaml", "good.edict", "new.edict", "says the block form"),
        ("native", "good.yaml", "good.yaml", "says YAML"),
        ("native", "good.yaml", "new.yml", "says YAML"),
        ("yaml", "plain", "plain", "the policy that is translated"),
        ("yaml", "plain", "link", "the policy that is translated"),
        ("yaml", "link", "plain", "the policy that is translated"),
    ] {
        let out = desk.run(&["translate", "--to", to, from, "-o", output]);
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{from} {output}");
        assert!(out.stderr.contains("E0014"), "{}", out.stderr);
        assert!(out.stderr.contains(why), "{}", out.stderr);
        assert!(out.stderr.contains("choose"), "{}", out.stderr);
    }
    for (name, text) in [("good.edict", GOOD), ("good.yaml", &yaml), ("plain", GOOD)] {
        assert_eq!(fs::read_to_string(desk.dir().join(name)).unwrap(), text);
    }
    assert!(!desk.dir().join("new.edict").exists() && !desk.dir().join("new.yml").exists());
    desk.run(&[
        "translate",
        "--to",
        "native",
        "good.yaml",
        "-o",
        "new.edict",
    ])
    .done();
    // Characters that YAML does not have are carried over as escapes.
    let odd = GOOD.replacen(
        "language 1\n",
        "language 1\n# \u{FFFE}x\nconst odd = \"a\u{FFFE}\u{FFFF}b\"\n",
        1,
    );
    assert!(odd.contains('\u{FFFE}'), "{odd}");
    let yaml = desk
        .run_with(&["translate", "--to", "yaml", "-"], &odd)
        .done();
    assert!(yaml.contains("\\ufffe\\uffff"), "{yaml}");
    assert!(yaml.contains("# \u{FFFD}x\n"), "{yaml}");
}

#[test]
fn what_cannot_be_translated_says_why() {
    let desk = Desk::new();
    for (text, place) in [
        ("language 1\nrules { }\nrules { }\n", "3:1"),
        ("language 1\ntier a { }\ntier a { }\n", "3:1"),
        ("language 1\nlevel a { }\n", "2:1"),
        ("language 1\ntier a { tier b { slice = 5ms } }\n", "2:10"),
        ("language 1\ntier a { slice = 5ms slice = 6ms }\n", "2:22"),
        ("slice = 5ms\n", "1:1"),
    ] {
        desk.write("odd.edict", text);
        let out = desk.run(&[
            "translate",
            "--to",
            "yaml",
            "odd.edict",
            "--format",
            "plain",
        ]);
        assert_eq!((out.code, out.stdout.as_str()), (3, ""), "{text}");
        let wanted = format!("odd.edict:{place}: error[E0133]: ");
        assert!(out.stderr.starts_with(&wanted), "{text}{}", out.stderr);
        let refused = desk.json(&["translate", "--to", "yaml", "odd.edict"], 3);
        assert_eq!(refused["diagnostics"][0]["code"], "E0133");
    }
    let out = desk.run(&["translate", "good.edict"]);
    assert_eq!(out.code, 1);
    let out = desk.run(&["translate", "--to", "yaml", "missing.edict"]);
    assert_eq!(out.code, 3);
    assert!(out.stderr.contains("E0001"));
}

#[test]
fn yaml_is_read_wherever_a_policy_is() {
    let desk = Desk::new();
    desk.write("good.yaml", "language: 1\n");
    let yaml = desk
        .run(&["translate", "--to", "yaml", "good.edict"])
        .done();
    desk.write("web/policy.yaml", &yaml);
    let line = desk.run(&["check", "web"]).done();
    assert!(line.contains("3 tiers, 4 rules"), "{line}");
    // Standard input has no name; its first line tells the form.
    assert_eq!(
        desk.run_with(&["check", "-", "--format", "plain"], &yaml)
            .done(),
        ""
    );
    assert_eq!(
        desk.run_with(&["check", "-", "--format", "plain"], GOOD)
            .done(),
        ""
    );
    let plan = desk.run(&["plan", "web"]).done();
    assert!(plan.contains("critical"), "{plan}");
    let out = desk.run(&["fmt", "--check", "web/policy.yaml"]);
    assert_eq!(out.code, 3);
    assert!(out.stderr.contains("E0132"), "{}", out.stderr);
    assert_eq!(
        fs::read_to_string(desk.dir().join("web/policy.yaml")).unwrap(),
        yaml
    );
    desk.write("web/policy.edict", GOOD);
    let out = desk.run(&["check", "web"]);
    assert_eq!(out.code, 3);
    assert!(out.stdout.contains("E0131"), "{}", out.stdout);
}
