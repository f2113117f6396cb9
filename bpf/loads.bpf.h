/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the runnable tasks are, how loaded that makes each CPU, and the moves
 * that even it out.
 *
 *   runnable ──▶ +weight           running on another CPU ──▶ the weight follows
 *   quiescent ─▶ -weight           moved by the agent ──────▶ its past goes along
 *
 * A task belongs to the CPU that it runs on, or ran on last before it was
 * queued: that is where its data is. One word in its storage says to which, and
 * with what weight; whoever changes that word moves the weight, so that nothing
 * is counted twice or left behind, whatever happens at the same time. The load
 * of a CPU has a lock, for others take from it; it is taken when a task wakes,
 * sleeps or has come to another CPU, not on every switch.
 *
 * The agent runs the rounds (src/hooks/balance): it looks, asks for candidates,
 * and says which of them go. Only what waits is moved. To another cache it goes
 * into the queue of the same tier there, with its distance to the clock of the
 * queue and the time since when it waits; to another CPU of the same cache it
 * goes to the head of what that CPU runs next, and its tier owes the time, for
 * no draw gave it.
 *
 * What it does not do: it starts nothing by itself. A CPU that has nothing to
 * run takes from others without being told (main.bpf.c).
 */
#ifndef EDICT_LOADS_BPF_H
#define EDICT_LOADS_BPF_H

#include "domains.bpf.h"

#define EDICT_LOAD_OF(cpu, weight) ((u64)(cpu) << 32 | (weight))
#define EDICT_LOAD_CPU(word) ((u32)((word) >> 32))
#define EDICT_LOAD_WEIGHT(word) ((u32)(word))

/* Adds to the load of a CPU what is runnable there from now on, or takes it away. */
__noinline int edict_load_change(u32 cpu, s64 weight, s32 tasks, u64 now)
{
	struct edict_load *load = bpf_map_lookup_elem(&edict_loads, &cpu);

	if (!load)
		return 0;
	bpf_spin_lock(&load->lock);
	edict_mean_advance(&load->mean, now);
	load->mean.weight += weight;
	load->tasks += tasks;
	bpf_spin_unlock(&load->lock);
	return 0;
}

/* Moves the weight of a task, and its part of the past, from one CPU to another. */
__noinline int edict_load_move(u32 from, u32 to, u32 weight, u64 now)
{
	struct edict_load *load = bpf_map_lookup_elem(&edict_loads, &from);
	s64 part;

	if (!load)
		return 0;
	bpf_spin_lock(&load->lock);
	edict_mean_advance(&load->mean, now);
	load->mean.weight -= weight;
	load->tasks--;
	part = edict_mean_take(&load->mean, weight);
	bpf_spin_unlock(&load->lock);
	load = bpf_map_lookup_elem(&edict_loads, &to);
	if (!load)
		return 0;
	bpf_spin_lock(&load->lock);
	edict_mean_advance(&load->mean, now);
	load->mean.weight += weight;
	load->tasks++;
	load->mean.average += part;
	bpf_spin_unlock(&load->lock);
	return 0;
}

/* The task is no part of any load. */
static __always_inline void edict_load_ends(struct edict_task *t, u64 now)
{
	u64 was = __sync_lock_test_and_set(&t->load, 0);

	if (was)
		edict_load_change(EDICT_LOAD_CPU(was), -(s64)EDICT_LOAD_WEIGHT(was), -1, now);
}

/* The task is runnable on its CPU, with the weight that it has now. */
static __always_inline void edict_load_begins(struct task_struct *p, struct edict_task *t, u64 now)
{
	u32 cpu = scx_bpf_task_cpu(p);
	u32 weight = edict_weight_of(edict_prio_of(p));
	u64 was = __sync_lock_test_and_set(&t->load, EDICT_LOAD_OF(cpu, weight));

	if (was)
		edict_load_change(EDICT_LOAD_CPU(was), -(s64)EDICT_LOAD_WEIGHT(was), -1, now);
	edict_load_change(cpu, weight, 1, now);
	if (!edict_loads_kept)
		edict_loads_kept = 1;
}

