/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where tasks may run: the CPUs of each cache and node, and those of each tier
 * whose policy confines it (`cpus`).
 *
 * The kernel searches sets of CPUs as masks of its own, so what the agent tells
 * (edict_places) and what a bank says become such masks once, before they are
 * needed: those of caches and nodes before attaching, those of a bank's tiers
 * while it is idle. Only CPUs that are online are members.
 *
 * A tier that is confined runs nowhere else, as long as its task's affinity
 * leaves it one of its CPUs. A task that has none of them, a stray, keeps its
 * affinity: affinity is what a program or an operator said about this one task.
 *
 * What it does not do: it never changes an affinity.
 */
#ifndef EDICT_DOMAINS_BPF_H
#define EDICT_DOMAINS_BPF_H

#include "tiers.bpf.h"

static __always_inline struct edict_mask *edict_domain_at(u32 domain)
{
	return bpf_map_lookup_elem(&edict_domains, &domain);
}

static __always_inline struct edict_mask *edict_reach_at(u32 bank, u32 tier)
{
	u32 index = (bank & 1) * EDICT_TIERS_MAX + edict_index(tier);

	return bpf_map_lookup_elem(&edict_reaches, &index);
}

/* The CPUs of a cache; NULL before they are known. */
static __always_inline const struct cpumask *edict_cpus_of_llc(u32 llc)
{
	struct edict_mask *slot = edict_domain_at(llc & (EDICT_LLCS_MAX - 1));
	struct bpf_cpumask *cpus = slot ? slot->cpus : NULL;

	return cpus ? cast_mask(cpus) : NULL;
}

static __always_inline const struct cpumask *edict_cpus_of_node(u32 node)
{
	struct edict_mask *slot = edict_domain_at(EDICT_LLCS_MAX + node % EDICT_NODES_MAX);
	struct bpf_cpumask *cpus = slot ? slot->cpus : NULL;

	return cpus ? cast_mask(cpus) : NULL;
}

/* The CPUs of a confined tier. */
static __always_inline const struct cpumask *edict_cpus_of_tier(u64 active, u32 tier)
{
	struct edict_mask *slot = edict_reach_at(EDICT_BANK_INDEX(active), tier);
	struct bpf_cpumask *cpus = slot ? slot->cpus : NULL;

	return cpus ? cast_mask(cpus) : NULL;
}

static __always_inline bool edict_confines(const struct edict_bank *bank, u32 tier)
{
	return bank->head.confined & (1U << edict_index(tier));
}

/* The tiers that may run on a CPU. */
static __always_inline u32 edict_admitted(const struct edict_bank *bank, u64 active, u32 cpu)
{
	struct edict_admission *admission;

	if (!bank->head.confined)
		return ~0U;
	admission = bpf_map_lookup_elem(&edict_admissions, &cpu);
	return admission ? admission->tiers[EDICT_BANK_INDEX(active)] : ~0U;
}

/* Whether a task may be on a CPU, where its affinity allows it, for all its tier says. */
static __always_inline bool edict_admits(const struct edict_bank *bank, u64 active,
					 const struct edict_task *t, u32 cpu)
{
	if (!bank->head.confined || t->active != active || t->stray)
		return true;
	return edict_admitted(bank, active, cpu) & (1U << edict_index(t->tier));
}

static __always_inline void edict_stray_queued(struct edict_task *t, u64 active, u32 queue)
{
	struct edict_counters *counters = edict_count_in(active);

	__sync_fetch_and_add(&edict_queue_state_of(queue)->strays, 1);
	t->stray = queue + 1;
	if (counters)
		counters->tier[EDICT_QUEUE_TIER(queue)].strays++;
}

static __always_inline void edict_stray_served(struct edict_task *t)
{
	if (!t->stray)
		return;
	__sync_fetch_and_sub(&edict_queue_state_of(t->stray - 1)->strays, 1);
	t->stray = 0;
}

/* Whether the tier's CPUs are all closed to the task. */
static __always_inline bool edict_strays(struct task_struct *p, const struct edict_bank *bank,
					 u64 active, u32 tier)
{
	const struct cpumask *reach;

	if (!edict_confines(bank, tier))
		return false;
	reach = edict_cpus_of_tier(active, tier);
	return !reach || !bpf_cpumask_intersects(p->cpus_ptr, reach);
}

/*
 * The cache under which a task waits: that of its CPU, unless its tier is kept
 * away from there.
 */
static __always_inline u32 edict_home(struct task_struct *p, const struct edict_bank *bank,
				      u64 active, u32 tier)
{
	u32 cpu = scx_bpf_task_cpu(p), other;
	const struct cpumask *reach;

	if (edict_nr_llcs <= 1 || !edict_confines(bank, tier) ||
	    (edict_admitted(bank, active, cpu) & (1U << edict_index(tier))))
		return edict_llc_of(cpu);
	reach = edict_cpus_of_tier(active, tier);
	if (!reach)
		return edict_llc_of(cpu);
	other = bpf_cpumask_any_and_distribute(p->cpus_ptr, reach);
	return edict_llc_of(other < edict_nr_cpus ? other : cpu);
}

/* A mask in its slot, if there is none yet. */
static __always_inline int edict_mask_make(struct edict_mask *slot)
{
	struct bpf_cpumask *made, *old;

	if (!slot)
		return -ESRCH;
	if (slot->cpus)
		return 0;
	made = bpf_cpumask_create();
	if (!made)
		return -ENOMEM;
	old = bpf_kptr_xchg(&slot->cpus, made);
	if (old)
		bpf_cpumask_release(old);
	return 0;
}

