/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Order within a tier, choice between tiers, and the promise of max_wait.
 *
 *               ┌─ queue of tier 0 ─┐
 *   enqueue ──▶ ├─ queue of tier 1 ─┤ ── draw by tickets ──▶ CPU
 *               ├─ …                │
 *               └───────┬───────────┘
 *        keeper (timer) │ waited almost max_wait
 *                       ▼
 *                 queue of the due ── always first ──▶ CPU
 *
 *   a real-time task takes the CPU ──▶ queue of the resumed ── before these ──▶ CPU
 *
 * Within a tier tasks run by virtual time, weighted by nice exactly as the
 * kernel's own scheduler weighs it, or in the order of their arrival. A task
 * that slept is at most one slice behind its tier's clock.
 *
 * The keeper is a timer, the only code that looks through queues. For each
 * queue it knows a time before which nothing in it was queued, and looks only
 * when that bound says that something may be due; it then moves everything due
 * at once into one queue, ordered by deadline, which every CPU serves before
 * it draws. When a deadline has passed all the same, it interrupts a CPU that
 * may run the task and that runs nothing due itself. Many tasks that become
 * due together would wait for each other, so it starts earlier by the time
 * that the CPUs need for all that is queued in the tier.
 *
 * What it does not do: it promises nothing when the tasks that are due need
 * more than all the CPUs together; they are then served in order of deadline.
 * It knows no cache domains.
 */
#ifndef EDICT_TIERS_BPF_H
#define EDICT_TIERS_BPF_H

#include "attributes.bpf.h"

enum {
	EDICT_USED_SHIFT = 5,
	EDICT_KEEP_MIN_NS = 1000000,
	EDICT_KEEP_MAX_NS = 20000000,
	EDICT_PREEMPT_SCAN = 8,
	EDICT_DUE_SHARE = 8,
};

/* SCHED_IDLE of include/uapi/linux/sched.h, which BTF does not have. */
#define EDICT_SCHED_IDLE 5

/* Longest that anything waits, promise or not: far from the kernel's watchdog. */
#define EDICT_STALL_NS 5000000000ULL
#define EDICT_DEBT_MAX_NS 1000000000LL
#define EDICT_SLICE_DEFAULT_NS 20000000ULL

static __always_inline struct edict_cpu *edict_cpu_of(u32 cpu)
{
	return bpf_map_lookup_elem(&edict_cpus, &cpu);
}

/*
 * A tier as an index. The compiler knows of global functions what the verifier
 * does not, and would leave the mask out.
 */
static __always_inline u32 edict_index(u32 tier)
{
	__sink(tier);
	return tier & (EDICT_TIERS_MAX - 1);
}

static __always_inline struct edict_tier_state *edict_tier_state_of(u32 tier)
{
	return &edict_tier_states[edict_index(tier)];
}

static __always_inline u64 edict_slice_of(const struct edict_bank *bank, u32 tier)
{
	u64 slice = bank->head.tier[edict_index(tier)].slice_ns;

	return slice ? slice : EDICT_SLICE_DEFAULT_NS;
}

static __always_inline u32 edict_queue_of(const struct edict_bank *bank, u32 tier)
{
	tier = edict_index(tier);
	return bank->head.tier[tier].order == EDICT_ORDER_FIFO ? EDICT_TIERS_MAX + tier : tier;
}

/* The queues that the bank puts tasks into. */
static __always_inline u64 edict_live_queues(const struct edict_bank *bank)
{
	u64 live = 0;
	u32 tier;

	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		if (tier < bank->head.nr_tiers)
			live |= 1ULL << edict_queue_of(bank, tier);
	}
	return live;
}

