//! `edict why`: which tier is a running task in, and why?

use clap::Args;

use super::serving::{self, SocketArgs};
use super::{Exit, Terminal};

/// Say which tier a running task is in, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edict why 4711
  edict why --format json $(pidof -s nginx) | jq .attributes

The rules are evaluated again from the text of the policy, with what the kernel
knows of the task, and compared with what the kernel has decided. Every thread
has a number of its own; the number of a process is that of its first thread.")]
pub(super) struct WhyArgs {
    /// The number of a process or thread
    #[arg(value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: u32,
    #[command(flatten)]
    socket: SocketArgs,
}

#[cfg(not(feature = "live"))]
pub(super) fn run(args: &WhyArgs, terminal: &Terminal) -> Exit {
    let _ = args.pid;
    serving::absent(terminal)
}

#[cfg(feature = "live")]
pub(super) use with::run;

#[cfg(feature = "live")]
mod with {
    use serde_json::Value;

    use super::{Exit, Terminal, WhyArgs, serving};
    use crate::agent::protocol::Request;
    use crate::agent::report::Why;
    use crate::check::{Attribute, Type};
    use crate::cli::Format;
    use crate::cli::figures::nanos;
    use crate::diag::visible;

    pub(in crate::cli) fn run(args: &WhyArgs, terminal: &Terminal) -> Exit {
        match serving::ask::<Why>(&args.socket, &Request::Why { pid: args.pid }, terminal) {
            Ok(why) => {
                match terminal.format() {
                    Format::Json => terminal.json(&why),
                    Format::Plain => terminal.print(&format!("{}\t{}\n", why.tier, why.rule)),
                    Format::Human => terminal.print(&picture(terminal, &why)),
                }
                Exit::Done
            }
            Err(exit) => exit,
        }
    }

    fn picture(terminal: &Terminal, why: &Why) -> String {
        let thread = match why.tgid == why.pid {
            true => String::new(),
            false => format!(", a thread of {}", why.tgid),
        };
        let mut out = format!(
            "{} ({}{thread}) is in tier {}\n",
            terminal.bold(&why.comm),
            why.pid,
            terminal.bold(&why.tier),
        );
        out.push_str(&format!(
            "  by rule {}, {}:{}\n",
            visible(&why.rule),
            visible(&why.file),
            why.line
        ));
        for line in why.source.lines() {
            out.push_str(&format!("    {}\n", terminal.dim(line.trim())));
        }
        out.push_str(&format!("  {}\n", verdict(terminal, why)));
        out.push_str("\nattributes\n");
        for (name, value) in &why.attributes {
            out.push_str(&format!(
                "  {:<12} {}\n",
                visible(name),
                shown(terminal, name, value)
            ));
        }
        out.push_str("\nrules\n");
        let width = why.trace.iter().map(|s| s.rule.chars().count()).max();
        let width = width.unwrap_or(0);
        for step in &why.trace {
            let (mark, because) = match step.matched {
                true => (terminal.green("✓"), visible(&step.because).into_owned()),
                false => ("·".to_owned(), terminal.dim(&step.because)),
            };
            out.push_str(&format!("  {mark} {:width$}  {because}\n", step.rule));
        }
        out
    }

    fn verdict(terminal: &Terminal, why: &Why) -> String {
        let generation = why.generation;
        match (&why.cached, why.agrees) {
            (Some(_), Some(true)) => terminal.green(&format!(
                "the kernel has decided the same, in generation {generation}"
            )),
            (Some(cached), Some(false)) => terminal.red(&format!(
                "the kernel has decided otherwise: tier {} by rule {}, in generation {generation}; \
                 an attribute may have changed this moment",
                cached.tier, cached.rule
            )),
            (Some(cached), None) => format!(
                "the kernel decides again when it runs next; generation {} had decided, \
                 {generation} is in force",
                cached.generation
            ),
            (None, _) => {
                format!("the kernel decides when it runs next; generation {generation} is in force")
            }
        }
    }

    fn shown(terminal: &Terminal, name: &str, value: &Value) -> String {
        let ty = Attribute::by_name(name).map(|attribute| attribute.about().ty);
        match (value, ty) {
            (Value::Null, _) => terminal.dim("unknown"),
            (Value::String(text), _) => visible(text).into_owned(),
            (Value::Number(number), Some(Type::Duration)) => nanos(number.as_u64().unwrap_or(0)),
            // Parts per million.
            (Value::Number(number), Some(Type::Ratio)) => {
                format!("{:.1}%", number.as_f64().unwrap_or(0.0) / 10_000.0)
            }
            (other, _) => other.to_string(),
        }
    }

    #[cfg(test)]
    mod tests {
        use serde_json::json;

        use super::*;
        use crate::agent::report::{Cached, Step};
        use crate::cli::Color;

        fn why() -> Why {
            let attributes = json!({
                "cgroup": null,
                "comm": "cc1plus",
                "lat_cri": 417_602,
                "nice": 5,
                "runtime_avg": 2_100_000,
            });
            Why {
                pid: 4712,
                tgid: 4711,
                comm: "cc1plus".into(),
                class: "ext".into(),
                tier: "batch".into(),
                rule: "builds".into(),
                file: "policies/desktop/policy.edict".into(),
                line: 24,
                source: "builds: when comm in compilers -> batch".into(),
                generation: 3,
                attributes: attributes.as_object().unwrap().clone(),
                trace: vec![
                    Step {
                        rule: "edge".into(),
                        line: 22,
                        matched: false,
                        because: "comm is \"cc1plus\", none of 3 names".into(),
                    },
                    Step {
                        rule: "builds".into(),
                        line: 24,
                        matched: true,
                        because: "comm is \"cc1plus\", one of 5 names".into(),
                    },
                ],
                cached: Some(Cached {
                    tier: "batch".into(),
                    rule: "builds".into(),
                    generation: 3,
                }),
                agrees: Some(true),
                perf: 1024,
            }
        }

        #[test]
        fn the_picture_tells_the_whole_story() {
            let terminal = Terminal::new(Format::Human, Color::Never);
            let expected = "\
cc1plus (4712, a thread of 4711) is in tier batch
  by rule builds, policies/desktop/policy.edict:24
    builds: when comm in compilers -> batch
  the kernel has decided the same, in generation 3

attributes
  cgroup       unknown
  comm         cc1plus
  lat_cri      41.8%
  nice         5
  runtime_avg  2.1ms

rules
  · edge    comm is \"cc1plus\", none of 3 names
  ✓ builds  comm is \"cc1plus\", one of 5 names
";
            assert_eq!(picture(&terminal, &why()), expected);
        }

        #[test]
        fn a_disagreement_is_said_loudly() {
            let terminal = Terminal::new(Format::Human, Color::Never);
            let mut why = why();
            why.agrees = Some(false);
            assert!(picture(&terminal, &why).contains("decided otherwise: tier batch"));
            why.agrees = None;
            assert!(picture(&terminal, &why).contains("decides again when it runs next"));
            why.cached = None;
            assert!(picture(&terminal, &why).contains("decides when it runs next"));
        }
    }
}
