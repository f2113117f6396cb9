//! The classifier in the kernel, through `BPF_PROG_RUN`.

use super::facts::Facts;
use super::host::verdict;
use edict::image::Image;
use libbpf_rs::{MapCore, MapFlags, ObjectBuilder, ProgramInput};

/// `PROOF_TASKS` of `bpf/proof.bpf.c`.
pub const TASKS: usize = 4096;

pub struct Proof {
    object: libbpf_rs::Object,
    verdicts: Vec<u8>,
}

/// Why BPF cannot run here, if so.
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".into());
    }
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("no BTF of the kernel".into());
    }
    None
}

impl Proof {
    pub fn load() -> Self {
        let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/proof.bpf.o"));
        let object = ObjectBuilder::default()
            .open_memory(bytes)
            .unwrap()
            .load()
            .unwrap();
        Self {
            object,
            verdicts: Vec::new(),
        }
    }

    fn map(&self, name: &str) -> libbpf_rs::Map<'_> {
        self.object.maps().find(|map| map.name() == name).unwrap()
    }

    pub fn fill(&self, bank: u32, image: &Image) {
        self.map("edict_banks")
            .update(&bank.to_le_bytes(), image.bank(), MapFlags::ANY)
            .unwrap();
    }

    fn set_tasks(&self, facts: &[Facts]) {
        assert!(facts.len() <= TASKS);
        let mut bytes: Vec<u8> = facts.iter().flat_map(Facts::bytes).collect();
        bytes.resize(TASKS * Facts::SIZE, 0);
        self.map("proof_tasks")
            .update(&0_u32.to_le_bytes(), &bytes, MapFlags::ANY)
            .unwrap();
    }

    /// Runs a program; nanoseconds for `count * rounds` tasks.
    fn run(&self, program: &str, bank: u32, count: usize, rounds: usize) -> u64 {
        let mut request = [0_u8; 32];
        request[0..4].copy_from_slice(&bank.to_le_bytes());
        request[4..8].copy_from_slice(&(count as u32).to_le_bytes());
        request[8..12].copy_from_slice(&(rounds as u32).to_le_bytes());
        let program = self
            .object
            .progs_mut()
            .find(|p| p.name() == program)
            .unwrap();
        let output = program
            .test_run(ProgramInput {
                context_in: Some(&mut request),
                ..ProgramInput::default()
            })
            .unwrap();
        assert_eq!(output.return_value, 0);
        u64::from_le_bytes(request[16..24].try_into().unwrap())
    }

    /// The verdict for each task.
    pub fn classify(&mut self, bank: u32, facts: &[Facts]) -> Vec<Option<(u16, u8)>> {
        self.set_tasks(facts);
        self.run("proof_classify", bank, facts.len(), 1);
        self.verdicts = self
            .map("proof_verdicts")
            .lookup(&0_u32.to_le_bytes(), MapFlags::ANY)
            .unwrap()
            .unwrap();
        self.verdicts
            .chunks_exact(4)
            .take(facts.len())
            .map(|word| verdict(i32::from_le_bytes(word.try_into().unwrap())))
            .collect()
    }

    /// Nanoseconds for one classification over these tasks, and for the same
    /// loop without it.
    pub fn time(&self, bank: u32, facts: &[Facts], rounds: usize) -> (f64, f64) {
        self.set_tasks(facts);
        let all = (facts.len() * rounds) as f64;
        let with = self.run("proof_classify", bank, facts.len(), rounds);
        let without = self.run("proof_empty", bank, facts.len(), rounds);
        (with as f64 / all, without as f64 / all)
    }
}
