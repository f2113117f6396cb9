/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where things are: CPUs, caches, and the queues of tiers under caches.
 */
#ifndef EDICT_QUEUES_BPF_H
#define EDICT_QUEUES_BPF_H

#include "ledger.bpf.h"

/* SCHED_IDLE of include/uapi/linux/sched.h, which BTF does not have. */
#define EDICT_SCHED_IDLE 5

static __always_inline struct edict_cpu *edict_cpu_of(u32 cpu)
{
	return bpf_map_lookup_elem(&edict_cpus, &cpu);
}

static __always_inline struct edict_queue_state *edict_queue_state_of(u32 queue)
{
	__sink(queue);
	return &edict_queue_states[queue & (EDICT_QUEUES - 1)];
}

static __always_inline struct edict_llc *edict_llc_at(u32 llc)
{
	__sink(llc);
	return &edict_llcs[llc & (EDICT_LLCS_MAX - 1)];
}

/* The cache of a CPU, as the queues are numbered. */
static __always_inline u32 edict_llc_of(u32 cpu)
{
	struct edict_place *place;

	if (edict_nr_llcs <= 1)
		return 0;
	place = bpf_map_lookup_elem(&edict_places, &cpu);
	if (!place)
		return 0;
	return place->llc < edict_nr_llcs ? place->llc : place->llc % edict_nr_llcs;
}

/* The queue of a tier under a cache. */
static __always_inline u32 edict_queue_of(const struct edict_bank *bank, u32 tier, u32 llc)
{
	u32 order;

	tier = edict_index(tier);
	order = bank->head.tier[tier].order;
	if (order >= EDICT_ORDERS)
		order = EDICT_ORDER_VTIME;
	return EDICT_QUEUE(llc & (EDICT_LLCS_MAX - 1), order, tier);
}

/* What of a cache's queues the bank puts tasks into. */
static __always_inline u64 edict_live_queues(const struct edict_bank *bank)
{
	u64 live = 0;
	u32 tier;

	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		if (tier < bank->head.nr_tiers)
			live |= 1ULL << edict_queue_of(bank, tier, 0);
	}
	return live;
}

/* What the arithmetic of weights takes for a task's priority. */
static __always_inline s32 edict_prio_of(const struct task_struct *p)
{
	return p->policy == EDICT_SCHED_IDLE ? EDICT_PRIO_IDLE : p->static_prio;
}

#endif /* EDICT_QUEUES_BPF_H */
