//! Compiles the BPF objects and, for the tests, the classifier for the host.
//!
//! `scx_cargo` brings vmlinux.h and the sched_ext headers; what it needs from
//! the machine is clang 18 or newer (`BPF_CLANG`) and libclang. Without the
//! feature `live` there is nothing to do.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "live")]
    if let Err(error) = live::build() {
        println!("cargo::error={error:#}");
        std::process::exit(1);
    }
}

#[cfg(feature = "live")]
mod live {
    use std::error::Error;
    use std::path::Path;

    /// Objects: source, name of the skeleton. A source that is not there yet
    /// is a mistake, not a choice.
    const OBJECTS: &[(&str, &str)] = &[("bpf/proof.bpf.c", "proof")];

    pub fn build() -> Result<(), Box<dyn Error>> {
        println!("cargo::rerun-if-changed=bpf");
        for variable in ["BPF_CLANG", "BPF_CFLAGS", "LIBCLANG_PATH"] {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        for (source, name) in OBJECTS {
            scx_cargo::BpfBuilder::new()?
                .enable_skel(source, name)
                .compile_link_gen()?;
        }
        scx_cargo::BpfBuilder::new()?
            .enable_skel("bpf/main.bpf.c", "main")
            .build()?;
        native();
        Ok(())
    }

    /// `libedict_classify.a` and so on: only tests refer to them, so they are not
    /// part of the binary.
    fn native() {
        for name in ["classify", "lottery", "balance"] {
            cc::Build::new()
                .file(Path::new("tests/native").join(name).with_extension("c"))
                .include("bpf")
                .warnings(true)
                .extra_warnings(true)
                .compile(&format!("edict_{name}"));
        }
        println!("cargo::rerun-if-changed=tests/native");
    }
}