static __always_inline void edict_mask_put(struct edict_mask *slot, u32 cpu, bool member)
{
	struct bpf_cpumask *cpus;

	if (!slot)
		return;
	bpf_rcu_read_lock();
	cpus = slot->cpus;
	if (cpus && member)
		bpf_cpumask_set_cpu(cpu, cpus);
	else if (cpus)
		bpf_cpumask_clear_cpu(cpu, cpus);
	bpf_rcu_read_unlock();
}

static __always_inline u32 edict_mask_weight(struct edict_mask *slot)
{
	struct bpf_cpumask *cpus;
	u32 weight = 0;

	if (!slot)
		return 0;
	bpf_rcu_read_lock();
	cpus = slot->cpus;
	if (cpus)
		weight = bpf_cpumask_weight(cast_mask(cpus));
	bpf_rcu_read_unlock();
	return weight;
}

/* Of one that goes the kernel says for a while that it is online. */
static __always_inline bool edict_is_online(u32 cpu)
{
	const struct cpumask *online = scx_bpf_get_online_cpumask();
	struct edict_cpu *there = edict_cpu_of(cpu);
	bool is = bpf_cpumask_test_cpu(cpu, online) && !(there && READ_ONCE(there->gone));

	scx_bpf_put_cpumask(online);
	return is;
}

/*
 * Says of a CPU whether it is in a mask that others look at meanwhile. It may come
 * or go just now, which whoever sees it says as well: so this looks once more.
 */
static __always_inline void edict_mask_says(struct edict_mask *slot, u32 cpu, bool member)
{
	bool online = edict_is_online(cpu);

	edict_mask_put(slot, cpu, member && online);
	if (member && edict_is_online(cpu) != online)
		edict_mask_put(slot, cpu, !online);
}

/* How many CPUs of a cache are online. */
static __always_inline void edict_count_llc(u32 llc)
{
	WRITE_ONCE(edict_llc_at(llc)->nr_cpus, edict_mask_weight(edict_domain_at(llc)));
}

/* Makes masks of where the CPUs are. */
__noinline int edict_survey_cpus(void)
{
	u32 i, cpu;

	bpf_for(i, 0, EDICT_DOMAINS) {
		struct edict_mask *domain = edict_domain_at(i);
		int error;

		if (i < EDICT_LLCS_MAX && i >= edict_nr_llcs)
			continue;
		error = edict_mask_make(domain);
		if (error)
			return error;
		bpf_for(cpu, 0, edict_nr_cpus) {
			struct edict_place *place = bpf_map_lookup_elem(&edict_places, &cpu);
			u32 at = edict_llc_of(cpu);

			if (!place)
				continue;
			if (i >= EDICT_LLCS_MAX)
				at = EDICT_LLCS_MAX + place->node % EDICT_NODES_MAX;
			edict_mask_says(domain, cpu, at == i);
		}
		if (i < EDICT_LLCS_MAX)
			edict_count_llc(i);
	}
	bpf_for(cpu, 0, edict_nr_cpus) {
		struct edict_siblings *siblings = bpf_map_lookup_elem(&edict_cores, &cpu);
		struct edict_place *place = bpf_map_lookup_elem(&edict_places, &cpu);

		if (siblings && siblings->count)
			edict_threads = 1;
		if (place && edict_is_online(cpu))
			edict_llc_at(edict_llc_of(cpu))->node = place->node;
	}
	return 0;
}

/* Whether a tier may run on a CPU, by its policy. */
static __always_inline bool edict_reaches_cpu(const struct edict_tier *tier,
					      const struct edict_place *place, u32 cpu)
{
	switch (tier->within) {
	case EDICT_WITHIN_CPUS:
		if (cpu >= EDICT_CPUS_MAX)
			return false;
		return tier->cpus[(cpu / 64) & (EDICT_CPUS_MAX / 64 - 1)] & (1ULL << (cpu % 64));
	case EDICT_WITHIN_LLC:
		return place->llc == tier->place;
	case EDICT_WITHIN_NODE:
		return place->node == tier->place;
	}
	return true;
}

/* Makes masks of what one tier of a bank says about CPUs. */
__noinline int edict_confine_tier(u32 index, u32 tier)
{
	struct edict_bank *bank = EDICT_BANK(index);
	struct edict_mask *slot;
	bool reaches;
	u32 cpu;
	int error;

	tier = edict_index(tier);
	index &= 1;
	if (!bank)
		return -ESRCH;
	slot = edict_reach_at(index, tier);
	error = edict_mask_make(slot);
	if (error)
		return error;
	bpf_for(cpu, 0, edict_nr_cpus) {
		struct edict_admission *admission = bpf_map_lookup_elem(&edict_admissions, &cpu);
		struct edict_place *place = bpf_map_lookup_elem(&edict_places, &cpu);

		if (!admission || !place)
			continue;
		reaches = edict_reaches_cpu(&bank->head.tier[tier], place, cpu);
		if (reaches)
			admission->tiers[index] |= 1U << tier;
		else
			admission->tiers[index] &= ~(1U << tier);
		edict_mask_says(slot, cpu, reaches);
	}
	return 0;
}

/* The same for a bank. */
static __always_inline int edict_confine_bank(u32 index)
{
	struct edict_bank *bank = EDICT_BANK(index);
	u32 tier;

	if (!bank || !bank->head.confined)
		return 0;
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		int error = edict_confine_tier(index, tier);

		if (error)
			return error;
	}
	return 0;
}

/* The agent has told where the CPUs are. */
SEC("syscall")
int edict_survey(void *ctx)
{
	return edict_survey_cpus();
}

/* The agent has filled this bank. */
SEC("syscall")
int edict_confine(struct edict_confine_request *request)
{
	return edict_confine_bank(request->bank);
}

#endif /* EDICT_DOMAINS_BPF_H */
