/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The promise of max_wait.
 *
 * The keeper is a timer, which rests when nothing waits (filled.bpf.h). For each
 * queue it knows a time before which nothing in it was queued, and looks through
 * it only when that bound says that something may be due; it then moves everything
 * due at once into one queue, ordered by deadline, which every CPU, of whatever
 * cache, serves before it draws. When a deadline has passed all the same, it
 * interrupts a CPU that may run the task and that runs nothing due itself. Many tasks that become
 * due together would wait for each other, so it starts earlier by the time
 * that the CPUs of the cache need for all that is in the queue.
 *
 * What it does not do: it promises nothing when the tasks that are due need
 * more than all the CPUs together; they are then served in order of deadline.
 */
#ifndef EDICT_KEEPER_BPF_H
#define EDICT_KEEPER_BPF_H

#include "hotplug.bpf.h"

enum {
	EDICT_DUE_SHARE = 8,
};

/*
 * Moves what is due from one queue to the queue of the due, and what no CPU of
 * its tier may run: it was queued when the tier had others.
 */
static __always_inline void edict_collect(const struct edict_bank *bank, u64 active, u32 queue,
					  u64 limit, u64 slack, u64 slice, u64 now)
{
	struct edict_queue_state *state = edict_queue_state_of(queue);
	const struct cpumask *reach = NULL;
	u64 oldest = now, was = state->bound;
	u32 left = edict_scan_max;
	struct task_struct *p;

	if (edict_confines(bank, EDICT_QUEUE_TIER(queue)))
		reach = edict_cpus_of_tier(active, EDICT_QUEUE_TIER(queue));
	/* What comes while it looks is not looked at, and may have waited elsewhere. */
	state->bound = now;
	bpf_for_each(scx_dsq, p, EDICT_DSQ(queue), 0) {
		struct edict_task *t = edict_task_of(p);
		u64 queued_at;

		if (!left--) {
			oldest = was;
			break;
		}
		if (!t)
			continue;
		queued_at = t->queued_at;
		if (edict_before(now + slack, queued_at + limit) &&
		    !(reach && t->active != active && !bpf_cpumask_intersects(p->cpus_ptr, reach))) {
			if (edict_before(queued_at, oldest))
				oldest = queued_at;
			continue;
		}
		edict_fills_shared(now);
		scx_bpf_dsq_move_set_slice(BPF_FOR_EACH_ITER, slice);
		scx_bpf_dsq_move_set_vtime(BPF_FOR_EACH_ITER, queued_at + limit);
		if (scx_bpf_dsq_move_vtime(BPF_FOR_EACH_ITER, p, EDICT_DSQ_DUE, 0))
			t->how = EDICT_HOW_DUE;
	}
	if (edict_before(oldest, state->bound))
		state->bound = oldest;
	state->scanned_at = now;
}

/* Interrupts a CPU that may run `p` and runs nothing that is due itself. */
static __always_inline void edict_make_room(struct task_struct *p, struct edict_bank *bank,
					    u64 active, u64 now)
{
	struct edict_task *t = edict_task_of(p);
	u32 best = edict_nr_cpus, best_tier = 0, i;
	struct edict_cpu *cpu;

	bpf_for(i, 0, edict_nr_cpus) {
		u32 tier;

		if (!bpf_cpumask_test_cpu(i, p->cpus_ptr) ||
		    (t && !edict_admits(bank, active, t, i)))
			continue;
		cpu = edict_cpu_of(i);
		if (!cpu || cpu->kicked_at == now || cpu->held || cpu->gone)
			continue;
		tier = cpu->tier;
		if (tier >= EDICT_TIERS_MAX) {
			/* Idle, or another class has it. */
			if (!scx_bpf_test_and_clear_cpu_idle(i))
				continue;
			scx_bpf_kick_cpu(i, SCX_KICK_IDLE);
			return;
		}
		if (cpu->how == EDICT_HOW_DUE)
			continue;
		if (best == edict_nr_cpus || tier > best_tier) {
			best = i;
			best_tier = tier;
		}
	}
	if (best >= edict_nr_cpus)
		return;
	cpu = edict_cpu_of(best);
	if (cpu)
		cpu->kicked_at = now;
	scx_bpf_kick_cpu(best, SCX_KICK_PREEMPT);
}

