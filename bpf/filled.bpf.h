/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which queues may hold tasks, and when the keeper looks.
 *
 * To ask the kernel how long a queue is takes longer than most of what is decided
 * by it, and of all queues a machine uses a few at a time. So whoever queues a task
 * says so: a bit for each queue, which is set once, and taken back by the keeper
 * when the queue has been empty for long. A queue without its bit is not asked for.
 *
 * Where something waits the keeper wakes up as often as the promises of these
 * tiers ask, and where nothing does, once a second. Whoever queues a task that this
 * is too seldom for sets its timer.
 *
 *   enqueue ── bit not set ──▶ set it
 *      └────── keeper comes later than max_wait / 8 ──▶ set its timer
 *   keeper ── empty for a second ──▶ clear the bit
 *      └────── something waits ──▶ in max_wait / 8, else in a second
 *
 * A task is in its queue some time after this was said, for the kernel queues it
 * when the callback has returned. That takes no longer than a machine can stop a
 * CPU, which nobody knows; if it was longer than the bit is kept, the keeper finds
 * the task when it looks at all queues.
 */
#ifndef EDICT_FILLED_BPF_H
#define EDICT_FILLED_BPF_H

#include "queues.bpf.h"

#define EDICT_KEEP_MIN_NS 1000000ULL
#define EDICT_KEEP_MAX_NS 20000000ULL
/* How often it looks at all queues, and how long it rests at most. */
#define EDICT_SWEEP_NS 500000000ULL
#define EDICT_REST_NS 1000000000ULL
/* Later than any of these. */
#define EDICT_NEVER_NS (1ULL << 40)
/* How long an empty queue keeps its bit, and how long after a task was told it may be on its way. */
#define EDICT_FILLED_NS 1000000000ULL
#define EDICT_COMES_NS 4000000ULL
/* So late the keeper is not: its timer was not set. */
#define EDICT_LATE_NS 2000000ULL

#define EDICT_FILLED_BIT(queue) (1ULL << ((queue) % EDICT_QUEUES_PER_LLC))

/* Longest that anything waits, promise or not: far from the kernel's watchdog. */
#define EDICT_STALL_NS 5000000000ULL

static __always_inline u64 edict_limit_of(const struct edict_bank *bank, u32 tier)
{
	u64 limit = bank->head.tier[edict_index(tier)].max_wait_ns;

	return limit && limit < EDICT_STALL_NS ? limit : EDICT_STALL_NS;
}

/* How often the keeper looks at a queue of a tier. */
static __always_inline u64 edict_keep_within(const struct edict_bank *bank, u32 tier)
{
	u64 within = edict_limit_of(bank, tier) / 8;

	if (within < EDICT_KEEP_MIN_NS)
		return EDICT_KEEP_MIN_NS;
	return within < EDICT_KEEP_MAX_NS ? within : EDICT_KEEP_MAX_NS;
}

/* Whether the keeper's timer is set, as far as anybody has said. */
static __always_inline bool edict_keeper_comes(u64 at, u64 now)
{
	/* In the past, or never: it is just looking, or the kernel would not set it. */
	return at + EDICT_LATE_NS - now < 2 * EDICT_REST_NS;
}

/*
 * The keeper looks by then. A timer is set under the lock of a run queue here, as
 * the kernel does with timers of its own; newer kernels put it off until interrupts
 * are on. If they have no memory for that, the next tick tries again.
 */
__noinline int edict_keep_by(u64 by, u64 now)
{
	struct edict_keeper *keeper;
	u32 key = 0, tries;

	keeper = bpf_map_lookup_elem(&edict_keepers, &key);
	if (!keeper)
		return 0;
	bpf_for(tries, 0, 8) {
		u64 at = READ_ONCE(edict_keeper_at);

		if (edict_keeper_comes(at, now) && !edict_before(by, at))
			return 0;
		if (__sync_val_compare_and_swap(&edict_keeper_at, at, by) != at)
			continue;
		if (bpf_timer_start(&keeper->timer, by - now, 0)) {
			__sync_val_compare_and_swap(&edict_keeper_at, by, now + EDICT_NEVER_NS);
			return 0;
		}
		/* Of two that do this at once, the one that comes later may be the last. */
		at = READ_ONCE(edict_keeper_at);
		if (at == by || !edict_before(at, by) || !edict_before(now, at))
			return 0;
		bpf_timer_start(&keeper->timer, at - now, 0);
		return 0;
	}
	return 0;
}

/*
 * A task comes into a queue. The exchange is a barrier: what the caller has told
 * before is seen by whoever does not see what it looks at after.
 */
static __always_inline void edict_fills(u32 queue, u64 within, u64 now)
{
	struct edict_llc *llc = edict_llc_at(EDICT_QUEUE_LLC(queue));

	__sync_lock_test_and_set(&edict_queue_state_of(queue)->filled_at, now);
	if (!(READ_ONCE(llc->filled) & EDICT_FILLED_BIT(queue)))
		__sync_fetch_and_or(&llc->filled, EDICT_FILLED_BIT(queue));
	if (edict_before(now + within, READ_ONCE(edict_keeper_at)))
		edict_keep_by(now + within, now);
}

/* Whether something waits in the queues that all caches share. */
static __always_inline bool edict_shared_waits(void)
{
	return READ_ONCE(edict_shared) && (scx_bpf_dsq_nr_queued(EDICT_DSQ_RESUME) > 0 ||
					   scx_bpf_dsq_nr_queued(EDICT_DSQ_DUE) > 0);
}

/* A task comes into a queue that all caches share: of the due, or of the resumed. */
static __always_inline void edict_fills_shared(u64 now)
{
	__sync_lock_test_and_set(&edict_shared_at, now);
	if (!READ_ONCE(edict_shared))
		__sync_lock_test_and_set(&edict_shared, 1);
	if (edict_before(now + EDICT_KEEP_MIN_NS, READ_ONCE(edict_keeper_at)))
		edict_keep_by(now + EDICT_KEEP_MIN_NS, now);
}

/* The keeper has found a queue empty. */
static __always_inline void edict_emptied(u32 queue, u64 now)
{
	struct edict_queue_state *state = edict_queue_state_of(queue);
	struct edict_llc *llc = edict_llc_at(EDICT_QUEUE_LLC(queue));
	u64 was;

	if (edict_before(now, READ_ONCE(state->filled_at) + EDICT_FILLED_NS))
		return;
	was = __sync_fetch_and_and(&llc->filled, ~EDICT_FILLED_BIT(queue));
	/* Only an operation whose result is used is a barrier on all processors. */
	__sink(was);
	/* Somebody may have seen the bit before, and told of a task that is to come. */
	if (edict_before(now, READ_ONCE(state->filled_at) + EDICT_FILLED_NS))
		__sync_fetch_and_or(&llc->filled, EDICT_FILLED_BIT(queue));
}

static __always_inline void edict_emptied_shared(u64 now)
{
	if (edict_before(now, READ_ONCE(edict_shared_at) + EDICT_FILLED_NS))
		return;
	__sync_lock_test_and_set(&edict_shared, 0);
	if (edict_before(now, READ_ONCE(edict_shared_at) + EDICT_FILLED_NS))
		__sync_lock_test_and_set(&edict_shared, 1);
}

#endif /* EDICT_FILLED_BPF_H */
