//! The attributes of the machine as a whole, from `/proc` and `/sys`.
//!
//! Ratios are in parts per million. `cpu_util` and `imbalance` need two samples:
//! they are about the time between this one and the one before. What a machine
//! does not tell stays unknown.
//!
//! The loads that `imbalance` compares are those that the object measures. Where
//! there is no object, the time that CPUs were busy stands in for them, which
//! knows nothing of who waits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::topology::Topology;
use crate::check::{Attribute, Value};
use crate::live::{Load, imbalance};

/// Samples the machine.
#[derive(Debug)]
pub struct System {
    proc: PathBuf,
    supplies: PathBuf,
    topology: Topology,
    /// Ticks of each CPU at the last sample.
    last: BTreeMap<u32, Ticks>,
    /// `cpu_util` and `imbalance` as they were found then.
    spans: [Option<i64>; 2],
}

/// Ticks of a CPU that a span needs, if there is one before it to go by: a tenth
/// of a second. CPUs that come and go are asked about in between.
const SPAN: u64 = 10;

/// What a CPU has done since boot, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    all: u64,
}

impl System {
    /// Samples this machine, which has `topology`.
    pub fn new(topology: Topology) -> Self {
        Self {
            proc: "/proc".into(),
            supplies: "/sys/class/power_supply".into(),
            topology,
            last: BTreeMap::new(),
            spans: [None; 2],
        }
    }

    /// The CPUs that it goes by.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// CPUs came or went. What the others did since the last sample still counts.
    pub fn set_topology(&mut self, topology: Topology) {
        self.topology = topology;
    }

    /// What is known now.
    pub fn sample(&mut self) -> Vec<(Attribute, Value)> {
        let read = |name: &str| fs::read_to_string(self.proc.join(name)).unwrap_or_default();
        let now = ticks(&read("stat"));
        let spent: BTreeMap<u32, Ticks> = now
            .iter()
            .filter_map(|(cpu, now)| {
                let last = self.last.get(cpu)?;
                Some((
                    *cpu,
                    Ticks {
                        busy: now.busy.saturating_sub(last.busy),
                        all: now.all.saturating_sub(last.all),
                    },
                ))
            })
            .collect();
        let ncpu = i64::try_from(self.topology.ncpu()).unwrap_or(i64::MAX);
        let is_short = spent.values().all(|ticks| ticks.all < SPAN);
        if !(is_short && self.spans.iter().all(Option::is_some)) {
            self.spans = [utilisation(spent.values()), self.imbalance(&spent)];
            self.last = now;
        }
        let [cpu_util, imbalance] = self.spans;
        let found = [
            (Attribute::CpuUtil, cpu_util),
            (
                Attribute::Load,
                load(&read("loadavg")).and_then(|load| load.checked_div(ncpu)),
            ),
            (Attribute::Imbalance, imbalance),
            (Attribute::PsiCpu, pressure(&read("pressure/cpu"))),
            (Attribute::Ncpu, (ncpu > 0).then_some(ncpu)),
        ];
        let mut known: Vec<(Attribute, Value)> = found
            .into_iter()
            .filter_map(|(attribute, value)| Some((attribute, Value::Number(value?))))
            .collect();
        if let Some(truth) = on_battery(&self.supplies) {
            known.push((Attribute::OnBattery, Value::Truth(truth)));
        }
        known
    }

    /// The imbalance of the caches, by how busy they were.
    fn imbalance(&self, spent: &BTreeMap<u32, Ticks>) -> Option<i64> {
        let mut caches: BTreeMap<u32, Vec<&Ticks>> = BTreeMap::new();
        for (cpu, ticks) in spent {
            let place = self.topology.place(*cpu)?;
            caches.entry(place.llc).or_default().push(ticks);
        }
        let load = |ticks| utilisation(ticks).map(|parts| Load(parts.cast_unsigned()));
        let loads: Option<Vec<Load>> = caches.into_values().map(load).collect();
        let loads = loads.filter(|loads| !loads.is_empty())?;
        Some(imbalance(loads))
    }
}

const MILLION: i64 = 1_000_000;

/// Busy parts of all ticks; none where no time has passed.
fn utilisation<'a>(ticks: impl IntoIterator<Item = &'a Ticks>) -> Option<i64> {
    let (busy, all) = ticks.into_iter().fold((0, 0), |(busy, all), ticks| {
        (busy + u128::from(ticks.busy), all + u128::from(ticks.all))
    });
    let parts = (busy * 1_000_000).checked_div(all)?;
    i64::try_from(parts).ok()
}

