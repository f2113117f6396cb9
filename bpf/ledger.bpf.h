/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each tier has taken: its pass, where tiers take turns by stride, and
 * its arrival time, where it has a budget. The arithmetic is lottery.bpf.h's.
 *
 *   run begins   the whole slice is put on the pass, so that other CPUs do not
 *                choose the same tier meanwhile for having the least
 *   charge       what goes beyond that; the budget is charged as time passes
 *   run ends     what was not used is taken off again
 *
 * Every way of running is charged, a draw or not, so a stride has no debts; but
 * what runs where nobody else waits takes the clock along.
 * With a budget one is free: a tier that has taken it runs on when nobody else
 * has anything to run, and that is not held against it.
 *
 * A run is charged as the generation says under which it began. What of it is
 * needed is kept in the task, for its bank may be another policy's by then.
 *
 * What it does not do: a budget ends no slice early, so a tier may go beyond
 * it by one slice on each CPU, which it then waits for.
 */
#ifndef EDICT_LEDGER_BPF_H
#define EDICT_LEDGER_BPF_H

#include "attributes.bpf.h"
#include "lottery.bpf.h"

/* The most that `refill` can be, and so the most that anything counts. */
#define EDICT_DEBT_MAX_NS 10000000000LL
#define EDICT_SLICE_DEFAULT_NS 20000000ULL

/*
 * A tier as an index. The compiler knows of global functions what the verifier
 * does not, and would leave the mask out.
 */
static __always_inline u32 edict_index(u32 tier)
{
	__sink(tier);
	return tier & (EDICT_TIERS_MAX - 1);
}

static __always_inline struct edict_tier_state *edict_tier_state_of(u32 tier)
{
	return &edict_tier_states[edict_index(tier)];
}

static __always_inline u64 edict_slice_of(const struct edict_bank *bank, u32 tier)
{
	u64 slice = bank->head.tier[edict_index(tier)].slice_ns;

	return slice ? slice : EDICT_SLICE_DEFAULT_NS;
}

/* CPUs that there are now: what a budget and `refill` are parts of. */
static __always_inline u32 edict_online(void)
{
	u32 online = READ_ONCE(edict_cpus_online);

	return online ? online : edict_nr_cpus;
}

static __always_inline bool edict_has_budget(const struct edict_bank *bank, u32 tier)
{
	return bank->head.budgeted & (1U << edict_index(tier));
}

/* The burst of a tier in the measure of its budget. */
static __always_inline u64 edict_burst_of(const struct edict_bank *bank, u32 tier)
{
	tier = edict_index(tier);
	return edict_measured(bank->head.tier[tier].burst_ns, bank->head.tier[tier].budget_ppm,
			      edict_online());
}

/* Whether a tier has taken its budget. */
static __always_inline bool edict_is_exhausted(const struct edict_bank *bank, u32 tier, u64 now)
{
	if (!edict_has_budget(bank, tier))
		return false;
	return edict_exhausted(READ_ONCE(edict_tier_state_of(tier)->arrival), now,
			       edict_burst_of(bank, tier));
}

/* Whether a tier has had more than its tickets say. */
static __always_inline bool edict_owes(const struct edict_bank *bank, u32 tier)
{
	struct edict_tier_state *state = edict_tier_state_of(tier);

	if (bank->head.between != EDICT_BETWEEN_STRIDE)
		return READ_ONCE(state->debt_ns) > 0;
	return edict_before(READ_ONCE(edict_pass_clock) +
				    edict_stride(edict_slice_of(bank, tier),
						 bank->head.tier[edict_index(tier)].tickets),
			    READ_ONCE(state->pass));
}

/* The tiers that a waking task may interrupt: none for one beyond its budget. */
static __always_inline u32 edict_interrupts(const struct edict_bank *bank, u32 tier, u64 now)
{
	return edict_is_exhausted(bank, tier, now) ? 0 : bank->head.tier[edict_index(tier)].preempt;
}

/* Whether a run begins beyond a budget, on a CPU that nobody else wanted. */
static __always_inline bool edict_is_spare(const struct edict_task *t, const struct edict_cpu *cpu,
					   const struct edict_bank *bank, u32 tier, u64 now)
{
	if (t->how == EDICT_HOW_DRAWN)
		return cpu && (cpu->spare & (1U << edict_index(tier)));
	return t->how == EDICT_HOW_DIRECT && edict_is_exhausted(bank, tier, now);
}

