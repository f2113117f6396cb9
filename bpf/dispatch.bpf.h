/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a CPU runs next.
 *
 *   resumed ─▶ due ─▶ left over ─▶ draw among the tiers that wait here ─▶ other caches
 *                                  (the task that ran may win it too)
 *
 * The queues of the CPU's own cache come first, so that a task runs where its
 * data is. A CPU that would fall idle takes from another cache: first from those
 * of its own node, and from each by the same draw as there. Where the first tier
 * is to be served alone, that goes before a cache too. What busy caches take from
 * each other comes into their queues (exchange.bpf.h).
 */
#ifndef EDICT_DISPATCH_BPF_H
#define EDICT_DISPATCH_BPF_H

#include "cores.bpf.h"
#include "domains.bpf.h"
#include "draw.bpf.h"
#include "pace.bpf.h"
#include "trace.bpf.h"

/* At how many caches a CPU looks that falls idle; the keeper looks at all. */
#define EDICT_LLCS_NEAR 8

/* Lets the task that ran go on for another slice. */
static __always_inline void edict_keep_running(struct task_struct *p, struct edict_task *t,
					       struct edict_cpu *here, struct edict_bank *bank,
					       u64 active, u32 queue, u64 now)
{
	u32 tier = EDICT_QUEUE_TIER(queue);

	edict_trace_ends(p, t, true, now);
	edict_run_ended(t);
	t->how = EDICT_HOW_DRAWN;
	edict_rebase(p, t, queue, edict_slice_of(bank, tier));
	edict_counts_in(p, t, queue);
	edict_trace_begins(t, now);
	edict_run_begins(t, here, bank, active, tier, EDICT_QUEUE_LLC(queue), now);
	scx_bpf_task_set_slice(p, edict_slice_of(bank, tier));
	edict_pace(bank, here, scx_bpf_task_cpu(p), tier);
	if (bank->head.exclusive)
		edict_core_begins(active, scx_bpf_task_cpu(p), tier, now);
}

/* The tiers that have tasks for a CPU in their queues under a cache. */
__noinline int edict_waiting(u64 active, u32 llc, u32 cpu)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u64 filled = READ_ONCE(edict_llc_at(llc)->filled);
	u32 tier, mask = 0, admitted;

	if (!bank || !filled)
		return 0;
	admitted = edict_admitted(bank, active, cpu);
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		u32 queue;

		if (tier >= bank->head.nr_tiers)
			break;
		queue = edict_queue_of(bank, tier, llc);
		if (!(filled & EDICT_FILLED_BIT(queue)) || scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) <= 0)
			continue;
		if ((admitted & (1U << tier)) || READ_ONCE(edict_queue_state_of(queue)->strays))
			mask |= 1U << tier;
	}
	return mask;
}

/* Takes the first task of a queue that may run here. */
__noinline int edict_take_from(u64 active, u32 cpu, u32 queue)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u32 left = edict_scan_max;
	struct task_struct *p;

	queue &= EDICT_QUEUES - 1;
	if (!bank)
		return 0;
	if (edict_admitted(bank, active, cpu) & (1U << EDICT_QUEUE_TIER(queue)))
		return scx_bpf_dsq_move_to_local(EDICT_DSQ(queue), 0);
	/* The tier does not run here; tasks that can run nowhere else do. */
	bpf_for_each(scx_dsq, p, EDICT_DSQ(queue), 0) {
		struct edict_task *t = edict_task_of(p);

		if (!left--)
			break;
		if (t && t->stray && bpf_cpumask_test_cpu(cpu, p->cpus_ptr) &&
		    scx_bpf_dsq_move(BPF_FOR_EACH_ITER, p, SCX_DSQ_LOCAL, 0))
			return 1;
	}
	return 0;
}

