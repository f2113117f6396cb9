/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The queues of the tiers, and what a run costs.
 *
 *              cache 0                        cache 1
 *               ┌─ queue of tier 0 ─┐          ┌─ queue of tier 0 ─┐
 *   enqueue ──▶ ├─ queue of tier 1 ─┤          ├─ queue of tier 1 ─┤
 *               ├─ …                │          ├─ …                │
 *               └───────┬─────────┬─┘          └──┬──────────────┬─┘
 *      keeper.bpf.h     │      draw.bpf.h ──▶ CPUs of the cache, when it has
 *                       │ waited almost max_wait  nothing itself: of another
 *                       ▼
 *                 queue of the due ── always first ──▶ any CPU
 *
 *   a real-time task takes the CPU ──▶ queue of the resumed ── before these ──▶ any CPU
 *
 * A task waits where its data is: in the queue of its tier under the last-level
 * cache of its CPU. The tiers of each cache are drawn among themselves, and a
 * CPU whose cache has nothing for it takes from the others, those of its own
 * node first: no CPU idles while a task that it may run waits. A promise
 * (max_wait) goes before a cache, so what is due waits in one queue for all.
 *
 * What it does not do: it decides on no move from one cache to another;
 * exchange.bpf.h and loads.bpf.h do.
 */
#ifndef EDICT_TIERS_BPF_H
#define EDICT_TIERS_BPF_H

#include "filled.bpf.h"
#include "vtime.bpf.h"

enum {
	EDICT_USED_SHIFT = 5,
	EDICT_PREEMPT_SCAN = 8,
};

/* Threads of the kernel bound to a CPU serve that CPU: nothing may hold them up. */
static __always_inline bool edict_bound_kthread(const struct task_struct *p)
{
	return (p->flags & PF_KTHREAD) && p->nr_cpus_allowed == 1;
}

/* Whoever has changed the word changes the weights. */
static __always_inline void edict_counts_as(struct edict_task *t, u64 was, u64 is)
{
	if (is && __sync_val_compare_and_swap(&t->counted, was, is) != was)
		return;
	/* It may just have been moved: wherever it counts by now, it counts no more. */
	if (!is)
		was = __sync_lock_test_and_set(&t->counted, 0);
	if (was)
		__sync_fetch_and_sub(&edict_queue_state_of(EDICT_COUNTED_QUEUE(was))->weight,
				     EDICT_COUNTED_WEIGHT(was));
	if (is)
		__sync_fetch_and_add(&edict_queue_state_of(EDICT_COUNTED_QUEUE(is))->weight,
				     EDICT_COUNTED_WEIGHT(is));
}

/* Makes the task part of the weight of a queue, and of no other. */
static __always_inline void edict_counts_in(struct task_struct *p, struct edict_task *t, u32 queue)
{
	u64 was = READ_ONCE(t->counted);

	if (edict_nr_llcs <= 1 || (was && EDICT_COUNTED_QUEUE(was) == queue))
		return;
	edict_counts_as(t, was, EDICT_COUNTED(queue, edict_weight_of(edict_prio_of(p))));
}

static __always_inline void edict_counts_nowhere(struct edict_task *t)
{
	u64 was = READ_ONCE(t->counted);

	if (was)
		edict_counts_as(t, was, 0);
}

/*
 * Takes a waiting task, at which an iterator over its queue stands, to the queue
 * of its tier under another cache, where it keeps its distance to the clock. The
 * task may be taken and run at any moment, so nothing else is written to it.
 */
