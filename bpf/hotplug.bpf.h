/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUs that come and go.
 *
 * A scheduler that has cpu_online and cpu_offline stays attached over hotplug
 * and suspend. The kernel moves what runs on a CPU that goes, or is in its
 * local queue: before the CPU dies each of these tasks is picked there once and
 * pushed elsewhere, its affinity widened if nothing is left of it. It cannot do
 * so for what waits in queues of ours, which an offline CPU no longer serves: a
 * task pinned there would wait for ever, and the CPU would wait for it to leave.
 * So what is still accounted to the CPU is put into its local queue, and comes
 * back through enqueue on the CPU that the kernel finds for it.
 *
 *   cpu_offline ──▶ gone ──▶ its tasks: our queues ──▶ its local queue
 *                                                          │ kernel
 *                                 enqueue on another CPU ◀─┘
 *
 * From then on nothing is sent to it. It may still stand among the idle ones:
 * the kernel puts it there when its last task has left and takes nobody out. Nor
 * does it kick itself for what it could serve: it would until it is dead, and a
 * kick that it had then not carried out would keep all later ones, those of RCU
 * too, from being carried out after it has come back.
 *
 * Where a CPU is the agent reads, and is asked to when one comes.
 *
 * What it does not do: it takes back no affinity that the kernel has widened.
 */
#ifndef EDICT_HOTPLUG_BPF_H
#define EDICT_HOTPLUG_BPF_H

#include "domains.bpf.h"

/* So often an idle CPU is asked for, when those named before are offline. */
#define EDICT_IDLE_LOOKS 8

static __always_inline bool edict_gone(s32 cpu)
{
	struct edict_cpu *there = edict_cpu_of(cpu);

	return there && READ_ONCE(there->gone);
}

/* An idle CPU that the task may run on; it is not idle any more. Or -1. */
static __always_inline s32 edict_pick_idle(struct task_struct *p)
{
	u32 look;

	bpf_for(look, 0, EDICT_IDLE_LOOKS) {
		s32 cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);

		if (cpu < 0)
			break;
		if (!edict_gone(cpu))
			return cpu;
	}
	return -1;
}

/* What depends on how many CPUs there are. */
static __always_inline void edict_count_cpus(void)
{
	u32 cpu, count = 0;

	bpf_for(cpu, 0, edict_nr_cpus)
		count += !edict_gone(cpu);
	WRITE_ONCE(edict_cpus_online, count);
	edict_ledger_prepare(READ_ONCE(edict_active));
}

/* The agent looks where the CPUs are; the keeper asks again until it has heard. */
static __always_inline void edict_tell_cpus(u64 active)
{
	WRITE_ONCE(edict_cpus_untold, !edict_tell(active, EDICT_EVENT_CPUS, 0, 0, 0));
}

/* The masks of caches, nodes and tiers hold what is online. */
__noinline int edict_count_in_masks(u32 cpu, bool online)
{
	struct edict_admission *admission = bpf_map_lookup_elem(&edict_admissions, &cpu);
	struct edict_place *place = bpf_map_lookup_elem(&edict_places, &cpu);
	u32 bank, tier, llc = edict_llc_of(cpu);

	if (!place || !admission || cpu >= edict_nr_cpus)
		return 0;
	edict_mask_put(edict_domain_at(llc), cpu, online);
	edict_mask_put(edict_domain_at(EDICT_LLCS_MAX + place->node % EDICT_NODES_MAX), cpu, online);
	edict_count_llc(llc);
	bpf_for(bank, 0, 2) {
		bpf_for(tier, 0, EDICT_TIERS_MAX) {
			/* What a bank says may be told meanwhile: whoever tells it looks again. */
			if (!online || (READ_ONCE(admission->tiers[bank & 1]) & (1U << edict_index(tier))))
				edict_mask_put(edict_reach_at(bank, tier), cpu, online);
		}
	}
	return 0;
}

/* Nothing of ours is on a CPU that comes. */
__noinline int edict_cpu_comes(u32 cpu)
{
	struct edict_cpu *there = edict_cpu_of(cpu);

	if (!there)
		return 0;
	there->tier = EDICT_TIERS_MAX;
	there->held = 0;
	if (!there->gone)
		return 0;
	WRITE_ONCE(there->gone, 0);
	edict_count_cpus();
	edict_count_in_masks(cpu, true);
	return 0;
}

/*
 * What waits in one of our queues for the CPU that goes, and what may now go
 * nowhere else since its tier's CPUs have gone: that one runs where it was queued.
 */
static __always_inline void edict_send_home(const struct edict_bank *bank, u64 active, u64 dsq,
					    s32 cpu)
{
	struct task_struct *p;

	if (scx_bpf_dsq_nr_queued(dsq) <= 0)
		return;
	bpf_for_each(scx_dsq, p, dsq, 0) {
		struct edict_task *t = edict_task_of(p);
		s32 there = scx_bpf_task_cpu(p);

		if (there == cpu || (t && !t->stray && edict_strays(p, bank, active, t->tier)))
			scx_bpf_dsq_move(BPF_FOR_EACH_ITER, p, SCX_DSQ_LOCAL_ON | there, 0);
	}
}

static __always_inline void edict_cpu_goes(struct edict_cpu *there, s32 cpu)
{
	u64 active = READ_ONCE(edict_active);
	struct edict_bank *bank = EDICT_BANK(active);
	u32 llc, queue;

	there->tier = EDICT_TIERS_MAX;
	if (!there->gone) {
		WRITE_ONCE(there->gone, 1);
		edict_count_cpus();
		edict_count_in_masks(cpu, false);
	}
	if (!bank)
		return;
	bpf_for(llc, 0, edict_nr_llcs) {
		bpf_for(queue, 0, EDICT_ORDERS * EDICT_TIERS_MAX)
			edict_send_home(bank, active,
					EDICT_DSQ(EDICT_QUEUE(llc & (EDICT_LLCS_MAX - 1), 0, queue)),
					cpu);
	}
	edict_send_home(bank, active, EDICT_DSQ_DUE, cpu);
	edict_send_home(bank, active, EDICT_DSQ_RESUME, cpu);
}

/* Called once, while no CPU may come or go. */
static __always_inline void edict_mark_cpus(void)
{
	const struct cpumask *online = scx_bpf_get_online_cpumask();
	u32 cpu;

	bpf_for(cpu, 0, edict_nr_cpus) {
		struct edict_cpu *here = edict_cpu_of(cpu);

		if (!here)
			continue;
		here->gone = !bpf_cpumask_test_cpu(cpu, online);
		/* It may have come or gone since it was told where the CPUs are. */
		edict_count_in_masks(cpu, !here->gone);
	}
	scx_bpf_put_cpumask(online);
	edict_count_cpus();
}

/* With both of these the kernel leaves the scheduler attached over hotplug. */
void BPF_STRUCT_OPS(edict_cpu_online, s32 cpu)
{
	edict_cpu_comes(cpu);
	edict_tell_cpus(READ_ONCE(edict_active));
}

void BPF_STRUCT_OPS(edict_cpu_offline, s32 cpu)
{
	struct edict_cpu *there = edict_cpu_of(cpu);

	if (there)
		edict_cpu_goes(there, cpu);
	edict_tell_cpus(READ_ONCE(edict_active));
}

#endif /* EDICT_HOTPLUG_BPF_H */
