/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which tier is served next, of those that have something to run.
 *
 *   lottery  a draw by tickets; a tier that took time without a draw owes it,
 *            and its next wins pay
 *   stride   the tier of the least pass; how far back that counts is bounded
 *            here, where tiers are compared
 *   strict   the first
 *
 * Tiers that have taken their budgets are left out of it, unless nobody else
 * has anything to run.
 */
#ifndef EDICT_DRAW_BPF_H
#define EDICT_DRAW_BPF_H

#include "tiers.bpf.h"

/* What a tier's tickets weigh in a draw. */
static __always_inline u64 edict_tier_weight(const struct edict_bank *bank, u32 tier)
{
	u64 used = READ_ONCE(edict_tier_state_of(tier)->used_ns);

	tier = edict_index(tier);
	if (!bank->head.compensate)
		return bank->head.tier[tier].tickets;
	return edict_weight(bank->head.tier[tier].tickets,
			    used ? used : edict_slice_of(bank, tier));
}

static __always_inline u32 edict_draw_lottery(const struct edict_bank *bank, u32 mask,
					      struct edict_cpu *here)
{
	u64 sum = 0, ticket;
	u32 tier, drawn = 0;

	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		if (mask & (1U << tier))
			sum += edict_tier_weight(bank, tier);
	}
	ticket = edict_random(&here->random) % (sum ? sum : 1);
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		u64 weight;

		if (!(mask & (1U << tier)))
			continue;
		drawn = tier;
		weight = edict_tier_weight(bank, tier);
		if (ticket < weight)
			break;
		ticket -= weight;
	}
	return drawn;
}

/*
 * The least pass. The clock is the least there was, so what waits is never
 * behind it by much: a pass that is further back belongs to a tier that had
 * nothing to run. One ahead of it took more than its share, which counts up to
 * `refill` of its CPU time, as the debts of a lottery do.
 */
static __always_inline u32 edict_draw_stride(const struct edict_bank *bank, u64 active, u32 mask)
{
	u64 bound = READ_ONCE(edict_pass_bounds[EDICT_BANK_INDEX(active) & 1]);
	u64 clock = READ_ONCE(edict_pass_clock), least = 0;
	u32 tier, drawn = EDICT_TIERS_MAX;

	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		struct edict_tier_state *state = edict_tier_state_of(tier);
		u64 pass, near;

		if (!(mask & (1U << tier)))
			continue;
		pass = READ_ONCE(state->pass);
		near = edict_bounded(pass, clock, bound,
				     bound + edict_stride(bank->head.refill_ns,
							  bank->head.tier[edict_index(tier)].tickets));
		/* If somebody is charged at this moment, the next draw does it. */
		if (near != pass)
			__sync_val_compare_and_swap(&state->pass, pass, near);
		if (drawn == EDICT_TIERS_MAX || edict_before(near, least)) {
			drawn = tier;
			least = near;
		}
	}
	if (edict_before(clock, least))
		WRITE_ONCE(edict_pass_clock, least);
	return drawn;
}

/* The tiers of `mask` that have taken their budgets. */
__noinline int edict_exhausted_of(u64 active, u32 mask)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u64 now = scx_bpf_now();
	u32 tier, exhausted = 0;

	if (!bank)
		return 0;
	mask &= bank->head.budgeted;
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		if ((mask & (1U << tier)) && edict_is_exhausted(bank, tier, now))
			exhausted |= 1U << tier;
	}
	return exhausted;
}

/* Leaves out what has taken its budget, if that leaves anything. */
static __always_inline u32 edict_affordable(const struct edict_bank *bank, u64 active, u32 mask,
					    struct edict_cpu *here)
{
	struct edict_counters *counters;
	u32 exhausted, tier;

	here->spare = 0;
	if (!(bank->head.budgeted & mask))
		return mask;
	exhausted = edict_exhausted_of(active, mask);
	if (!(mask & ~exhausted)) {
		here->spare = exhausted;
		return mask;
	}
	counters = exhausted ? edict_count_in(active) : NULL;
	if (counters) {
		bpf_for(tier, 0, EDICT_TIERS_MAX) {
			if (exhausted & (1U << tier))
				counters->tier[edict_index(tier)].throttled++;
		}
	}
	return mask & ~exhausted;
}

/* A draw among the tiers of `mask`, which is not empty. */
__noinline int edict_draw(u64 active, u32 mask, u32 cpu)
{
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_cpu *here = edict_cpu_of(cpu);

	if (!bank || !here || !mask)
		return 0;
	mask = edict_affordable(bank, active, mask, here);
	if (bank->head.between == EDICT_BETWEEN_STRIDE)
		return edict_draw_stride(bank, active, mask) & (EDICT_TIERS_MAX - 1);
	if (bank->head.between == EDICT_BETWEEN_STRICT || !(mask & (mask - 1)))
		return edict_low_bit(mask) & (EDICT_TIERS_MAX - 1);
	return edict_draw_lottery(bank, mask, here) & (EDICT_TIERS_MAX - 1);
}

/* Whether a win goes to pay what the tier took without one. */
static __always_inline bool edict_pays(const struct edict_bank *bank, u32 tier)
{
	struct edict_tier_state *state = edict_tier_state_of(tier);
	s64 price = state->used_ns, most = bank->head.refill_ns;

	if (bank->head.between != EDICT_BETWEEN_LOTTERY)
		return false;
	if (!price)
		price = edict_slice_of(bank, tier);
	/* What is further back than `refill` is forgotten, but for one turn. */
	if (most < price)
		most = price;
	if (state->debt_ns > most)
		state->debt_ns = most;
	if (state->debt_ns < price)
		return false;
	state->debt_ns -= price;
	return true;
}

#endif /* EDICT_DRAW_BPF_H */