/* Reads the task's virtual time against the clock of its tier. */
static __always_inline void edict_rebase(struct edict_task *t, u32 tier, u64 slice)
{
	u64 clock = READ_ONCE(edict_tier_state_of(tier)->clock);

	if (t->clock != tier) {
		s64 ahead = (s64)(t->vtime - READ_ONCE(edict_tier_state_of(t->clock)->clock));

		if (ahead > (s64)slice)
			ahead = slice;
		t->vtime = clock + ahead;
		t->clock = tier;
	}
	if (edict_before(t->vtime, clock - slice))
		t->vtime = clock - slice;
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
	t->vtime += edict_virtual(used, p->policy == EDICT_SCHED_IDLE ? EDICT_PRIO_IDLE :
								    p->static_prio);
	counters = edict_count_in(t->run_bank);
	if (counters)
		counters->tier[edict_index(t->run_tier)].runtime_ns += used;
}

/* What a whole run teaches: the price of a draw, or a debt. */
static __always_inline void edict_run_ended(struct edict_task *t)
{
	struct edict_tier_state *tier = edict_tier_state_of(t->run_tier);
	s64 debt;

	if (t->how == EDICT_HOW_DRAWN) {
		tier->used_ns = edict_average(tier->used_ns, t->run_ns, EDICT_USED_SHIFT);
	} else if (t->how != EDICT_HOW_DIRECT) {
		debt = tier->debt_ns + t->run_ns;
		tier->debt_ns = debt > EDICT_DEBT_MAX_NS ? EDICT_DEBT_MAX_NS : debt;
	}
	t->run_ns = 0;
	/* Until it is queued again: a run that nobody drew and nobody owes. */
	t->how = EDICT_HOW_DIRECT;
}

static __always_inline void edict_run_begins(struct edict_task *t, struct edict_cpu *cpu,
					     u64 active, u32 tier, u64 now)
{
	struct edict_tier_state *state = edict_tier_state_of(tier);
	struct edict_tier_counters *c;
	struct edict_counters *counters = edict_count_in(active);
	u64 clock = READ_ONCE(state->clock);

	t->ran_at = now;
	t->run_tier = tier;
	t->run_bank = EDICT_BANK_INDEX(active);
	if (t->clock == tier && edict_before(clock, t->vtime))
		WRITE_ONCE(state->clock, t->vtime);
	if (cpu) {
		cpu->tier = tier;
		cpu->how = t->how;
		cpu->since = now;
	}
	if (!counters)
		return;
	c = &counters->tier[edict_index(tier)];
	c->dispatches++;
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

/* What a tier's tickets weigh in a draw. */
static __always_inline u64 edict_tier_weight(const struct edict_bank *bank, u32 tier)
{
	u64 used = READ_ONCE(edict_tier_state_of(tier)->used_ns);

	tier = edict_index(tier);
	return edict_weight(bank->head.tier[tier].tickets,
			    used ? used : edict_slice_of(bank, tier));
}

/* A draw among the tiers of `mask`, which is not empty. */
__noinline int edict_draw(u64 active, u32 mask, u32 cpu)
{
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_cpu *here = edict_cpu_of(cpu);
	u64 sum = 0, ticket;
	u32 tier, drawn = 0;

	if (!bank || !here || !mask)
		return 0;
	if (bank->head.between == EDICT_BETWEEN_STRICT || !(mask & (mask - 1)))
		return edict_low_bit(mask) & (EDICT_TIERS_MAX - 1);
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		if (mask & (1U << tier))
			sum += edict_tier_weight(bank, tier);
	}
	ticket = edict_random(&here->random) % (sum ? sum : 1);
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		u64 weight;

		if (!(mask & (1U << tier)))
			continue;
		drawn = tier;
		weight = edict_tier_weight(bank, tier);
		if (ticket < weight)
			break;
		ticket -= weight;
	}
	return drawn & (EDICT_TIERS_MAX - 1);
}

/* The tiers that have tasks in their queues. */
__noinline int edict_waiting(u64 active)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u32 tier, mask = 0;

	if (!bank)
		return 0;
	bpf_for(tier, 0, EDICT_TIERS_MAX) {
		if (tier >= bank->head.nr_tiers)
			break;
		if (scx_bpf_dsq_nr_queued(EDICT_DSQ(edict_queue_of(bank, tier))) > 0)
			mask |= 1U << tier;
	}
	return mask;
}