static __always_inline bool edict_move_to(struct bpf_iter_scx_dsq *waiting, struct task_struct *p,
					  struct edict_task *t, u32 from, u32 to,
					  const struct edict_bank *bank, u64 now)
{
	struct edict_queue_state *state = edict_queue_state_of(to);
	u64 queued_at = t->queued_at, key = READ_ONCE(state->clock), was;
	u64 slice = edict_slice_of(bank, EDICT_QUEUE_TIER(to));
	struct edict_cpu *here;
	bool gone;

	edict_fills(to, edict_keep_within(bank, EDICT_QUEUE_TIER(to)), now);
	/* The keeper must not believe that it came just now. */
	if (edict_before(queued_at, state->bound))
		state->bound = queued_at;
	switch (EDICT_QUEUE_ORDER(to)) {
	case EDICT_ORDER_FIFO:
		/* It has waited for longer than most. */
		gone = scx_bpf_dsq_move(waiting, p, EDICT_DSQ(to), SCX_ENQ_HEAD);
		break;
	case EDICT_ORDER_LOTTERY:
		here = edict_cpu_of(bpf_get_smp_processor_id());
		if (here)
			key += edict_race(edict_random(&here->random), edict_prio_of(p));
		scx_bpf_dsq_move_set_vtime(waiting, key);
		gone = scx_bpf_dsq_move_vtime(waiting, p, EDICT_DSQ(to), 0);
		break;
	default: {
		s64 ahead = (s64)(t->vtime - READ_ONCE(edict_queue_state_of(t->clock)->clock));
		s64 most = (s64)(EDICT_AHEAD * edict_virtual(slice, edict_prio_of(p)));

		if (ahead > most)
			ahead = most;
		if (ahead < -(s64)slice)
			ahead = -(s64)slice;
		scx_bpf_dsq_move_set_vtime(waiting, key + ahead);
		gone = scx_bpf_dsq_move_vtime(waiting, p, EDICT_DSQ(to), 0);
	}
	}
	if (!gone)
		return false;
	if (edict_before(queued_at, state->bound))
		state->bound = queued_at;
	was = READ_ONCE(t->counted);
	if (was && EDICT_COUNTED_QUEUE(was) == from)
		edict_counts_as(t, was, EDICT_COUNTED(to, EDICT_COUNTED_WEIGHT(was)));
	return true;
}

/* Charges the time since the last charge. */
static __always_inline void edict_charge(struct task_struct *p, struct edict_task *t, u64 now)
{
	struct edict_counters *counters;
	u64 used;

	if (!t->ran_at || edict_before(now, t->ran_at))
		return;
	used = now - t->ran_at;
	t->ran_at = now;
	t->run_ns += used;
	t->burst_ns += used;
	if (EDICT_QUEUE_ORDER(t->clock) != EDICT_ORDER_LOTTERY)
		t->vtime += edict_virtual(used, edict_prio_of(p));
	edict_ledger_charge(t, used, now);
	counters = edict_count_in(t->run_bank);
	if (counters)
		counters->tier[edict_index(t->run_tier)].runtime_ns += used;
}

/* What a whole run teaches: the price of a draw, or a debt. */
static __always_inline void edict_run_ended(struct edict_task *t)
{
	struct edict_tier_state *tier = edict_tier_state_of(t->run_tier);
	s64 debt;

	edict_ledger_settle(t);
	if (t->how == EDICT_HOW_DRAWN) {
		tier->used_ns = edict_average(tier->used_ns, t->run_ns, EDICT_USED_SHIFT);
	} else if (t->how != EDICT_HOW_DIRECT && !t->stride_tickets) {
		debt = tier->debt_ns + t->run_ns;
		tier->debt_ns = debt > EDICT_DEBT_MAX_NS ? EDICT_DEBT_MAX_NS : debt;
	}
	t->run_ns = 0;
	/* Until it is queued again: a run that nobody drew and nobody owes. */
	t->how = EDICT_HOW_DIRECT;
}

