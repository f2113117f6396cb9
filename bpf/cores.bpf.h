/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tiers that share their core with no other (`exclusive`).
 *
 * While a CPU runs a task of an exclusive tier, the other CPUs of its core run
 * that tier or nothing. When such a task begins, whatever else runs beside it
 * is interrupted; when it leaves, CPUs of the core that were kept idle look
 * again. So that this does not give the tier the core for ever, it holds the
 * core closed for one slice at a time: the first CPU of the core that draws
 * after that draws among all tiers, and what wins there interrupts the exclusive
 * tasks beside it, which then stay away until its slice is over. Of two
 * exclusive tiers the one that began earlier stays.
 *
 * A CPU that is idle beside another tier is not idle for an exclusive one: it
 * would take the core without a draw. The draws are those of the CPU that runs;
 * a win that none of its tier can take there, for want of affinity, is handed
 * to the idle CPUs of the core.
 *
 * What is due, threads of the kernel that are bound to their CPU, and the agent
 * are never held back.
 *
 *   edict_core_leaves()  what a CPU may run          dispatch, wake-ups
 *   edict_core_begins()  a task begins to run        running
 *   edict_core_hands()   who won may not run here    dispatch
 *   edict_core_left()    nothing runs any more       dispatch, another class
 *
 * What it does not do: it is no protection against side channels. Between the
 * beginning of an exclusive task and the interrupt of what runs beside it are
 * some microseconds.
 */
#ifndef EDICT_CORES_BPF_H
#define EDICT_CORES_BPF_H

#include "domains.bpf.h"

static __always_inline bool edict_excludes(const struct edict_bank *bank, u32 tier)
{
	return tier < EDICT_TIERS_MAX && (bank->head.exclusive & (1U << tier));
}

/* Whether a CPU's core is closed for the tier that runs there. */
static __always_inline bool edict_closed(const struct edict_bank *bank,
					 const struct edict_cpu *there, u64 now)
{
	return edict_before(now, there->alone_since + edict_slice_of(bank, there->tier));
}

/* The tiers that the rest of its core leaves to a CPU. */
__noinline int edict_core_leaves(u64 active, u32 cpu, u64 now)
{
	struct edict_siblings *siblings = bpf_map_lookup_elem(&edict_cores, &cpu);
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_cpu *here = edict_cpu_of(cpu);
	bool shared = false;
	u32 tiers = ~0U, i;

	if (!bank || !here || !siblings || !bank->head.exclusive)
		return tiers;
	for (i = 0; i < EDICT_SIBLINGS_MAX && i < siblings->count; i++) {
		struct edict_cpu *there = edict_cpu_of(siblings->cpu[i]);
		u32 tier;

		if (!there || there->held || there->spared)
			continue;
		tier = READ_ONCE(there->tier);
		if (edict_excludes(bank, tier)) {
			if (edict_closed(bank, there, now))
				tiers &= 1U << edict_index(tier);
		} else if (tier < EDICT_TIERS_MAX) {
			shared = true;
		}
	}
	/*
	 * Drawn by the core: not to be taken back before it ends, nor by a CPU
	 * that was idle beside it and has no part in its draws.
	 */
	if (shared && (edict_before(now, here->shared_until) ||
		       (here->tier >= EDICT_TIERS_MAX && !READ_ONCE(here->handed))))
		tiers &= ~bank->head.exclusive;
	return tiers;
}

/* The CPUs of a core that are idle look whether they may run something now. */
static __always_inline void edict_wake_core(struct edict_siblings *siblings, bool handed)
{
	u32 i;

	for (i = 0; i < EDICT_SIBLINGS_MAX && i < siblings->count; i++) {
		struct edict_cpu *there = edict_cpu_of(siblings->cpu[i]);

		if (!there || there->tier < EDICT_TIERS_MAX)
			continue;
		if (handed)
			WRITE_ONCE(there->handed, 1);
		scx_bpf_kick_cpu(siblings->cpu[i], SCX_KICK_IDLE);
	}
}

/*
 * Nothing of the tier that a CPU ran is there any more: who was kept away may
 * look. Nor was there anything for it to run, so that what runs alone beside it
 * keeps its core closed.
 */
