/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a CPU runs next.
 *
 *   resumed ─▶ due ─▶ left over ─▶ draw among the tiers that wait here ─▶ other caches
 *                                  (the task that ran may win it too)
 *
 * The queues of the CPU's own cache come first, so that a task runs where its
 * data is. Only a CPU that would fall idle takes from another cache: first from
 * those of its own node, and from each by the same draw as there.
 */
#ifndef EDICT_DISPATCH_BPF_H
#define EDICT_DISPATCH_BPF_H

#include "draw.bpf.h"

/* Lets the task that ran go on for another slice. */
static __always_inline void edict_keep_running(struct task_struct *p, struct edict_task *t,
					       struct edict_cpu *here, struct edict_bank *bank,
					       u64 active, u32 queue, u64 now)
{
	u32 tier = EDICT_QUEUE_TIER(queue);

	edict_run_ended(t);
	t->how = EDICT_HOW_DRAWN;
	edict_rebase(t, queue, edict_slice_of(bank, tier));
	edict_run_begins(t, here, active, tier, EDICT_QUEUE_LLC(queue), now);
	scx_bpf_task_set_slice(p, edict_slice_of(bank, tier));
}

/*
 * Takes a task of one of the tiers of `mask` from the queues of a cache to this
 * CPU. Each tier pays at most once and is tried at most once after that.
 */
__noinline int edict_take(u64 active, u32 cpu, u32 llc, u32 mask)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u32 tier, i;

	if (!bank)
		return 0;
	bpf_for(i, 0, 2 * EDICT_TIERS_MAX) {
		if (!mask)
			break;
		tier = edict_index(edict_draw(active, mask, cpu));
		if ((mask & (mask - 1)) && i < EDICT_TIERS_MAX && edict_pays(bank, tier))
			continue;
		if (scx_bpf_dsq_move_to_local(EDICT_DSQ(edict_queue_of(bank, tier, llc)), 0))
			return 1;
		mask &= ~(1U << tier);
	}
	return 0;
}

/* Nothing waits here: whatever waits elsewhere and may run here. */
static __always_inline bool edict_steal(u64 active, u32 cpu, u32 own)
{
	u32 node = edict_llc_at(own)->node, pass, i;

	bpf_for(pass, 0, 2) {
		bpf_for(i, 1, edict_nr_llcs) {
			u32 llc = own + i < edict_nr_llcs ? own + i : own + i - edict_nr_llcs;
			u32 mask;

			if ((edict_llc_at(llc)->node != node) != pass)
				continue;
			mask = edict_waiting(active, llc);
			if (mask && edict_take(active, cpu, llc, mask))
				return true;
			if (READ_ONCE(edict_llc_at(llc)->orphans) && edict_serve_orphans(active, llc))
				return true;
		}
	}
	return false;
}

#endif /* EDICT_DISPATCH_BPF_H */