/// The lines of `/proc/stat` about single CPUs. The fields are user, nice,
/// system, idle, iowait, irq, softirq and steal; guest time is in user already.
fn ticks(stat: &str) -> BTreeMap<u32, Ticks> {
    stat.lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("cpu")?.split_ascii_whitespace();
            let cpu = words.next()?.parse().ok()?;
            let mut ticks = Ticks::default();
            if !line.starts_with(&format!("cpu{cpu} ")) {
                return None;
            }
            for (index, word) in words.take(8).enumerate() {
                let number: u64 = word.parse().ok()?;
                ticks.all += number;
                if !matches!(index, 3 | 4) {
                    ticks.busy += number;
                }
            }
            Some((cpu, ticks))
        })
        .collect()
}

/// The load average over one minute, in millionths.
fn load(loadavg: &str) -> Option<i64> {
    decimal(loadavg.split_ascii_whitespace().next()?)
}

/// `some avg10=1.53 avg60=…`, a percentage.
fn pressure(text: &str) -> Option<i64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let percent = some
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("avg10="))?;
    Some((decimal(percent)? / 100).clamp(0, MILLION))
}

/// `0.53` in millionths.
fn decimal(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{:0<6}", fraction.get(..6).unwrap_or(fraction));
    let whole: i64 = whole.parse().ok()?;
    whole
        .checked_mul(MILLION)?
        .checked_add(fraction.parse().ok()?)
}

/// Whether a battery is all that there is. Batteries of mice and phones do not
/// count, and a machine without supplies that tell is not on battery.
fn on_battery(supplies: &Path) -> Option<bool> {
    let Ok(entries) = fs::read_dir(supplies) else {
        return (!supplies.exists()).then_some(false);
    };
    let mut has_battery = false;
    let mut has_power = false;
    for entry in entries.flatten() {
        let text = |name: &str| {
            fs::read_to_string(entry.path().join(name))
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        };
        if text("scope") == "Device" {
            continue;
        }
        match text("type").as_str() {
            "Battery" => has_battery |= text("present") != "0",
            _ => has_power |= text("online") == "1",
        }
    }
    Some(has_battery && !has_power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_not_idle() {
        let before =
            ticks("cpu  9 9 9\ncpu0 10 0 10 100 5 0 0 0 0 0\ncpu1 0 0 0 50 0 0 0 0\nintr 3\n");
        assert_eq!(before.len(), 2);
        assert_eq!(before[&0], Ticks { busy: 20, all: 125 });
        assert_eq!(utilisation(before.values()), Some(20 * MILLION / 175));
        assert_eq!(utilisation([]), None);
    }

    #[test]
    fn numbers_with_a_point() {
        assert_eq!(load("0.53 0.40 0.30 1/234 5678\n"), Some(530_000));
        assert_eq!(load("12.00"), Some(12_000_000));
        assert_eq!(load(""), None);
        let text = "some avg10=1.53 avg60=0.87 avg300=0.52 total=1\nfull avg10=0.00\n";
        assert_eq!(pressure(text), Some(15_300));
        assert_eq!(pressure("full avg10=0.00"), None);
        assert_eq!(decimal("-"), None);
    }

    #[test]
    fn on_battery_while_nothing_else_feeds() {
        let root = tempfile::tempdir().unwrap();
        let supply = |name: &str, files: &[(&str, &str)]| {
            let directory = root.path().join(name);
            fs::create_dir_all(&directory).unwrap();
            for (file, text) in files {
                fs::write(directory.join(file), text).unwrap();
            }
        };
        assert_eq!(on_battery(root.path()), Some(false));
        supply("hid", &[("type", "Battery\n"), ("scope", "Device\n")]);
        assert_eq!(on_battery(root.path()), Some(false));
        supply("BAT0", &[("type", "Battery\n"), ("present", "1\n")]);
        assert_eq!(on_battery(root.path()), Some(true));
        supply("AC", &[("type", "Mains\n"), ("online", "1\n")]);
        assert_eq!(on_battery(root.path()), Some(false));
        supply("AC", &[("online", "0\n")]);
        assert_eq!(on_battery(root.path()), Some(true));
        assert_eq!(on_battery(Path::new("/nowhere/at/all")), Some(false));
    }

    #[test]
    fn imbalance_compares_caches() {
        let system = System::new(Topology::read());
        let spent = |busy: u64| Ticks { busy, all: 100 };
        let one: BTreeMap<u32, Ticks> = [(0, spent(40))].into();
        assert_eq!(system.imbalance(&one), Some(0), "one cache is in balance");
    }

    #[test]
    fn this_machine_tells_something() {
        let mut system = System::new(Topology::read());
        let first = system.sample();
        let known = |sample: &[(Attribute, Value)], attribute| {
            sample.iter().any(|(known, _)| *known == attribute)
        };
        assert!(known(&first, Attribute::Ncpu) && known(&first, Attribute::Load));
        assert!(!known(&first, Attribute::CpuUtil), "one sample is no span");
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert!(known(&system.sample(), Attribute::CpuUtil));
    }
}
