/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Order within a tier.
 *
 * Tasks run by virtual time, weighted by nice exactly as the kernel's own
 * scheduler weighs it, in the order of their arrival, or by a lottery that nice
 * weighs: each draws its position when it is queued, and the clock of the queue is
 * the position of its last winner.
 *
 * A task that slept is at most one slice behind its queue's clock, others sixteen,
 * and that clock passes no task that waits. Each queue has a clock of its own: under a cache that
 * is slower, or has more to do, virtual time goes slower, and what comes from there
 * keeps its distance to the clock, not its time.
 *
 * What it does not do: tasks that may not use the same CPUs are in one queue, and
 * part in virtual time for as long as they run. The clock stays with those that
 * have the least, and the others are held near it: what one of them had more than
 * another is forgotten there, and their nice values count for little.
 */
#ifndef EDICT_VTIME_BPF_H
#define EDICT_VTIME_BPF_H

#include "queues.bpf.h"

enum {
	EDICT_AHEAD = 8,	/* turns of its own that a task brings along to another queue */
	EDICT_AHEAD_HERE = 64,	/* and slices more that it may be ahead of those in its queue */
	EDICT_BEHIND_HERE = 16, /* slices that it may be behind them without having slept */
	EDICT_FIRST_SCAN = 32,	/* tasks looked at for one that may run on a CPU */
};

/*
 * Reads the task's virtual time against the clock of its queue. One that had
 * more than its part, since the others may not use its CPU, is ahead, but not
 * without end: it is not to wait for ever when it comes where they are.
 *
 * One that slept is a slice behind at most. One that has competed since then may
 * be further behind: the clock is where the first of the waiting is, and a heavy
 * task runs several times before a light one that waits for the same CPU.
 */
static __always_inline void edict_rebase(const struct task_struct *p, struct edict_task *t,
					 u32 queue, u64 slice)
{
	u64 clock = READ_ONCE(edict_queue_state_of(queue)->clock);
	u64 most = EDICT_AHEAD * edict_virtual(slice, edict_prio_of(p));
	u64 behind = t->competes ? EDICT_BEHIND_HERE * slice : slice;

	t->competes = EDICT_COMPETES;
	if (EDICT_QUEUE_ORDER(queue) == EDICT_ORDER_LOTTERY) {
		/* It has no past: see edict_key(). */
		t->clock = queue;
		return;
	}
	if (t->clock != queue) {
		s64 ahead = (s64)(t->vtime - READ_ONCE(edict_queue_state_of(t->clock)->clock));

		if (ahead > (s64)most)
			ahead = most;
		t->vtime = clock + ahead;
		t->clock = queue;
		behind = slice;
	}
	most += EDICT_AHEAD_HERE * slice;
	if (edict_before(t->vtime, clock - behind))
		t->vtime = clock - behind;
	else if (edict_before(clock + most, t->vtime))
		t->vtime = clock + most;
}

/*
 * The position of a task in the queue whose clock it is read against. In a
 * lottery it is drawn here, again each time that it competes: what is left of
 * an exponential variable is distributed like a new one.
 */
static __always_inline u64 edict_key(const struct task_struct *p, struct edict_task *t)
{
	struct edict_cpu *here;

	if (EDICT_QUEUE_ORDER(t->clock) != EDICT_ORDER_LOTTERY)
		return t->vtime;
	here = edict_cpu_of(bpf_get_smp_processor_id());
	t->vtime = READ_ONCE(edict_queue_state_of(t->clock)->clock);
	if (here)
		t->vtime += edict_race(edict_random(&here->random), edict_prio_of(p));
	return t->vtime;
}

/* A clock that would go further at once is held against what runs. */
#define EDICT_CLOCK_STEP_NS 2000000ULL

/*
 * The clock of a queue follows what runs, but passes neither what waits nor, if
 * nobody does, what runs elsewhere: a task that has a CPU for itself would take
 * it along, and those that share another CPU would look as if they had slept,
 * whatever their nice values are. Between two of them the queue is empty.
 */
__noinline int edict_clock_follows(u32 queue, u64 vtime)
{
	struct edict_queue_state *state = edict_queue_state_of(queue);
	u64 clock = READ_ONCE(state->clock);
	struct task_struct *head;
	bool waits = false;
	u32 cpu;

	queue &= EDICT_QUEUES - 1;
	if (EDICT_QUEUE_ORDER(queue) == EDICT_ORDER_VTIME) {
		if (scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) > 0) {
			/* It may have been taken meanwhile. */
			bpf_for_each(scx_dsq, head, EDICT_DSQ(queue), 0) {
				u64 key = head->scx.dsq_vtime;

				waits = true;
				if (edict_before(key, vtime))
					vtime = key;
				break;
			}
		}
		if (!waits && edict_before(clock + EDICT_CLOCK_STEP_NS, vtime)) {
			bpf_for(cpu, 0, edict_nr_cpus) {
				struct edict_cpu *there = edict_cpu_of(cpu);
				u64 since;

				if (!there || there->tier >= EDICT_TIERS_MAX || there->held ||
				    there->run_queue != queue + 1)
					continue;
				since = READ_ONCE(there->run_vtime);
				if (edict_before(since, vtime))
					vtime = since;
			}
		}
	}
	if (edict_before(clock, vtime))
		WRITE_ONCE(state->clock, vtime);
	return 0;
}

/*
 * Where the first task in a queue is that may run on a CPU: after `key` if there
 * is none, there if many are in front that may not. These have less to share with
 * than others, and are in front for that.
 */
__noinline u64 edict_first_for(u32 queue, u32 cpu, u64 key)
{
	u32 left = EDICT_FIRST_SCAN;
	struct task_struct *head;
	u64 first = key + 1;

	queue &= EDICT_QUEUES - 1;
	if (scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) <= 0)
		return first;
	if (EDICT_QUEUE_ORDER(queue) == EDICT_ORDER_FIFO)
		return key;
	bpf_for_each(scx_dsq, head, EDICT_DSQ(queue), 0) {
		if (!left--)
			return key;
		if (!bpf_cpumask_test_cpu(cpu, head->cpus_ptr))
			continue;
		first = head->scx.dsq_vtime;
		break;
	}
	return first;
}

#endif /* EDICT_VTIME_BPF_H */