/* The task runs on `cpu`: its weight is there, not where it was before. */
static __always_inline void edict_load_follows(struct edict_task *t, u32 cpu, u64 now)
{
	u64 was = READ_ONCE(t->load);

	if (!was || EDICT_LOAD_CPU(was) == cpu)
		return;
	if (__sync_val_compare_and_swap(&t->load, was, EDICT_LOAD_OF(cpu, EDICT_LOAD_WEIGHT(was))) !=
	    was)
		return;
	edict_load_change(EDICT_LOAD_CPU(was), -(s64)EDICT_LOAD_WEIGHT(was), -1, now);
	edict_load_change(cpu, EDICT_LOAD_WEIGHT(was), 1, now);
}

static __always_inline struct edict_look *edict_look_of(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&edict_looks, &key);
}

/* The load of each CPU, brought to now. */
SEC("syscall")
int edict_look(void *ctx)
{
	struct edict_look *look = edict_look_of();
	const struct cpumask *online, *idle;
	u64 now = scx_bpf_now();
	u32 cpu;

	/* Until the first task has come, the kernel keeps no account of idle CPUs. */
	if (!look || !READ_ONCE(edict_loads_kept))
		return 0;
	look->at = now;
	online = scx_bpf_get_online_cpumask();
	idle = scx_bpf_get_idle_cpumask();
	bpf_for(cpu, 0, edict_nr_cpus) {
		struct edict_load *load = bpf_map_lookup_elem(&edict_loads, &cpu);
		struct edict_place *place = bpf_map_lookup_elem(&edict_places, &cpu);
		struct edict_cpu_load *there = &look->cpu[cpu & (EDICT_CPUS_MAX - 1)];
		s32 tasks;
		u64 sum;

		if (!load || !place || cpu >= EDICT_CPUS_MAX)
			continue;
		bpf_spin_lock(&load->lock);
		edict_mean_advance(&load->mean, now);
		sum = edict_mean_load(&load->mean);
		tasks = load->tasks;
		bpf_spin_unlock(&load->lock);
		there->load = sum;
		there->tasks = tasks < 0 ? 0 : tasks;
		there->llc = place->llc;
		there->node = place->node;
		there->flags = (bpf_cpumask_test_cpu(cpu, online) ? EDICT_CPU_ONLINE : 0) |
			       (bpf_cpumask_test_cpu(cpu, idle) ? EDICT_CPU_IDLE : 0);
	}
	scx_bpf_put_idle_cpumask(idle);
	scx_bpf_put_cpumask(online);
	return 0;
}

static __always_inline struct edict_moves *edict_moves_of(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&edict_moves, &key);
}

/* The cache whose queues hold what waits in a domain. */
static __always_inline u32 edict_llc_of_domain(u32 domain, u32 number)
{
	if (domain == EDICT_DOMAIN_CPU)
		return edict_llc_of(number);
	return edict_nr_llcs > 1 ? number % edict_nr_llcs : 0;
}

/* Whether a task may run on a CPU, by its affinity and by its tier. */
static __always_inline bool edict_may_go(struct task_struct *p, const struct edict_task *t,
					 const struct edict_bank *bank, u64 active, u32 cpu)
{
	return bpf_cpumask_test_cpu(cpu, p->cpus_ptr) && edict_admits(bank, active, t, cpu);
}

/* A CPU of the destination that the task may use, or -1. */
static __always_inline s32 edict_way_out(struct task_struct *p, const struct edict_task *t,
					 const struct edict_bank *bank, u64 active,
					 const struct edict_moves *moves)
{
	struct edict_look *look = edict_look_of();
	u32 cpu;

	/* A stray stays where it is looked for; what cannot migrate stays anyway. */
	if (t->stray || p->migration_disabled)
		return -1;
	if (edict_may_go(p, t, bank, active, moves->dst_cpu))
		return moves->dst_cpu;
	if (moves->domain == EDICT_DOMAIN_CPU || !look)
		return -1;
	bpf_for(cpu, 0, edict_nr_cpus) {
		struct edict_cpu_load *there = &look->cpu[cpu & (EDICT_CPUS_MAX - 1)];

		if (there->llc == moves->dst && (there->flags & EDICT_CPU_ONLINE) &&
		    edict_may_go(p, t, bank, active, cpu))
			return cpu;
	}
	return -1;
}