/* Opens the account of a run that begins; without a bank it is free. */
static __always_inline void edict_ledger_open(struct edict_task *t, const struct edict_cpu *cpu,
					      const struct edict_bank *bank, u32 tier, u64 now)
{
	u64 slice;

	tier = edict_index(tier);
	t->stride_tickets = 0;
	t->budget_ppm = 0;
	if (!bank)
		return;
	slice = edict_slice_of(bank, tier);
	if (bank->head.between == EDICT_BETWEEN_STRIDE) {
		t->stride_tickets = bank->head.tier[tier].tickets;
		t->ahead_ns = slice;
		__sync_fetch_and_add(&edict_tier_state_of(tier)->pass,
				     edict_stride(slice, t->stride_tickets));
	}
	if (edict_has_budget(bank, tier)) {
		t->budget_ppm = bank->head.tier[tier].budget_ppm;
		t->budget_most = edict_burst_of(bank, tier);
		if (!edict_is_spare(t, cpu, bank, tier, now))
			t->budget_most += edict_measured(slice, t->budget_ppm, 1) +
					  bank->head.refill_ns;
	}
}

/*
 * A run on a CPU that nobody else wanted takes the clock along: it is not held
 * against the tier, but for what others may have missed.
 */
static __always_inline void edict_nobody_waits(const struct edict_task *t, u64 pass)
{
	u64 clock = READ_ONCE(edict_pass_clock);
	u64 bound = READ_ONCE(edict_pass_bounds[t->run_bank & 1]);

	if (edict_before(clock, pass - bound))
		WRITE_ONCE(edict_pass_clock, pass - bound);
}

/* Charges the tier that runs. */
static __always_inline void edict_ledger_charge(struct edict_task *t, u64 used, u64 now)
{
	struct edict_tier_state *state = edict_tier_state_of(t->run_tier);

	if (t->budget_ppm) {
		u64 measured = edict_measured(used, t->budget_ppm, edict_online());
		u64 old = READ_ONCE(state->arrival);
		u64 next = edict_arrival(old, measured, now, t->budget_most);

		/* Whoever was faster did what is left to do: catch up to now. */
		if (__sync_val_compare_and_swap(&state->arrival, old, next) != old)
			__sync_fetch_and_add(&state->arrival, measured);
	}
	if (t->stride_tickets) {
		u64 ahead = t->ahead_ns < used ? t->ahead_ns : used, pass;

		t->ahead_ns -= ahead;
		used = edict_stride(used - ahead, t->stride_tickets);
		pass = __sync_fetch_and_add(&state->pass, used) + used;
		if (t->how == EDICT_HOW_DIRECT)
			edict_nobody_waits(t, pass);
	}
}

/* Gives back what was put on the pass and not used. */
static __always_inline void edict_ledger_settle(struct edict_task *t)
{
	if (!t->ahead_ns)
		return;
	__sync_fetch_and_sub(&edict_tier_state_of(t->run_tier)->pass,
			     edict_stride(t->ahead_ns, t->stride_tickets));
	t->ahead_ns = 0;
}

struct edict_steps {
	u64 tickets; /* of all tiers */
	u64 longest;
};

/*
 * A global function, after which the verifier knows nothing of the sums: it would
 * follow each of their values otherwise.
 */
__noinline int edict_add_step(u64 active, u32 tier, struct edict_steps *steps)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u64 step;

	if (!bank || !steps)
		return 0;
	tier = edict_index(tier);
	step = edict_stride(edict_slice_of(bank, tier), bank->head.tier[tier].tickets);
	steps->tickets += bank->head.tier[tier].tickets;
	if (step > steps->longest)
		steps->longest = step;
	return 0;
}

/* How far from the clock the passes may be, under the policy of `active`. */
__noinline int edict_ledger_prepare(u64 active)
{
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_steps steps = {};
	u32 tier;

	if (!bank)
		return 0;
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		if (tier >= bank->head.nr_tiers)
			break;
		edict_add_step(active, tier, &steps);
	}
	WRITE_ONCE(edict_pass_bounds[EDICT_BANK_INDEX(active)],
		   edict_stride_bound(bank->head.refill_ns, edict_online(), steps.tickets,
				      steps.longest));
	return 0;
}

/* Forgets what tiers took that were others before, or while nobody counted. */
static __always_inline void edict_ledger_begin(u64 active, u64 expected, u64 renumbered)
{
	struct edict_bank *bank = EDICT_BANK(active), *before = EDICT_BANK(expected);
	bool counted = EDICT_GENERATION(expected) && before &&
		       before->head.between == EDICT_BETWEEN_STRIDE;
	u64 clock = READ_ONCE(edict_pass_clock);
	u32 tier;

	if (!bank)
		return;
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		struct edict_tier_state *state = edict_tier_state_of(tier);
		bool other = renumbered & (1ULL << tier);

		if (other) {
			state->used_ns = 0;
			state->debt_ns = 0;
			WRITE_ONCE(state->arrival, 0);
		}
		if (other || !counted)
			WRITE_ONCE(state->pass, clock);
	}
}

/* Every CPU its own sequence of draws; the same again for the same seed. */
static __always_inline void edict_sow(u64 seed)
{
	u32 cpu;

	bpf_for(cpu, 0, edict_nr_cpus) {
		struct edict_cpu *there = bpf_map_lookup_elem(&edict_cpus, &cpu);

		if (there)
			there->random = edict_sequence(seed, cpu);
	}
}

#endif /* EDICT_LEDGER_BPF_H */
