/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between caches that are both busy.
 *
 * A CPU takes from another cache when it has nothing to do. Where all CPUs have
 * something to do, the tasks of a tier would have more of a CPU under one cache
 * than under another, for as long as they run. So now and then a CPU compares
 * what a tier has to run for each CPU under its own cache and under another, and
 * moves a task that waits there into its own queue, when that makes the
 * difference no greater. What cannot be divided goes to and fro by that, the task
 * that has waited longest each time.
 *
 *   own cache   a b           a b c          a b
 *   another     c d e   ──▶   d e      ──▶   d e c
 *
 * What it does not do: rules of `balance` say what moves between caches, and it
 * moves nothing where there are any; nor a tier that is confined to some CPUs,
 * for how many of them are under a cache it does not know.
 */
#ifndef EDICT_EXCHANGE_BPF_H
#define EDICT_EXCHANGE_BPF_H

#include "dispatch.bpf.h"

/* How seldom a CPU looks, and at how many tasks: a move costs what was in the cache. */
#define EDICT_EXCHANGE_NS 20000000ULL
#define EDICT_EXCHANGE_SCAN 32
/* CPUs that look at the same moment see the same surplus: one of them takes it. */
#define EDICT_EXCHANGE_APART_NS 1000000ULL

/* Moves the first task of a queue that may run on a CPU and is not too heavy. */
__noinline int edict_move_one(u64 active, u32 cpu, u32 from, u32 to, u64 most)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u32 left = EDICT_EXCHANGE_SCAN;
	struct task_struct *p;

	from &= EDICT_QUEUES - 1;
	to &= EDICT_QUEUES - 1;
	if (!bank)
		return 0;
	bpf_for_each(scx_dsq, p, EDICT_DSQ(from), 0) {
		struct edict_task *t = edict_task_of(p);
		u64 counted;

		if (!left--)
			break;
		if (!t || t->stray)
			continue;
		counted = READ_ONCE(t->counted);
		if (!counted || EDICT_COUNTED_QUEUE(counted) != from ||
		    EDICT_COUNTED_WEIGHT(counted) > most || p->migration_disabled ||
		    !bpf_cpumask_test_cpu(cpu, p->cpus_ptr))
			continue;
		if (edict_move_to(BPF_FOR_EACH_ITER, p, t, from, to, bank, scx_bpf_now()))
			return 1;
	}
	return 0;
}

/* Compares a CPU's cache with another: with the next one each time that it looks. */
__noinline int edict_exchange(u64 active, u32 cpu, u32 own, u32 turn, u64 now)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u32 llc, cpus, cpus_there, waiting, tier;
	u64 most = 0 /* and the tier, in the lowest bits */, taken_at;
	struct edict_queue_state *state;
	bool far;

	if (!bank || edict_nr_llcs < 2)
		return 0;
	llc = own + 1 + turn % (edict_nr_llcs - 1);
	if (llc >= edict_nr_llcs)
		llc -= edict_nr_llcs;
	far = edict_llc_at(llc)->node != edict_llc_at(own)->node;
	cpus = edict_llc_at(own)->nr_cpus;
	cpus_there = edict_llc_at(llc)->nr_cpus;
	waiting = edict_waiting(active, llc, cpu) & ~bank->head.confined;
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		s64 here, there;
		u64 may;

		if (!(waiting & (1U << tier)))
			continue;
		here = edict_queue_state_of(edict_queue_of(bank, tier, own))->weight;
		there = edict_queue_state_of(edict_queue_of(bank, tier, llc))->weight;
		/* Memory of another node is further away than it is worth for little. */
		if (far)
			there -= there / 4;
		may = edict_surplus(there, cpus_there, here, cpus) * EDICT_TIERS_MAX + tier;
		if (may > most)
			most = may;
	}
	if (most < EDICT_TIERS_MAX)
		return 0;
	tier = edict_index(most);
	state = edict_queue_state_of(edict_queue_of(bank, tier, own));
	taken_at = READ_ONCE(state->taken_at);
	if (edict_before(now, taken_at + EDICT_EXCHANGE_APART_NS) ||
	    __sync_val_compare_and_swap(&state->taken_at, taken_at, now) != taken_at)
		return 0;
	return edict_move_one(active, cpu, edict_queue_of(bank, tier, llc),
			      edict_queue_of(bank, tier, own), most / EDICT_TIERS_MAX);
}

#endif /* EDICT_EXCHANGE_BPF_H */
