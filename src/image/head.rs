//! The header of a bank: how large its tables are, how tiers share the CPUs, and
//! the tiers.
//!
//! The object reads fields in the units that it counts in: performance levels in
//! 1024ths, CPUs as a mask, and a bit per tier for each of what few tiers have,
//! so that a policy without it costs one test.

use super::bytes::Bytes;
use super::layout::tier::flag;
use super::layout::{self, between, head, order, tier, within};
use super::narrow;
use crate::check::{Between, Cpus, Order, Ppm, Tier};
use crate::plan::Plan;

pub(super) fn write(bytes: &mut Bytes, plan: &Plan, uses: u64, words: usize, rows: usize) {
    bytes.u64(head::USES, uses);
    bytes.u32(head::NR_TIERS, narrow(plan.tiers().len()));
    bytes.u32(head::NR_RULES, narrow(plan.rules().len()));
    bytes.u32(head::NR_CLAUSES, narrow(plan.clauses().len()));
    bytes.u32(head::STRIDE, narrow(words));
    bytes.u32(head::NR_ROWS, narrow(rows));
    let otherwise = plan.rules().last();
    bytes.u32(
        head::OTHERWISE_TIER,
        otherwise.map_or(0, |rule| u32::from(rule.tier.0)),
    );
    bytes.u32(
        head::OTHERWISE_RULE,
        narrow(plan.rules().len().saturating_sub(1)),
    );
    write_lottery(bytes, plan);
    for (index, planned) in plan.tiers().iter().enumerate() {
        write_tier(bytes, head::TIER + index * tier::SIZE, planned);
    }
}

fn write_lottery(bytes: &mut Bytes, plan: &Plan) {
    let lottery = plan.lottery();
    bytes.u32(
        head::BETWEEN,
        match lottery.between {
            Between::Tiers => between::LOTTERY,
            Between::Strict => between::STRICT,
            Between::Stride => between::STRIDE,
        },
    );
    bytes.u32(head::COMPENSATE, u32::from(lottery.compensate));
    bytes.u64(head::SEED, lottery.seed);
    bytes.u64(head::REFILL_NS, lottery.refill.0);
    let those = |has: fn(&Tier) -> bool| {
        let tiers = plan.tiers().iter().enumerate();
        tiers.fold(0, |mask, (index, tier)| {
            mask | u32::from(has(tier)) << index
        })
    };
    bytes.u32(head::CONFINED, those(|tier| tier.cpus.is_some()));
    bytes.u32(head::EXCLUSIVE, those(|tier| tier.exclusive));
    bytes.u32(head::BUDGETED, those(|tier| tier.budget.is_some()));
    bytes.u32(head::PACED, those(|tier| tier.perf.is_some()));
    bytes.u32(head::BALANCED, u32::from(plan.is_balanced()));
}

fn write_tier(bytes: &mut Bytes, at: usize, planned: &Tier) {
    bytes.u64(at + tier::SLICE_NS, planned.slice.0);
    bytes.u64(
        at + tier::MAX_WAIT_NS,
        planned.max_wait.map_or(0, |wait| wait.0),
    );
    bytes.u32(at + tier::TICKETS, planned.tickets);
    bytes.u32(
        at + tier::PREEMPT,
        planned.preempt.iter().fold(0, |mask, id| mask | 1 << id.0),
    );
    bytes.u32(
        at + tier::ORDER,
        match planned.order {
            Order::Vtime => order::VTIME,
            Order::Fifo => order::FIFO,
            Order::Lottery => order::LOTTERY,
        },
    );
    let flags = [
        (planned.exclusive, flag::EXCLUSIVE),
        (planned.perf.is_some(), flag::PERF),
        (planned.budget.is_some(), flag::BUDGET),
    ];
    let set = flags.into_iter().filter(|(is_set, _)| *is_set);
    bytes.u32(at + tier::FLAGS, set.fold(0, |all, (_, flag)| all | flag));
    bytes.u32(at + tier::PERF, planned.perf.map_or(0, performance));
    bytes.u32(
        at + tier::BUDGET_PPM,
        planned.budget.map_or(0, |budget| budget.0),
    );
    bytes.u64(
        at + tier::BURST_NS,
        planned.burst.map_or(0, |burst| burst.0),
    );
    let (within, place) = match &planned.cpus {
        None => (within::MACHINE, 0),
        Some(Cpus::List(_)) => (within::CPUS, 0),
        Some(Cpus::Llc(number)) => (within::LLC, *number),
        Some(Cpus::Node(number)) => (within::NODE, *number),
    };
    bytes.u32(at + tier::WITHIN, within);
    bytes.u32(at + tier::PLACE, u32::from(place));
    if let Some(Cpus::List(ranges)) = &planned.cpus {
        for (index, word) in mask(ranges).into_iter().enumerate() {
            bytes.u64(at + tier::CPUS + index * 8, word);
        }
    }
}

/// Parts per million in 1024ths, to the nearest.
fn performance(level: Ppm) -> u32 {
    const ONE: u32 = 1_000_000;
    // At most a million, which times 1024 fits.
    (level.0.min(ONE) * layout::PERF_ONE + ONE / 2) / ONE
}

/// Bit c of the words: CPU c is in one of the ranges.
fn mask(ranges: &[(u16, u16)]) -> [u64; layout::CPUS_MAX / 64] {
    let mut words = [0; layout::CPUS_MAX / 64];
    for cpu in ranges.iter().flat_map(|(low, high)| *low..=*high) {
        if let Some(word) = words.get_mut(usize::from(cpu) / 64) {
            *word |= 1_u64 << (cpu % 64);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn performance_is_rounded() {
        for (ppm, level) in [
            (0, 0),
            (488, 0),
            (489, 1),
            (500_000, 512),
            (800_000, 819),
            (1_000_000, 1024),
        ] {
            assert_eq!(performance(Ppm(ppm)), level, "{ppm}");
        }
    }

    #[test]
    fn masks_have_a_bit_for_each_cpu() {
        let words = mask(&[(0, 3), (8, 8), (62, 65), (1023, 1023)]);
        assert_eq!(words[0], 0b11 << 62 | 0b1_0000_1111);
        assert_eq!(words[1], 0b11);
        assert_eq!(words[15], 1 << 63);
        assert_eq!(words[2..15], [0; 13]);
        assert_eq!(mask(&[(0, 1023)]), [u64::MAX; 16]);
    }
}
