/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The performance level that a CPU is asked for while it runs a task of a tier
 * with `perf`: a hint to the frequency governor, of 1024.
 *
 * Tiers without it ask for all, which is what the kernel assumes where a
 * scheduler asks for nothing; where no tier has it nothing is ever asked. A CPU
 * is asked only when that changes. An idle CPU keeps what it was asked for last.
 *
 * What it does not do: on a machine without frequency scaling, or under a
 * governor that does not listen, it changes nothing.
 */
#ifndef EDICT_PACE_BPF_H
#define EDICT_PACE_BPF_H

#include "ledger.bpf.h"

enum { EDICT_PERF_ALL = 1024 }; /* SCX_CPUPERF_ONE */

static __always_inline void edict_pace(const struct edict_bank *bank, struct edict_cpu *here,
				       s32 cpu, u32 tier)
{
	u32 level = EDICT_PERF_ALL;

	/* `asked` is one more than the level; 0 is the kernel's own, which is all. */
	if (!bank->head.paced && (!here->asked || here->asked == EDICT_PERF_ALL + 1))
		return;
	tier = edict_index(tier);
	if (bank->head.paced & (1U << tier))
		level = bank->head.tier[tier].perf;
	if (level > EDICT_PERF_ALL)
		level = EDICT_PERF_ALL;
	if (here->asked == level + 1 || !bpf_ksym_exists(scx_bpf_cpuperf_set))
		return;
	here->asked = level + 1;
	scx_bpf_cpuperf_set(cpu, level);
}

/* The level that a CPU is asked for now, whoever asked. */
static __always_inline u32 edict_perf_of(s32 cpu)
{
	struct rq *rq = bpf_per_cpu_ptr(&runqueues, cpu);

	if (!rq || !bpf_core_field_exists(rq->scx.cpuperf_target))
		return EDICT_PERF_ALL;
	return rq->scx.cpuperf_target;
}

#endif /* EDICT_PACE_BPF_H */
