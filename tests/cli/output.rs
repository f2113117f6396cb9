//! What reaches the reader: nothing that commands a terminal, and all or a
//! failure.

use std::fs::File;

use super::edict::{Desk, GOOD};

const EVIL: &str = "\u{1b}[2J\u{202e}";

#[test]
fn what_is_printed_cannot_command_a_terminal() {
    let desk = Desk::new();
    let text = GOOD.replace("\"1.0\"", r#""1\u{1b}[2J\u{202e}""#);
    let name = "a\u{1b}[2J\u{202e}\nb.edict";
    desk.write(name, &text);
    desk.write("x\u{1b}[2J.edict", "language 1\nnonsense\n");
    for color in ["never", "always"] {
        for args in [
            &["check", name][..],
            &["eval", name, "--task", "comm='\u{1b}[2J' nice=-1"],
            &["plan", name],
            &["check", "--format", "plain", "x\u{1b}[2J.edict"],
            &["eval", "x\u{1b}[2J.edict"],
            &["explain", EVIL],
            &["help", EVIL],
            &["man", EVIL],
            &["new", EVIL],
            &["test", name],
            &["test", "good.edict", "--filter", EVIL],
            &["diff", name, name],
            &["diff", "good.edict", "good.edict", "--snapshot", EVIL],
            &["snapshot", "--seconds", "0", "-o", "no\u{1b}[2J/x"],
            &["eval", "good.edict", "--task", EVIL],
            #[cfg(feature = "live")]
            &["status", "--socket", EVIL],
        ] {
            let mut args = args.to_vec();
            args.extend(["--color", color]);
            let out = desk.run(&args);
            for text in [&out.stdout, &out.stderr] {
                assert!(!text.contains("\u{1b}[2J"), "{args:?}: {text:?}");
                assert!(!text.contains('\u{202e}'), "{args:?}: {text:?}");
            }
            let all = out.stdout + &out.stderr;
            assert!(
                all.contains("\\u{1b}") || all.contains('\u{fffd}'),
                "{args:?}: {all}"
            );
        }
    }
    let ok = desk.run(&["check", name]).stdout;
    assert_eq!(ok.lines().count(), 1, "{ok}");
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let desk = Desk::new();
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return;
    };
    for args in [
        &["check", "good.edict"][..],
        &["plan", "good.edict", "--format", "json"],
        &["test", "--coverage", "good.edict"],
        &["diff", "good.edict", "good.edict"],
        &["man"],
        &["help", "language"],
        &["--help"],
        &["--version"],
    ] {
        let stdout = full.try_clone().unwrap();
        let out = desk.command(args).stdout(stdout).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(
            stderr.starts_with("edict: standard output: No space left"),
            "{args:?}: {stderr}"
        );
    }
    let stdout = full.try_clone().unwrap();
    let mut invalid = desk.command(&["check", "broken.edict"]);
    assert_eq!(invalid.stdout(stdout).status().unwrap().code(), Some(3));
}