static __always_inline bool edict_any_idle(void)
{
	const struct cpumask *idle = scx_bpf_get_idle_cpumask();
	bool any = !bpf_cpumask_empty(idle);

	scx_bpf_put_idle_cpumask(idle);
	return any;
}

/*
 * A CPU that falls idle while another queues a task looks at the queues near it;
 * the keeper looks at all, on behalf of those at the head of each: the first may
 * be one that no idle CPU may run.
 */
static __always_inline void edict_wake_idle(struct edict_bank *bank, u64 active, u64 dsq)
{
	u32 left = edict_wakes_max;
	struct task_struct *p;

	if (!edict_any_idle())
		return;
	bpf_for_each(scx_dsq, p, dsq, 0) {
		struct edict_task *t = edict_task_of(p);
		u32 i;
		s32 cpu;

		if (!left--)
			break;
		if (!bank->head.confined || !t || t->stray) {
			cpu = edict_pick_idle(p);
			if (cpu >= 0)
				scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
			continue;
		}
		bpf_for(i, 0, edict_nr_cpus) {
			if (bpf_cpumask_test_cpu(i, p->cpus_ptr) &&
			    edict_admits(bank, active, t, i) && !edict_gone(i) &&
			    scx_bpf_test_and_clear_cpu_idle(i)) {
				scx_bpf_kick_cpu(i, SCX_KICK_IDLE);
				break;
			}
		}
	}
}

/* How many CPUs serve a queue. */
static __always_inline u32 edict_serving(struct edict_bank *bank, u64 active, u32 tier, u32 llc)
{
	u32 cpus = edict_llc_at(llc)->nr_cpus, some;
	const struct cpumask *reach;

	if (edict_confines(bank, tier)) {
		reach = edict_cpus_of_tier(active, tier);
		some = reach ? bpf_cpumask_weight(reach) : 0;
		if (some < cpus)
			cpus = some;
	}
	return cpus ? cpus : 1;
}

/* One look at one queue. */
static __always_inline void edict_look_at(u64 active, u32 queue, u64 now)
{
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_queue_state *state;
	u32 tier = EDICT_QUEUE_TIER(queue), llc;
	u64 limit, slack, slice;
	s32 queued;

	queue &= EDICT_QUEUES - 1;
	queued = scx_bpf_dsq_nr_queued(EDICT_DSQ(queue));
	if (!bank)
		return;
	if (queued <= 0) {
		edict_emptied(queue, now);
		return;
	}
	state = edict_queue_state_of(queue);
	edict_wake_idle(bank, active, EDICT_DSQ(queue));
	llc = EDICT_QUEUE_LLC(queue);
	limit = edict_limit_of(bank, tier);
	if (tier >= bank->head.nr_tiers || edict_queue_of(bank, tier, llc) != queue) {
		__sync_fetch_and_or(&edict_llc_at(llc)->orphans,
				    1ULL << (queue % EDICT_QUEUES_PER_LLC));
		limit = EDICT_STALL_NS;
	}
	slice = edict_slice_of(bank, tier);
	slack = slice * queued / edict_serving(bank, active, tier, llc);
	if (slack > limit / 2)
		slack = limit / 2;
	slack += edict_keep_within(bank, tier);
	if (edict_before(now + slack, state->bound + limit))
		return;
	if (edict_before(now, state->scanned_at + limit / 16))
		return;
	/*
	 * A tier that takes more than its tickets say keeps its promise
	 * with short turns: max_wait says when, tickets say how long.
	 */
	if (edict_owes(bank, tier))
		slice /= EDICT_DUE_SHARE;
	edict_collect(bank, active, queue, limit, slack, slice, now);
}

/* A global function, which is verified by itself: it knows of no lock of its caller's. */
__noinline int edict_keep_queue(u64 active, u32 queue, u64 now)
{
	bpf_rcu_read_lock();
	edict_look_at(active, queue, now);
	bpf_rcu_read_unlock();
	return 0;
}

/*
 * Finds what waits in a queue without its bit: the CPU that queued it was stopped
 * for longer than bits are kept.
 */
static __always_inline void edict_sweep(u64 now)
{
	u32 llc, slot;

	edict_swept_at = now;
	bpf_for(llc, 0, edict_nr_llcs) {
		bpf_for(slot, 0, EDICT_ORDERS * EDICT_TIERS_MAX) {
			u32 queue = EDICT_QUEUE(llc & (EDICT_LLCS_MAX - 1), 0, slot);

			if (scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) > 0)
				__sync_fetch_and_or(&edict_llc_at(llc)->filled, EDICT_FILLED_BIT(queue));
		}
	}
	if (scx_bpf_dsq_nr_queued(EDICT_DSQ_RESUME) > 0 || scx_bpf_dsq_nr_queued(EDICT_DSQ_DUE) > 0)
		WRITE_ONCE(edict_shared, 1);
}

