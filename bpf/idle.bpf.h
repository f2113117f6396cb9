/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which CPU a task that wakes up goes to.
 *
 *   1. its previous CPU, if the whole core is idle      ┐
 *   2. an idle core under the same cache                │ the kernel's own search,
 *   3. its previous CPU, an idle CPU under the cache    ┘ over the CPUs of the cache
 *   4. the same in the node                               … of the node
 *   5. anywhere                                           … of the tier, or all
 *
 * within its affinity and its tier's CPUs. A cache is worth more than a core of
 * one's own: an idle thread beside another task, under the cache that holds the
 * data, comes before an idle core elsewhere. A waker that is about to sleep, and
 * is under another cache, pulls the task to its own CPU (step 5 does so), and a
 * tier that is confined starts at step 5.
 *
 * Before all of these comes the CPU of a waker that is about to sleep and runs no
 * longer than it takes to wake an idle CPU; if nobody else waits, the task may not
 * interrupt the waker, and no tier is exclusive. Two that take turns are served best
 * by one CPU. Should the waker go on this time, the next tick makes it leave, and now
 * and then the CPU draws as if nobody followed.
 *
 * When nothing is idle, a task stays where its data is. A new one has none yet:
 * it goes to the cache that has the least of its own tier to run, so that the
 * shares of the tiers are those of the machine, then the least in all.
 *
 * What it does not do: it looks for no CPU that is merely less busy. The queues
 * are those of a cache, not of a CPU; the next CPU of the cache serves them.
 */
#ifndef EDICT_IDLE_BPF_H
#define EDICT_IDLE_BPF_H

#include "dispatch.bpf.h"
#include "hotplug.bpf.h"

/* How long a CPU takes at most until it runs what interrupts it. */
#define EDICT_COMING_NS 1000000

/* The kernel's search for an idle CPU, over the CPUs of a mask; claims it. */
static __always_inline s32 edict_idle_among(struct task_struct *p, s32 prev, u64 wake_flags,
					    const struct cpumask *cpus, u64 flags)
{
	u32 i;

	if (__COMPAT_HAS_scx_bpf_select_cpu_and)
		return scx_bpf_select_cpu_and(p, prev, wake_flags, cpus, flags);
	/* Before 6.16 it searches one set, not where two meet, and needs not know the last CPU. */
	if (!flags && bpf_cpumask_test_cpu(prev, p->cpus_ptr) && bpf_cpumask_test_cpu(prev, cpus) &&
	    scx_bpf_test_and_clear_cpu_idle(prev))
		return prev;
	if (bpf_cpumask_subset(p->cpus_ptr, cpus))
		return scx_bpf_pick_idle_cpu(p->cpus_ptr, flags);
	if (bpf_cpumask_subset(cpus, p->cpus_ptr))
		return scx_bpf_pick_idle_cpu(cpus, flags);
	if (flags & SCX_PICK_IDLE_CORE)
		return -EBUSY;
	bpf_for(i, 0, edict_nr_cpus) {
		u32 cpu = prev + i < edict_nr_cpus ? prev + i : prev + i - edict_nr_cpus;

		if (bpf_cpumask_test_cpu(cpu, p->cpus_ptr) && bpf_cpumask_test_cpu(cpu, cpus) &&
		    scx_bpf_test_and_clear_cpu_idle(cpu))
			return cpu;
	}
	return -EBUSY;
}

/* Claims the idle CPU that is best for the task; negative where there is none. */
__noinline int edict_best_idle(struct task_struct *p __arg_trusted, u64 active, u32 tier,
			       s32 prev, u64 wake_flags)
{
	struct edict_bank *bank = EDICT_BANK(active);
	const struct cpumask *cpus;
	u64 flags = 0;
	u32 llc;
	s32 cpu;

	if (!bank || prev < 0 || prev >= edict_nr_cpus)
		return -EINVAL;
	/* What runs beside an idle CPU matters: first the cores without. */
	if (edict_threads && edict_excludes(bank, edict_index(tier)))
		flags = SCX_PICK_IDLE_CORE;
	if (edict_confines(bank, tier)) {
		cpus = edict_cpus_of_tier(active, tier);
		if (!cpus)
			return -EBUSY;
		if (bpf_cpumask_intersects(p->cpus_ptr, cpus))
			return edict_idle_among(p, prev, wake_flags, cpus, flags);
	} else if (edict_nr_llcs > 1) {
		llc = edict_llc_of(prev);
		cpus = edict_cpus_of_llc(llc);
		if (cpus && !((wake_flags & SCX_WAKE_SYNC) &&
			      edict_llc_of(bpf_get_smp_processor_id()) != llc)) {
			cpu = edict_idle_among(p, prev, wake_flags, cpus, flags);
			if (cpu >= 0)
				return cpu;
			cpus = edict_cpus_of_node(edict_llc_at(llc)->node);
			cpu = cpus ? edict_idle_among(p, prev, wake_flags, cpus, flags) : -EBUSY;
			if (cpu >= 0)
				return cpu;
		}
	}
	return edict_idle_among(p, prev, wake_flags, p->cpus_ptr, flags);
}