/* Takes the first task that may run here of a queue that all CPUs share. */
__noinline int edict_take_first(u64 active, u32 cpu, u64 dsq, u64 now)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u32 left = edict_scan_max, leaves = ~0U;
	struct task_struct *p;

	if (!bank || (dsq != EDICT_DSQ_DUE && dsq != EDICT_DSQ_RESUME))
		return 0;
	if (!READ_ONCE(edict_shared) || scx_bpf_dsq_nr_queued(dsq) <= 0)
		return 0;
	if (!bank->head.confined && !bank->head.exclusive)
		return scx_bpf_dsq_move_to_local(dsq, 0);
	if (dsq == EDICT_DSQ_RESUME)
		leaves = edict_core_leaves(active, cpu, now);
	bpf_for_each(scx_dsq, p, dsq, 0) {
		struct edict_task *t = edict_task_of(p);
		bool closed = t && !(leaves & (1U << edict_index(t->tier)));

		if (!left--)
			break;
		/* What goes on beside an exclusive tier was due long ago. */
		if (closed && edict_before(now, t->queued_at + edict_limit_of(bank, t->tier)))
			continue;
		if (!bpf_cpumask_test_cpu(cpu, p->cpus_ptr) ||
		    (t && !edict_admits(bank, active, t, cpu)) ||
		    !scx_bpf_dsq_move(BPF_FOR_EACH_ITER, p, SCX_DSQ_LOCAL, 0))
			continue;
		/* And is not to be sent away by it again. */
		if (closed)
			t->how = EDICT_HOW_DUE;
		return 1;
	}
	return 0;
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
		if (edict_take_from(active, cpu, edict_queue_of(bank, tier, llc)))
			return 1;
		mask &= ~(1U << tier);
	}
	return 0;
}

/*
 * The first tier is served alone (`strict`): whatever of one before `first` waits
 * under another cache goes before what waits here.
 */
__noinline int edict_take_above(u64 active, u32 cpu, u32 own, u32 first, u32 leaves)
{
	u32 above = ((1U << edict_index(first)) - 1) & leaves, i;

	/* What has taken its budget goes before nobody. */
	above &= ~edict_exhausted_of(active, above);
	bpf_for(i, 1, edict_nr_llcs) {
		u32 llc = own + i < edict_nr_llcs ? own + i : own + i - edict_nr_llcs;
		u32 mask;

		/* What is further away is left to its own CPUs. */
		if (i >= EDICT_LLCS_NEAR)
			break;
		mask = edict_waiting(active, llc, cpu) & above;
		if (mask && edict_take(active, cpu, llc, mask))
			return true;
	}
	return false;
}

/* Nothing waits here: whatever waits elsewhere and may run here. */
__noinline int edict_steal(u64 active, u32 cpu, u32 own, u32 leaves)
{
	u32 node = edict_llc_at(own)->node, pass, i;

	bpf_for(pass, 0, 2) {
		bpf_for(i, 1, edict_nr_llcs) {
			u32 llc = own + i < edict_nr_llcs ? own + i : own + i - edict_nr_llcs;
			u32 mask;

			if ((edict_llc_at(llc)->node != node) != pass)
				continue;
			mask = edict_waiting(active, llc, cpu) & leaves;
			if (mask && edict_take(active, cpu, llc, mask))
				return true;
			if (READ_ONCE(edict_llc_at(llc)->orphans) && edict_serve_orphans(active, llc))
				return true;
		}
	}
	return false;
}

/* How long a task may be on its way into a queue. */
#define EDICT_ARRIVING_NS 100000

/* Whether something waits that a CPU might run, or is about to. */
__noinline int edict_waits_for(u64 active, u32 cpu, u64 now)
{
	u32 own = edict_llc_of(cpu), i;

	if (edict_shared_waits())
		return 1;
	bpf_for(i, 0, edict_nr_llcs) {
		u32 llc = own + i < edict_nr_llcs ? own + i : own + i - edict_nr_llcs;

		/* The keeper looks at the rest. */
		if (i >= EDICT_LLCS_NEAR)
			break;
		if (edict_before(now, READ_ONCE(edict_llc_at(llc)->arrived) + EDICT_ARRIVING_NS) ||
		    edict_waiting(active, llc, cpu))
			return 1;
	}
	return 0;
}

#endif /* EDICT_DISPATCH_BPF_H */