__noinline int edict_core_left(u64 active, u32 cpu, u32 tier, u64 now)
{
	struct edict_siblings *siblings = bpf_map_lookup_elem(&edict_cores, &cpu);
	struct edict_bank *bank = EDICT_BANK(active);
	u32 i;

	if (!bank || !siblings || !bank->head.exclusive)
		return 0;
	for (i = 0; i < EDICT_SIBLINGS_MAX && i < siblings->count; i++) {
		struct edict_cpu *there = edict_cpu_of(siblings->cpu[i]);

		if (there && edict_excludes(bank, READ_ONCE(there->tier)) &&
		    !edict_closed(bank, there, now))
			there->alone_since = now;
	}
	if (tier < EDICT_TIERS_MAX)
		edict_wake_core(siblings, false);
	return 0;
}

/*
 * The tiers of `missed` won a draw and have nothing that may run on this CPU,
 * which goes to `tier` instead: whether its core is for one of the others.
 */
static __always_inline void edict_core_hands(const struct edict_bank *bank, struct edict_cpu *here,
					     u32 tier, u32 missed)
{
	missed &= ~(1U << edict_index(tier));
	if (!edict_excludes(bank, tier))
		missed &= bank->head.exclusive;
	here->hands = missed != 0;
}

/*
 * A task begins to run, and its CPU's entry says so; `before` is the tier that
 * the entry named until now.
 */
__noinline int edict_core_begins(u64 active, u32 cpu, u32 before, u64 now)
{
	struct edict_siblings *siblings = bpf_map_lookup_elem(&edict_cores, &cpu);
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_cpu *here = edict_cpu_of(cpu);
	bool alone, given, hands, yields = false;
	u64 since = now, slice;
	u32 tier, i;

	if (!bank || !here || !siblings || !siblings->count || !bank->head.exclusive)
		return 0;
	tier = here->tier;
	alone = edict_excludes(bank, tier);
	given = tier != before && edict_excludes(bank, before) && !alone;
	hands = here->hands;
	here->hands = 0;
	if (here->spared) {
		if (tier != before && before < EDICT_TIERS_MAX)
			edict_wake_core(siblings, false);
		return 0;
	}
	slice = edict_slice_of(bank, tier);
	if (alone && hands) {
		/* It runs on, but the core is not closed for who won it. */
		since = now - slice;
	} else if (alone) {
		/* The core is closed as long as it was closed already for this tier. */
		for (i = 0; i < EDICT_SIBLINGS_MAX && i < siblings->count; i++) {
			struct edict_cpu *there = edict_cpu_of(siblings->cpu[i]);

			if (there && !there->held && there->tier == tier &&
			    edict_closed(bank, there, now) &&
			    edict_before(there->alone_since, since))
				since = there->alone_since;
		}
	}
	/* Also the barrier between telling and looking: one of two sees the other. */
	__sync_lock_test_and_set(&here->alone_since, since);
	for (i = 0; i < EDICT_SIBLINGS_MAX && i < siblings->count; i++) {
		struct edict_cpu *there = edict_cpu_of(siblings->cpu[i]);
		u32 other;

		if (!there)
			continue;
		/* What had the core until now is not to begin again beside it. */
		if (given)
			there->shared_until = now + slice;
		if (there->held || there->spared)
			continue;
		other = READ_ONCE(there->tier);
		if (other >= EDICT_TIERS_MAX || other == tier)
			continue;
		if (!alone && !edict_excludes(bank, other))
			continue;
		if (edict_excludes(bank, other) && edict_closed(bank, there, now) &&
		    (!alone || edict_before(there->alone_since, since) ||
		     (there->alone_since == since && siblings->cpu[i] < cpu))) {
			yields = true;
			continue;
		}
		if (there->how == EDICT_HOW_DUE)
			continue;
		if (!alone)
			there->shared_until = now + slice;
		scx_bpf_kick_cpu(siblings->cpu[i], SCX_KICK_PREEMPT);
	}
	if (yields && here->how != EDICT_HOW_DUE)
		scx_bpf_kick_cpu(cpu, SCX_KICK_PREEMPT);
	/* Last, for now it is known what they may run. */
	if (hands || (tier != before && before < EDICT_TIERS_MAX &&
		      (alone || edict_excludes(bank, before))))
		edict_wake_core(siblings, hands);
	return 0;
}

#endif /* EDICT_CORES_BPF_H */
