/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which tier is served next: a draw by tickets among those that have something
 * to run. A tier that took time without a draw owes it, and its next wins pay.
 */
#ifndef EDICT_DRAW_BPF_H
#define EDICT_DRAW_BPF_H

#include "tiers.bpf.h"

/* What a tier's tickets weigh in a draw. */
static __always_inline u64 edict_tier_weight(const struct edict_bank *bank, u32 tier)
{
	u64 used = READ_ONCE(edict_tier_state_of(tier)->used_ns);

	tier = edict_index(tier);
	return edict_weight(bank->head.tier[tier].tickets,
			    used ? used : edict_slice_of(bank, tier));
}

/* A draw among the tiers of `mask`, which is not empty. */
__noinline int edict_draw(u64 active, u32 mask, u32 cpu)
{
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_cpu *here = edict_cpu_of(cpu);
	u64 sum = 0, ticket;
	u32 tier, drawn = 0;

	if (!bank || !here || !mask)
		return 0;
	if (bank->head.between == EDICT_BETWEEN_STRICT || !(mask & (mask - 1)))
		return edict_low_bit(mask) & (EDICT_TIERS_MAX - 1);
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
	return drawn & (EDICT_TIERS_MAX - 1);
}

/* Whether a win goes to pay what the tier took without one. */
static __always_inline bool edict_pays(const struct edict_bank *bank, u32 tier)
{
	struct edict_tier_state *state = edict_tier_state_of(tier);
	s64 price = state->used_ns;

	if (bank->head.between == EDICT_BETWEEN_STRICT)
		return false;
	if (!price)
		price = edict_slice_of(bank, tier);
	if (state->debt_ns < price)
		return false;
	state->debt_ns -= price;
	return true;
}

#endif /* EDICT_DRAW_BPF_H */
