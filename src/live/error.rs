//! What the kernel may refuse, each with its entry in the catalogue and a cure.

use crate::diag::{Code, Diagnostic};

/// Why something could not be done with the object.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The kernel has no sched_ext.
    #[error("this kernel has no sched_ext")]
    NoSchedExt,
    /// Root, or the capabilities, are missing.
    #[error("not permitted to load a scheduler")]
    NotPermitted,
    /// The kernel has no BTF.
    #[error("this kernel has no BTF")]
    NoBtf,
    /// Another scheduler is in charge.
    #[error("the scheduler `{0}` is attached already")]
    Occupied(String),
    /// `isolcpus=` is in force.
    #[error(
        "the kernel isolates CPUs (`isolcpus={0}`), and sched_ext then refuses every scheduler"
    )]
    Isolated(String),
    /// The kernel was built with a pahole that breaks kfunc prototypes.
    #[error("the kernel describes its kfuncs wrongly: {}", .0.join(", "))]
    Unsound(Vec<String>),
    /// Open, load or attach failed.
    #[error("the kernel refused the object: {message}")]
    Refused {
        /// What libbpf said.
        message: String,
        /// The last lines of the verifier.
        log: String,
    },
    /// A map or a request failed.
    #[error("{what}: {source}")]
    Kernel {
        /// What was attempted.
        what: &'static str,
        /// What came of it.
        source: std::io::Error,
    },
    /// What was read back is not what was written.
    #[error("the bank that was read back is not the one that was written")]
    Corrupt,
    /// Another generation was committed since this one was prepared.
    #[error("another generation was committed since this one was prepared")]
    Overtaken,
    /// Attach before the first commit, or roll back with nothing before.
    #[error("no generation was committed")]
    NoGeneration,
    /// There is no such task.
    #[error("no task {0}")]
    NoTask(u32),
}

impl LiveError {
    /// Its entry in the catalogue.
    pub fn code(&self) -> Code {
        match self {
            Self::NoSchedExt => Code::E0601,
            Self::NotPermitted => Code::E0602,
            Self::NoBtf => Code::E0603,
            Self::Occupied(_) => Code::E0604,
            Self::Unsound(_) => Code::E0606,
            Self::Isolated(_) => Code::E0612,
            Self::Refused { .. }
            | Self::Kernel { .. }
            | Self::Corrupt
            | Self::Overtaken
            | Self::NoGeneration
            | Self::NoTask(_) => Code::E0605,
        }
    }

    /// What to do about it.
    pub fn cure(&self) -> String {
        match self {
            Self::NoSchedExt => {
                "boot a kernel built with CONFIG_SCHED_CLASS_EXT (6.12 or newer)".into()
            }
            Self::NotPermitted => "run as root".into(),
            Self::NoBtf => "boot a kernel built with CONFIG_DEBUG_INFO_BTF".into(),
            Self::Occupied(name) => format!("stop `{name}` first"),
            Self::Isolated(_) => {
                "boot without `isolcpus=`; a cpuset with an isolated partition does the same".into()
            }
            Self::Unsound(_) => "boot another build of this kernel; this one was made with a pahole that is too old for it".into(),
            Self::Refused { log, .. } if !log.is_empty() => {
                format!("the last lines of the verifier were:\n{log}")
            }
            Self::Overtaken => "prepare again".into(),
            Self::NoGeneration => "commit a generation first".into(),
            _ => "run `edict doctor`; if it finds nothing, this is a defect".into(),
        }
    }

    /// As a diagnostic, to be rendered like any other.
    pub fn diagnostic(&self) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(self.code(), self.to_string());
        diagnostic.help = Some(self.cure());
        diagnostic
    }

    pub(super) fn kernel(what: &'static str) -> impl FnOnce(libbpf_rs::Error) -> Self {
        move |error| Self::Kernel {
            what,
            source: std::io::Error::other(error),
        }
    }

    pub(super) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Kernel { what, source }
    }
}
