/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the object knows of every task, for lists of tasks: an iterator that the
 * agent reads like a file, one `struct edict_listed` for each task that a policy
 * schedules. It classifies no task anew and writes nothing but its answer, so a
 * task that has not run since the last commit is listed under the tier that it
 * had before, together with the generation that said so.
 */
#ifndef EDICT_LISTING_BPF_H
#define EDICT_LISTING_BPF_H

#include "tables.bpf.h"

SEC("iter/task")
int edict_list(struct bpf_iter__task *ctx)
{
	struct edict_listed line = {};
	struct task_struct *p = ctx->task;
	struct edict_task *t;

	/* Below 100 are the priorities of real-time and deadline tasks. */
	if (!p || p->prio < 100)
		return 0;
	t = bpf_task_storage_get(&edict_tasks, p, 0, 0);
	if (!t)
		return 0;
	line.active = t->active;
	line.vtime = t->vtime;
	line.runtime_ns = p->se.sum_exec_runtime;
	line.pid = p->pid;
	line.tgid = p->tgid;
	line.tier = t->tier;
	line.rule = t->rule;
	line.cpu = p->thread_info.cpu;
	line.weight = p->scx.weight;
	line.priority = p->prio;
	line.runnable = p->scx.flags & SCX_TASK_QUEUED ? 1 : 0;
	BPF_CORE_READ_STR_INTO(&line.comm, p, comm);
	bpf_seq_write(ctx->meta->seq, &line, sizeof(line));
	return 0;
}

#endif /* EDICT_LISTING_BPF_H */