/* `bank` is that of `active`, or none if it may be another policy's by now. */
static __always_inline void edict_run_begins(struct edict_task *t, struct edict_cpu *cpu,
					     const struct edict_bank *bank, u64 active, u32 tier,
					     u32 llc, u64 now)
{
	struct edict_queue_state *queue = edict_queue_state_of(t->clock);
	struct edict_tier_counters *c;
	struct edict_counters *counters = edict_count_in(active);
	bool moved;

	moved = t->llc && t->llc != llc + 1;
	t->llc = llc + 1;
	t->ran_at = now;
	t->run_tier = tier;
	t->run_bank = EDICT_BANK_INDEX(active);
	if (cpu) {
		cpu->run_vtime = t->vtime;
		cpu->run_queue = t->clock + 1;
	}
	/* A race is where its last winner was; what ran otherwise has won nothing. */
	if (EDICT_QUEUE_TIER(t->clock) == tier && edict_before(READ_ONCE(queue->clock), t->vtime) &&
	    (t->how == EDICT_HOW_DRAWN || EDICT_QUEUE_ORDER(t->clock) != EDICT_ORDER_LOTTERY))
		edict_clock_follows(t->clock, t->vtime);
	edict_ledger_open(t, cpu, bank, tier, now);
	if (cpu) {
		cpu->tier = tier;
		cpu->how = t->how;
		cpu->since = now;
	}
	if (!counters)
		return;
	c = &counters->tier[edict_index(tier)];
	c->dispatches++;
	c->migrations += moved;
	if (t->how == EDICT_HOW_DIRECT)
		c->direct++;
	else if (t->how == EDICT_HOW_DUE)
		c->overdue++;
	else if (t->how == EDICT_HOW_PREEMPT)
		c->preemptions++;
}

static __always_inline void edict_waited(struct edict_task *t, u64 active, u32 tier, u64 now)
{
	struct edict_counters *counters = edict_count_in(active);
	struct edict_tier_counters *c;
	u64 wait, us;
	u32 bucket;

	if (!counters || !t->queued_at || edict_before(now, t->queued_at))
		return;
	wait = now - t->queued_at;
	us = wait / 1000;
	bucket = us ? log2_u64(us) : 0;
	c = &counters->tier[edict_index(tier)];
	if (bucket >= EDICT_WAIT_BUCKETS)
		bucket = EDICT_WAIT_BUCKETS - 1;
	c->wait[bucket]++;
	if (wait > c->wait_max_ns)
		c->wait_max_ns = wait;
}

/* A wait in the middle of a run is no wait for a turn, but it counts as the longest. */
static __always_inline void edict_resumed(struct edict_task *t, u64 active, u64 now)
{
	struct edict_counters *counters = edict_count_in(t->active ? t->active : active);
	struct edict_tier_counters *c;

	if (!counters || !t->queued_at || edict_before(now, t->queued_at))
		return;
	c = &counters->tier[edict_index(t->run_tier)];
	if (now - t->queued_at > c->wait_max_ns)
		c->wait_max_ns = now - t->queued_at;
}

/* Serves a queue that no tier of this generation has, until it is empty. */
__noinline int edict_serve_orphans(u64 active, u32 llc)
{
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_llc *here = edict_llc_at(llc);
	u64 orphans, live;
	u32 i;

	if (!bank)
		return 0;
	live = edict_live_queues(bank);
	orphans = READ_ONCE(here->orphans);
	if (orphans & live)
		__sync_fetch_and_and(&here->orphans, ~live);
	orphans &= ~live;
	bpf_for(i, 0, EDICT_ORDERS * EDICT_TIERS_MAX) {
		u32 queue = EDICT_QUEUE(llc & (EDICT_LLCS_MAX - 1), 0, i);

		if (!(orphans & (1ULL << i)))
			continue;
		if (scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) <= 0)
			__sync_fetch_and_and(&here->orphans, ~(1ULL << i));
		else if (scx_bpf_dsq_move_to_local(EDICT_DSQ(queue), 0))
			return 1;
	}
	return 0;
}

/* Notes which kinds of decisions are taken, for tests. */
static __always_inline void edict_audit_decision(struct edict_task *t, u64 active, u64 slice)
{
	struct edict_decision key = {};
	u64 one = 1, *count;

	if (!edict_audit)
		return;
	key.slice_ns = slice;
	key.generation_parity = EDICT_GENERATION(active) & 1;
	key.rule = t->rule;
	key.tier = t->tier;
	count = bpf_map_lookup_elem(&edict_decisions, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&edict_decisions, &key, &one, BPF_NOEXIST);
}

#endif /* EDICT_TIERS_BPF_H */