/* Claims an idle CPU on a core that its other CPUs leave to the tier. */
__noinline int edict_idle_beside(struct task_struct *p __arg_trusted, u64 active, u32 tier,
				 s32 prev, u64 now)
{
	struct edict_bank *bank = EDICT_BANK(active);
	const struct cpumask *idle;
	s32 found = -EBUSY;
	u32 i;

	if (!bank)
		return -EINVAL;
	idle = scx_bpf_get_idle_cpumask();
	if (bpf_cpumask_empty(idle))
		goto out;
	bpf_for(i, 0, edict_nr_cpus) {
		u32 cpu = prev + i < edict_nr_cpus ? prev + i : prev + i - edict_nr_cpus;

		if (!bpf_cpumask_test_cpu(cpu, idle) || !bpf_cpumask_test_cpu(cpu, p->cpus_ptr) ||
		    edict_gone(cpu))
			continue;
		if (!(edict_admitted(bank, active, cpu) & (1U << edict_index(tier))))
			continue;
		if (!(edict_core_leaves(active, cpu, now) & (1U << edict_index(tier))))
			continue;
		if (scx_bpf_test_and_clear_cpu_idle(cpu)) {
			found = cpu;
			break;
		}
	}
out:
	scx_bpf_put_idle_cpumask(idle);
	return found;
}

/* Bursts of a waker that is worth waiting for. */
#define EDICT_BRIEF_NS 100000ULL
/* So many times in a row no tier is drawn for a CPU, and nothing is taken from elsewhere. */
#define EDICT_FOLLOWS_MAX 64

/* Whether the task that wakes another one up leaves its CPU in a moment. */
static __always_inline bool edict_waker_leaves(u64 wake_flags, u64 now)
{
	struct edict_task *t;

	/* What runs in an interrupt is not the waker. */
	if (!(wake_flags & SCX_WAKE_SYNC) || bpf_in_interrupt())
		return false;
	t = bpf_task_storage_get(&edict_tasks, bpf_get_current_task_btf(), 0, 0);
	return t && t->ran_at && t->bursts >= EDICT_SAMPLES && t->burst_avg_ns < EDICT_BRIEF_NS &&
	       t->burst_ns + (now - t->ran_at) < EDICT_BRIEF_NS;
}

/* The CPU of a waker that leaves it, if nothing else waits for it; or -1. */
__noinline int edict_after_waker(struct task_struct *p __arg_trusted, u64 active, u32 tier,
				 u64 wake_flags, u64 now)
{
	struct edict_bank *bank = EDICT_BANK(active);
	s32 cpu = bpf_get_smp_processor_id();
	struct edict_cpu *here = edict_cpu_of(cpu);
	u32 of_waker;

	if (!bank || !here || here->gone || here->held || bank->head.exclusive ||
	    here->follows >= EDICT_FOLLOWS_MAX || !edict_waker_leaves(wake_flags, now))
		return -1;
	of_waker = here->tier;
	/* One that goes before the waker is not to wait for it. */
	if (of_waker >= EDICT_TIERS_MAX ||
	    (edict_interrupts(bank, tier, now) & (1U << edict_index(of_waker))))
		return -1;
	if (!bpf_cpumask_test_cpu(cpu, p->cpus_ptr) ||
	    !(edict_admitted(bank, active, cpu) & (1U << edict_index(tier))))
		return -1;
	if (READ_ONCE(edict_llc_at(edict_llc_of(cpu))->orphans) ||
	    edict_waits_for(active, cpu, now) || scx_bpf_dsq_nr_queued(SCX_DSQ_LOCAL_ON | cpu) > 0)
		return -1;
	here->followed = 1;
	here->follows++;
	return cpu;
}