/* Whether a task of that virtual time goes before the first in the queue. */
__noinline int edict_goes_on(u64 active, u32 tier, u64 vtime)
{
	struct edict_bank *bank = EDICT_BANK(active);
	struct task_struct *head;
	int on = 1;
	u32 queue;

	if (!bank)
		return 1;
	queue = edict_queue_of(bank, tier);
	if (scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) <= 0)
		return 1;
	if (queue >= EDICT_TIERS_MAX)
		return 0;
	bpf_for_each(scx_dsq, head, EDICT_DSQ(queue), 0) {
		on = edict_before(vtime, head->scx.dsq_vtime);
		break;
	}
	return on;
}

/* Serves a queue that no tier of this generation has, until it is empty. */
__noinline int edict_serve_orphans(u64 active)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u64 orphans, live;
	u32 i;

	if (!bank)
		return 0;
	live = edict_live_queues(bank);
	orphans = READ_ONCE(edict_orphans);
	if (orphans & live)
		__sync_fetch_and_and(&edict_orphans, ~live);
	orphans &= ~live;
	bpf_for(i, 0, EDICT_QUEUES) {
		if (!(orphans & (1ULL << i)))
			continue;
		if (scx_bpf_dsq_nr_queued(EDICT_DSQ(i)) <= 0)
			__sync_fetch_and_and(&edict_orphans, ~(1ULL << i));
		else if (scx_bpf_dsq_move_to_local(EDICT_DSQ(i), 0))
			return 1;
	}
	return 0;
}

/* Whether a win goes to pay what the tier took without one. */
static __always_inline bool edict_pays(const struct edict_bank *bank, u32 tier)
{
	struct edict_tier_state *state = edict_tier_state_of(tier);
	s64 price = state->used_ns;

	if (bank->head.between == EDICT_BETWEEN_STRICT)
		return false;
	if (!price)
		price = edict_slice_of(bank, tier);
	if (state->debt_ns < price)
		return false;
	state->debt_ns -= price;
	return true;
}

static __always_inline u64 edict_limit_of(const struct edict_bank *bank, u32 tier)
{
	u64 limit = bank->head.tier[edict_index(tier)].max_wait_ns;

	return limit && limit < EDICT_STALL_NS ? limit : EDICT_STALL_NS;
}

/* Moves what is due from one queue to the queue of the due. */
static __always_inline void edict_collect(u32 queue, u64 limit, u64 slack, u64 slice, u64 now)
{
	struct edict_queue_state *state = &edict_queue_states[queue & (EDICT_QUEUES - 1)];
	u64 oldest = now;
	u32 left = edict_scan_max;
	struct task_struct *p;

	bpf_for_each(scx_dsq, p, EDICT_DSQ(queue), 0) {
		struct edict_task *t = edict_task_of(p);
		u64 queued_at;

		if (!left--) {
			oldest = state->bound;
			break;
		}
		if (!t)
			continue;
		queued_at = t->queued_at;
		if (edict_before(now + slack, queued_at + limit)) {
			if (edict_before(queued_at, oldest))
				oldest = queued_at;
			continue;
		}
		scx_bpf_dsq_move_set_slice(BPF_FOR_EACH_ITER, slice);
		scx_bpf_dsq_move_set_vtime(BPF_FOR_EACH_ITER, queued_at + limit);
		if (scx_bpf_dsq_move_vtime(BPF_FOR_EACH_ITER, p, EDICT_DSQ_DUE, 0))
			t->how = EDICT_HOW_DUE;
	}
	state->bound = oldest;
	state->scanned_at = now;
}

