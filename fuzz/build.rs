//! Compiles the classifier for the host, as `build.rs` above does for the tests,
//! but with the sanitizers that the Rust around it is built with.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../bpf");
    println!("cargo::rerun-if-changed=../tests/native");
    println!("cargo::rerun-if-env-changed=BPF_CLANG");
    let clang = env::var("BPF_CLANG").unwrap_or_else(|_| "clang".into());
    let has_clang = Command::new(&clang).arg("--version").output().is_ok();
    let is_sanitized =
        env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("sanitizer=address"));
    let mut build = cc::Build::new();
    build.file("../tests/native/classify.c").include("../bpf");
    if has_clang && is_sanitized {
        build
            .compiler(clang)
            // In BPF, signed numbers wrap: a bank of any bytes may make them.
            .flag("-fwrapv")
            .flag("-fsanitize=address,fuzzer-no-link,bounds,shift")
            .flag("-fsanitize-trap=bounds,shift");
    } else {
        println!("cargo::warning=no clang: the classifier is not instrumented");
    }
    build.compile("edict_classify");
}