/*
 * Looks through one queue of the source for tasks that may go, and writes down
 * at each what is known of its move.
 */
static __always_inline void edict_consider_tasks(struct edict_moves *moves, u64 active, u32 queue,
						 u64 now)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u64 both = moves->src_load + moves->dst_load;
	u32 left = edict_scan_max;
	struct task_struct *p;

	if (!bank)
		return;
	bpf_for_each(scx_dsq, p, EDICT_DSQ(queue), 0) {
		struct edict_task *t = edict_task_of(p);
		struct edict_candidate *candidate;
		u32 count = moves->count;
		u64 load;
		s32 cpu;

		if (!left-- || count >= EDICT_CANDIDATES)
			break;
		if (!t)
			continue;
		load = READ_ONCE(t->load);
		if (moves->domain == EDICT_DOMAIN_CPU && EDICT_LOAD_CPU(load) != moves->src)
			continue;
		cpu = edict_way_out(p, t, bank, active, moves);
		if (cpu < 0)
			continue;
		t->features.src_dom_load = edict_share(moves->src_load, both);
		t->features.dst_dom_load = edict_share(moves->dst_load, both);
		t->features.cpu_idle = moves->cpu_idle;
		t->features.cpu_not_idle = moves->cpu_not_idle;
		t->features.cpu = EDICT_LOAD_CPU(load);
		t->features.round = moves->round;
		if (edict_is_hot(t->left_at, now)) {
			moves->hot++;
			continue;
		}
		candidate = &moves->candidate[count & (EDICT_CANDIDATES - 1)];
		candidate->pid = p->pid;
		candidate->weight = EDICT_LOAD_WEIGHT(load);
		candidate->cpu = cpu;
		candidate->features = t->features;
		moves->count = count + 1;
	}
}

/* A global function: within the loops of its caller it would be verified many times. */
__noinline int edict_consider_queue(u64 active, u32 queue, u64 now)
{
	struct edict_moves *moves = edict_moves_of();

	if (!moves)
		return 0;
	bpf_rcu_read_lock();
	edict_consider_tasks(moves, active, queue, now);
	bpf_rcu_read_unlock();
	return 0;
}

/*
 * Which waiting tasks could go from one domain to another: first those of the
 * tiers that have more waiting here than there, the first tier first, and of
 * each those that have waited longest.
 */
SEC("syscall")
int edict_consider(void *ctx)
{
	u64 now = scx_bpf_now(), active = READ_ONCE(edict_active), live;
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_moves *moves = edict_moves_of();
	u32 src, dst, pass, slot;

	if (!moves || !bank)
		return -ESRCH;
	moves->count = 0;
	moves->hot = 0;
	src = edict_llc_of_domain(moves->domain, moves->src);
	dst = edict_llc_of_domain(moves->domain, moves->dst);
	if (moves->domain == EDICT_DOMAIN_LLC && src == dst)
		return 0;
	live = edict_live_queues(bank);
	bpf_for(pass, 0, 2) {
		bpf_for(slot, 0, EDICT_ORDERS * EDICT_TIERS_MAX) {
			s32 here, there;

			if (!(live & (1ULL << slot)))
				continue;
			here = scx_bpf_dsq_nr_queued(EDICT_DSQ(EDICT_QUEUE(src, 0, slot)));
			there = scx_bpf_dsq_nr_queued(EDICT_DSQ(EDICT_QUEUE(dst, 0, slot)));
			if (here > 0 && (here > there) == (pass == 0))
				edict_consider_queue(active, EDICT_QUEUE(src, 0, slot), now);
		}
	}
	return 0;
}

