/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The queues of the tiers, order within a tier, and what a run costs.
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
 * Within a tier tasks run by virtual time, weighted by nice exactly as the
 * kernel's own scheduler weighs it, in the order of their arrival, or by a
 * lottery that nice weighs: each draws its position when it is queued, and the
 * clock of the queue is the position of its last winner. A task that slept is at
 * most one slice behind its queue's clock, and that clock passes no task that
 * waits. Each queue has a clock of its own: under a cache that is slower, or has
 * more to do, virtual time goes slower, and what comes from there keeps its
 * distance to the clock, not its time.
 *
 * What it does not do: it moves no task from one cache to another; exchange.bpf.h
 * and loads.bpf.h do.
 */
#ifndef EDICT_TIERS_BPF_H
#define EDICT_TIERS_BPF_H

#include "ledger.bpf.h"

enum {
	EDICT_USED_SHIFT = 5,
	EDICT_AHEAD = 8,       /* turns of its own that a task brings along to another queue */
	EDICT_AHEAD_HERE = 64, /* and slices more that it may be ahead of those in its queue */
	EDICT_BEHIND_HERE = 16, /* slices that it may be behind them without having slept */
	EDICT_PREEMPT_SCAN = 8,
};

/* SCHED_IDLE of include/uapi/linux/sched.h, which BTF does not have. */
#define EDICT_SCHED_IDLE 5

static __always_inline struct edict_cpu *edict_cpu_of(u32 cpu)
{
	return bpf_map_lookup_elem(&edict_cpus, &cpu);
}

/* Longest that anything waits, promise or not: far from the kernel's watchdog. */
#define EDICT_STALL_NS 5000000000ULL

static __always_inline u64 edict_limit_of(const struct edict_bank *bank, u32 tier)
{
	u64 limit = bank->head.tier[edict_index(tier)].max_wait_ns;

	return limit && limit < EDICT_STALL_NS ? limit : EDICT_STALL_NS;
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

/* Threads of the kernel bound to a CPU serve that CPU: nothing may hold them up. */
static __always_inline bool edict_bound_kthread(const struct task_struct *p)
{
	return (p->flags & PF_KTHREAD) && p->nr_cpus_allowed == 1;
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

/* Makes the task part of the weight of a queue, and of no other. */
static __always_inline void edict_counts_in(struct task_struct *p, struct edict_task *t, u32 queue)
{
	u32 weight;

	if (edict_nr_llcs <= 1 || t->counted == queue + 1)
		return;
	if (t->counted)
		__sync_fetch_and_sub(&edict_queue_state_of(t->counted - 1)->weight, t->weight);
	weight = edict_weight_of(edict_prio_of(p));
	__sync_fetch_and_add(&edict_queue_state_of(queue)->weight, weight);
	t->counted = queue + 1;
	t->weight = weight;
}

static __always_inline void edict_counts_nowhere(struct edict_task *t)
{
	if (!t->counted)
		return;
	__sync_fetch_and_sub(&edict_queue_state_of(t->counted - 1)->weight, t->weight);
	t->counted = 0;
}

/*
 * Takes a waiting task, at which an iterator over its queue stands, to the queue
 * of its tier under another cache.
 */
static __always_inline bool edict_move_to(struct bpf_iter_scx_dsq *waiting, struct task_struct *p,
					  struct edict_task *t, u32 to, u64 slice)
{
	struct edict_queue_state *state = edict_queue_state_of(to);
	u64 queued_at = t->queued_at;
	bool gone;

	/* The keeper must not believe that it came just now. */
	if (edict_before(queued_at, state->bound))
		state->bound = queued_at;
	edict_rebase(p, t, to, slice);
	if (EDICT_QUEUE_ORDER(to) == EDICT_ORDER_FIFO) {
		gone = scx_bpf_dsq_move(waiting, p, EDICT_DSQ(to), 0);
	} else {
		scx_bpf_dsq_move_set_vtime(waiting, edict_key(p, t));
		gone = scx_bpf_dsq_move_vtime(waiting, p, EDICT_DSQ(to), 0);
	}
	if (!gone)
		return false;
	if (edict_before(queued_at, state->bound))
		state->bound = queued_at;
	edict_counts_in(p, t, to);
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

/* Whether a task with that key goes before the first in a queue. */
__noinline int edict_goes_on(u32 queue, u64 key)
{
	struct task_struct *head;
	int on = 1;

	queue &= EDICT_QUEUES - 1;
	if (scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) <= 0)
		return 1;
	if (EDICT_QUEUE_ORDER(queue) == EDICT_ORDER_FIFO)
		return 0;
	bpf_for_each(scx_dsq, head, EDICT_DSQ(queue), 0) {
		on = edict_before(key, head->scx.dsq_vtime);
		break;
	}
	return on;
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
