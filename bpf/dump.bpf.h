/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel prints of the scheduler when it ends it, or when it is asked
 * to (SysRq-D): the tiers with their queues, and what is known of each task.
 *
 * What it does not do: it changes nothing, for it may run in the middle of
 * whatever went wrong.
 */
#ifndef EDICT_DUMP_BPF_H
#define EDICT_DUMP_BPF_H

#include "tiers.bpf.h"

void BPF_STRUCT_OPS(edict_dump, struct scx_dump_ctx *dctx)
{
	u64 active = READ_ONCE(edict_active);
	struct edict_bank *bank = EDICT_BANK(active);
	u32 i, llc;

	scx_bpf_dump("edict: generation %llu, bank %u, due %d, resuming %d\n",
		     EDICT_GENERATION(active), EDICT_BANK_INDEX(active),
		     scx_bpf_dsq_nr_queued(EDICT_DSQ_DUE),
		     scx_bpf_dsq_nr_queued(EDICT_DSQ_RESUME));
	if (!bank)
		return;
	bpf_for(i, 0, EDICT_TIERS_MAX) {
		struct edict_tier_state *state = edict_tier_state_of(i);

		if (i >= bank->head.nr_tiers)
			break;
		scx_bpf_dump("tier %u: %u tickets, used %llu ns, debt %lld ns\n", i,
			     bank->head.tier[edict_index(i)].tickets, state->used_ns,
			     state->debt_ns);
		bpf_for(llc, 0, edict_nr_llcs) {
			u32 queue = edict_queue_of(bank, i, llc);

			scx_bpf_dump("  cache %u: queued %d, clock %llu\n", llc,
				     scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)),
				     edict_queue_state_of(queue)->clock);
		}
	}
}

void BPF_STRUCT_OPS(edict_dump_task, struct scx_dump_ctx *dctx, struct task_struct *p)
{
	struct edict_task *t = edict_task_of(p);

	if (t)
		scx_bpf_dump("edict: tier %u by rule %u of generation %llu, vtime %llu, queued at %llu\n",
			     t->tier, t->rule, EDICT_GENERATION(t->active), t->vtime,
			     t->queued_at);
}

#endif /* EDICT_DUMP_BPF_H */