/* Claims an idle CPU for a task; negative where there is none. */
static __always_inline s32 edict_find_idle(struct task_struct *p, const struct edict_bank *bank,
					   u64 active, u32 tier, s32 prev, u64 wake_flags, u64 now)
{
	s32 cpu = edict_best_idle(p, active, tier, prev, wake_flags);

	/* One that is offline was still among the idle ones; now it is not. */
	if (cpu >= 0 && edict_gone(cpu))
		cpu = edict_best_idle(p, active, tier, prev, wake_flags);
	if (cpu >= 0 && edict_gone(cpu))
		cpu = -EBUSY;
	if (!bank->head.exclusive || !edict_threads)
		return cpu;
	if (cpu >= 0) {
		if (edict_core_leaves(active, cpu, now) & (1U << edict_index(tier)))
			return cpu;
		/* Just closed. It looks around once more, and counts as idle again. */
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
	}
	return edict_idle_beside(p, active, tier, prev, now);
}

/* What a cache's CPUs have to run, each, of a tier (high) and in all (low). */
static __always_inline u64 edict_load_of(const struct edict_bank *bank, u32 tier, u32 llc)
{
	u32 nr_cpus = edict_llc_at(llc)->nr_cpus, i;
	u64 all = 0, own;

	bpf_for(i, 0, EDICT_TIERS_MAX) {
		s64 weight = edict_queue_state_of(edict_queue_of(bank, i, llc))->weight;

		if (weight > 0 && i < bank->head.nr_tiers)
			all += weight;
	}
	own = edict_queue_state_of(edict_queue_of(bank, tier, llc))->weight;
	if ((s64)own < 0)
		own = 0;
	if (!nr_cpus)
		return ~0ULL;
	all /= nr_cpus;
	own /= nr_cpus;
	return (own < 0xffffffffULL ? own : 0xffffffffULL) << 32 |
	       (all < 0xffffffffULL ? all : 0xffffffffULL);
}

/* A CPU for a new task, when none is idle. */
__noinline int edict_spread(struct task_struct *p __arg_trusted, u64 active, u32 tier, s32 prev)
{
	struct edict_bank *bank = EDICT_BANK(active);
	const struct cpumask *cpus;
	u32 own, best, i;
	u64 least;

	if (!bank || prev < 0 || prev >= edict_nr_cpus)
		return prev;
	if (edict_confines(bank, tier)) {
		cpus = edict_cpus_of_tier(active, tier);
		best = cpus ? bpf_cpumask_any_and_distribute(p->cpus_ptr, cpus) : prev;
		return best < edict_nr_cpus ? best : prev;
	}
	own = edict_llc_of(prev);
	best = own;
	least = edict_load_of(bank, tier, own);
	bpf_for(i, 1, edict_nr_llcs) {
		u32 llc = own + i < edict_nr_llcs ? own + i : own + i - edict_nr_llcs;
		u64 load = edict_load_of(bank, tier, llc);

		if (load >= least)
			continue;
		cpus = edict_cpus_of_llc(llc);
		if (!cpus || !bpf_cpumask_intersects(p->cpus_ptr, cpus))
			continue;
		least = load;
		best = llc;
	}
	if (best == own)
		return prev;
	cpus = edict_cpus_of_llc(best);
	best = cpus ? bpf_cpumask_any_and_distribute(p->cpus_ptr, cpus) : prev;
	return best < edict_nr_cpus ? best : prev;
}

/* A CPU whose task a waking task may interrupt, for its tier is in `preempt`; or -1. */
__noinline int edict_victim(struct task_struct *p __arg_trusted, u64 active, u32 preempt, u64 now)
{
	s32 first = scx_bpf_task_cpu(p), held = -1;
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_task *t = edict_task_of(p);
	u32 i;

	if (!preempt || !bank || !t)
		return -1;
	for (i = 0; i < EDICT_PREEMPT_SCAN; i++) {
		struct edict_cpu *there;
		u32 cpu = first + i, tier;

		if (i >= edict_nr_cpus)
			break;
		if (cpu >= edict_nr_cpus)
			cpu -= edict_nr_cpus;
		there = edict_cpu_of(cpu);
		/* What follows there has been put off once already. */
		if (!there || there->gone || there->followed)
			continue;
		tier = READ_ONCE(there->tier);
		/* It need not have come: another CPU may have got it, or nobody. */
		if (READ_ONCE(there->coming) &&
		    edict_before(now, there->coming_at + EDICT_COMING_NS))
			tier = there->coming - 1;
		if (tier >= EDICT_TIERS_MAX || !(preempt & (1U << edict_index(tier))))
			continue;
		if (!bpf_cpumask_test_cpu(cpu, p->cpus_ptr) || !edict_admits(bank, active, t, cpu))
			continue;
		if (bank->head.exclusive &&
		    !(edict_core_leaves(active, cpu, now) & (1U << edict_index(t->tier))))
			continue;
		if (!there->held)
			return cpu;
		/* Another class has it until nobody knows when. */
		if (held < 0)
			held = cpu;
	}
	return held;
}

#endif /* EDICT_IDLE_BPF_H */