/* Interrupts a CPU that may run `p` and runs nothing that is due itself. */
static __always_inline void edict_make_room(struct task_struct *p, u64 now)
{
	u32 best = edict_nr_cpus, best_tier = 0, i;
	struct edict_cpu *cpu;

	bpf_for(i, 0, edict_nr_cpus) {
		u32 tier;

		if (!bpf_cpumask_test_cpu(i, p->cpus_ptr))
			continue;
		cpu = edict_cpu_of(i);
		if (!cpu || cpu->kicked_at == now || cpu->held)
			continue;
		tier = cpu->tier;
		if (tier >= EDICT_TIERS_MAX) {
			/* Idle, or offline, or another class has it. */
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

/*
 * A CPU that falls idle while another queues a task may miss it, and where a
 * real-time task holds that other CPU nobody comes by: the keeper does.
 */
static __always_inline void edict_wake_idle(u64 dsq)
{
	struct task_struct *p;

	bpf_for_each(scx_dsq, p, dsq, 0) {
		s32 cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);

		if (cpu >= 0)
			scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
		break;
	}
}

/* One round of the keeper; gives the time until the next. */
static __always_inline u64 edict_keep(u64 active, u64 now)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u64 live, period = EDICT_KEEP_MAX_NS;
	struct task_struct *p;
	u32 queue, kicks = edict_kicks_max, looks = edict_scan_max;

	if (!bank)
		return period;
	live = edict_live_queues(bank);
	bpf_for(queue, 0, EDICT_TIERS_MAX) {
		u64 limit = edict_limit_of(bank, queue);

		if (queue < bank->head.nr_tiers && limit / 8 < period)
			period = limit / 8;
	}
	if (period < EDICT_KEEP_MIN_NS)
		period = EDICT_KEEP_MIN_NS;

	bpf_for(queue, 0, EDICT_QUEUES) {
		struct edict_queue_state *state = &edict_queue_states[queue & (EDICT_QUEUES - 1)];
		s32 queued = scx_bpf_dsq_nr_queued(EDICT_DSQ(queue));
		u64 limit = edict_limit_of(bank, queue), slack, slice;

		if (queued <= 0)
			continue;
		edict_wake_idle(EDICT_DSQ(queue));
		if (!(live & (1ULL << queue))) {
			__sync_fetch_and_or(&edict_orphans, 1ULL << queue);
			limit = EDICT_STALL_NS;
		}
		slack = edict_slice_of(bank, queue) * queued / (edict_nr_cpus ? edict_nr_cpus : 1);
		if (slack > limit / 2)
			slack = limit / 2;
		slack += period;
		if (edict_before(now + slack, state->bound + limit))
			continue;
		if (edict_before(now, state->scanned_at + limit / 16))
			continue;
		/*
		 * A tier that takes more than its tickets say keeps its promise
		 * with short turns: max_wait says when, tickets say how long.
		 */
		slice = edict_slice_of(bank, queue);
		if (edict_tier_state_of(queue)->debt_ns > 0)
			slice /= EDICT_DUE_SHARE;
		edict_collect(queue, limit, slack, slice, now);
	}

	if (scx_bpf_dsq_nr_queued(EDICT_DSQ_RESUME) > 0) {
		edict_wake_idle(EDICT_DSQ_RESUME);
		bpf_for_each(scx_dsq, p, EDICT_DSQ_RESUME, 0) {
			struct edict_task *t = edict_task_of(p);

			if (!kicks || !looks--)
				break;
			if (!t || edict_before(now, t->queued_at + edict_limit_of(bank, t->tier)))
				continue;
			kicks--;
			edict_make_room(p, now);
		}
	}

	if (scx_bpf_dsq_nr_queued(EDICT_DSQ_DUE) > 0) {
		edict_wake_idle(EDICT_DSQ_DUE);
		bpf_for_each(scx_dsq, p, EDICT_DSQ_DUE, 0) {
			/* Its position is its deadline. */
			if (edict_before(now, p->scx.dsq_vtime) || !kicks--)
				break;
			edict_make_room(p, now);
		}
	}
	return period;
}

#endif /* EDICT_TIERS_BPF_H */