/* Moves what was chosen out of one queue of the source. */
static __always_inline void edict_migrate_queue(struct edict_moves *moves, u64 active, u32 from,
						u32 to, u64 now)
{
	u32 left = edict_scan_max;
	struct edict_bank *bank = EDICT_BANK(active);
	struct task_struct *p;

	if (!bank)
		return;
	bpf_for_each(scx_dsq, p, EDICT_DSQ(from), 0) {
		struct edict_task *t = edict_task_of(p);
		bool gone;
		u64 was;
		u32 cpu;

		if (!left-- || moves->moved >= moves->count)
			break;
		if (!t || t->go_round != moves->round)
			continue;
		t->go_round = 0;
		cpu = t->go_cpu;
		if (t->stray || p->migration_disabled || !edict_may_go(p, t, bank, active, cpu))
			continue;
		if (moves->domain == EDICT_DOMAIN_CPU) {
			gone = scx_bpf_dsq_move(BPF_FOR_EACH_ITER, p, SCX_DSQ_LOCAL_ON | cpu, 0);
			if (gone)
				t->how = EDICT_HOW_DUE;
		} else {
			gone = edict_move_to(BPF_FOR_EACH_ITER, p, t, from, to, bank, now);
		}
		if (!gone)
			continue;
		moves->moved++;
		was = READ_ONCE(t->load);
		if (was && EDICT_LOAD_CPU(was) != cpu &&
		    __sync_val_compare_and_swap(&t->load, was,
						EDICT_LOAD_OF(cpu, EDICT_LOAD_WEIGHT(was))) == was)
			edict_load_move(EDICT_LOAD_CPU(was), cpu, EDICT_LOAD_WEIGHT(was), now);
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
	}
}

/* Moves the tasks that the agent has chosen, as far as they still wait. */
SEC("syscall")
int edict_migrate(void *ctx)
{
	u64 now = scx_bpf_now(), active = READ_ONCE(edict_active), live;
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_moves *moves = edict_moves_of();
	u32 src, dst, slot, i;

	if (!moves || !bank)
		return -ESRCH;
	moves->moved = 0;
	bpf_for(i, 0, EDICT_CANDIDATES) {
		struct edict_candidate *chosen = &moves->candidate[i & (EDICT_CANDIDATES - 1)];
		struct edict_task *t;
		struct task_struct *p;

		if (i >= moves->count)
			break;
		p = bpf_task_from_pid(chosen->pid);
		if (!p)
			continue;
		t = edict_task_of(p);
		if (t) {
			t->go_cpu = chosen->cpu;
			t->go_round = moves->round;
		}
		bpf_task_release(p);
	}
	src = edict_llc_of_domain(moves->domain, moves->src);
	dst = edict_llc_of_domain(moves->domain, moves->dst);
	bpf_rcu_read_lock();
	live = edict_live_queues(bank);
	bpf_for(slot, 0, EDICT_ORDERS * EDICT_TIERS_MAX) {
		if (moves->moved >= moves->count)
			break;
		if ((live & (1ULL << slot)) &&
		    scx_bpf_dsq_nr_queued(EDICT_DSQ(EDICT_QUEUE(src, 0, slot))) > 0)
			edict_migrate_queue(moves, active, EDICT_QUEUE(src, 0, slot),
					    EDICT_QUEUE(dst, 0, slot), now);
	}
	bpf_rcu_read_unlock();
	return 0;
}

/* What was written down at a task when it was considered last. */
SEC("syscall")
int edict_features(struct edict_candidate *request)
{
	struct task_struct *p = bpf_task_from_pid(request->pid);
	struct edict_task *t;

	if (!p)
		return -ESRCH;
	t = edict_task_of(p);
	if (t)
		request->features = t->features;
	bpf_task_release(p);
	return 0;
}

#endif /* EDICT_LOADS_BPF_H */
