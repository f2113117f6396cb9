//! Runs the built binary in a directory with policies.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

pub const EDICT: &str = env!("CARGO_BIN_EXE_edict");

pub const GOOD: &str = r#"language 1
policy web { version = "1.0" }

tier critical { tickets = 800   slice = 3ms   preempt = [batch] }
tier regular  { tickets = 100 }
tier batch    { tickets = 20    slice = 20ms   max_wait = 500ms }

rules {
  edge:    when comm in { "nginx", "envoy" } and nice <= 0   -> critical
  backups: when cgroup under "/batch.slice"                  -> batch
  polite:  when nice >= 10 and not kthread                   -> batch
           otherwise                                         -> regular
}
"#;

pub const BROKEN: &str = r#"language 1
policy web { version = "1.0" }
tier regular { tickets = 100 }
rules {
  edge: when comm == "nginx" -> regluar
        otherwise            -> regular
}
"#;

pub const WARNS: &str = r#"language 1
policy web { version = "1.0" }
tier regular { tickets = 100 }
tier unused  { tickets = 100 }
rules { otherwise -> regular }
"#;

/// A directory with `good.edict` and `broken.edict`.
pub struct Desk {
    dir: tempfile::TempDir,
}

/// What came of a command.
#[derive(Debug)]
pub struct Out {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Out {
    /// Its output; it has succeeded and complained about nothing.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stderr, "");
        self.stdout
    }
}

impl Desk {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let desk = Self { dir };
        desk.write("good.edict", GOOD);
        desk.write("broken.edict", BROKEN);
        desk
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        self.write_bytes(name, text.as_bytes());
    }

    pub fn write_bytes(&self, name: &str, text: &[u8]) {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// The command, with nothing of this environment that could change it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(EDICT);
        command
            .args(args)
            .current_dir(self.dir())
            .env("EDICT_SOCKET", self.dir().join("control.sock"))
            .env_remove("NO_COLOR")
            .env_remove("EDICT_LOG")
            .env("COLUMNS", "80")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Out {
        Self::outcome(self.command(args).output().unwrap())
    }

    pub fn run_with(&self, args: &[&str], input: &str) -> Out {
        self.run_with_bytes(args, input.as_bytes())
    }

    pub fn run_with_bytes(&self, args: &[&str], input: &[u8]) -> Out {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A child that has read enough may have gone.
        let _ = child.stdin.take().unwrap().write_all(input);
        Self::outcome(child.wait_with_output().unwrap())
    }

    fn outcome(output: std::process::Output) -> Out {
        Out {
            code: output.status.code().expect("ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The JSON document of a command that ends with `code`.
    #[track_caller]
    pub fn json(&self, args: &[&str], code: i32) -> Value {
        let mut args = args.to_vec();
        args.extend(["--format", "json"]);
        let out = self.run(&args);
        assert_eq!(out.code, code, "{args:?}: {}{}", out.stdout, out.stderr);
        serde_json::from_str(&out.stdout).unwrap_or_else(|error| {
            panic!("{args:?}: {error}: {}", out.stdout);
        })
    }

    /// Whether every directory on the way to the binary lets others through.
    pub fn is_open_to_others(&self) -> bool {
        Path::new(EDICT)
            .ancestors()
            .skip(1)
            .all(|dir| fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0))
    }
}

/// Compare with a golden file, or write it with `EDICT_BLESS=1`.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli")
        .join(name);
    if std::env::var_os("EDICT_BLESS").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    if wanted != text {
        let differs = wanted
            .lines()
            .zip(text.lines())
            .position(|(wanted, text)| wanted != text);
        panic!(
            "{name} differs from line {:?} on; it is now:\n{text}",
            differs.map(|line| line + 1)
        );
    }
}