/* Whether something waits in a queue, or is on its way. */
static __always_inline bool edict_may_hold(u32 queue, u64 now)
{
	return edict_before(now, READ_ONCE(edict_queue_state_of(queue)->filled_at) + EDICT_COMES_NS) ||
	       scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) > 0;
}

/*
 * How soon the keeper is to look again: as the tiers ask in whose queues something
 * waits, or is about to.
 */
static __always_inline u64 edict_keep_period(const struct edict_bank *bank, u64 now)
{
	u64 period = EDICT_REST_NS, within;
	u32 llc, slot;

	bpf_for(llc, 0, edict_nr_llcs) {
		u64 filled = READ_ONCE(edict_llc_at(llc)->filled);

		if (!filled)
			continue;
		if (period > EDICT_KEEP_MAX_NS)
			period = EDICT_KEEP_MAX_NS;
		bpf_for(slot, 0, EDICT_ORDERS * EDICT_TIERS_MAX) {
			u32 queue = EDICT_QUEUE(llc & (EDICT_LLCS_MAX - 1), 0, slot);

			if (!(filled & EDICT_FILLED_BIT(slot)))
				continue;
			within = edict_keep_within(bank, EDICT_QUEUE_TIER(slot));
			if (within < period && edict_may_hold(queue, now))
				period = within;
		}
	}
	if (edict_before(now, READ_ONCE(edict_shared_at) + EDICT_COMES_NS) || edict_shared_waits())
		period = EDICT_KEEP_MIN_NS;
	return period;
}

/* One round of the keeper; gives the time until the next. */
static __always_inline u64 edict_keep(u64 active, u64 now)
{
	u32 llc, slot, kicks = edict_kicks_max, looks = edict_scan_max;
	struct edict_bank *bank = EDICT_BANK(active);
	struct task_struct *p;

	if (!bank)
		return EDICT_KEEP_MAX_NS;
	if (READ_ONCE(edict_cpus_untold))
		edict_tell_cpus(active);
	if (!edict_before(now, edict_swept_at + EDICT_SWEEP_NS))
		edict_sweep(now);
	/*
	 * Also the queues that no tier of this policy has: a callback that was held up
	 * in the middle of a commit may still queue there.
	 */
	bpf_for(llc, 0, edict_nr_llcs) {
		u64 filled = READ_ONCE(edict_llc_at(llc)->filled);

		if (!filled)
			continue;
		bpf_for(slot, 0, EDICT_ORDERS * EDICT_TIERS_MAX) {
			if (filled & EDICT_FILLED_BIT(slot))
				edict_keep_queue(active, EDICT_QUEUE(llc & (EDICT_LLCS_MAX - 1), 0, slot),
						 now);
		}
	}
	if (!READ_ONCE(edict_shared))
		return edict_keep_period(bank, now);

	if (scx_bpf_dsq_nr_queued(EDICT_DSQ_RESUME) > 0) {
		edict_wake_idle(bank, active, EDICT_DSQ_RESUME);
		bpf_for_each(scx_dsq, p, EDICT_DSQ_RESUME, 0) {
			struct edict_task *t = edict_task_of(p);

			if (!kicks || !looks--)
				break;
			if (!t || edict_before(now, t->queued_at + edict_limit_of(bank, t->tier)))
				continue;
			kicks--;
			edict_make_room(p, bank, active, now);
		}
	}

	if (scx_bpf_dsq_nr_queued(EDICT_DSQ_DUE) > 0) {
		edict_wake_idle(bank, active, EDICT_DSQ_DUE);
		bpf_for_each(scx_dsq, p, EDICT_DSQ_DUE, 0) {
			/* Its position is its deadline. */
			if (edict_before(now, p->scx.dsq_vtime) || !kicks--)
				break;
			edict_make_room(p, bank, active, now);
		}
	}
	if (!edict_shared_waits())
		edict_emptied_shared(now);
	return edict_keep_period(bank, now);
}

#endif /* EDICT_KEEPER_BPF_H */
