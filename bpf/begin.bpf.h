/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is made before the scheduler decides anything, and for each task: queues,
 * the state of CPUs, the keeper's timer, the storage of a task.
 */
#ifndef EDICT_BEGIN_BPF_H
#define EDICT_BEGIN_BPF_H

#include "keeper.bpf.h"

s32 BPF_STRUCT_OPS_SLEEPABLE(edict_init_task, struct task_struct *p,
			     struct scx_init_task_args *args)
{
	struct edict_exe *exe, *inherited;
	struct task_struct *current, *leader;
	struct edict_task *t, *parents;
	u64 now = scx_bpf_now();

	t = bpf_task_storage_get(&edict_tasks, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		return -ENOMEM;
	/* On the scheduler's clock; the kernel gives a fork its time later. */
	t->born_at = args->fork ? now : now - (bpf_ktime_get_ns() - p->start_time);
	/*
	 * A child goes on from where its parent is, with what that has not been charged
	 * yet: to fork is not to begin anew.
	 */
	if (args->fork) {
		bpf_rcu_read_lock();
		current = bpf_get_current_task_btf();
		parents = bpf_task_storage_get(&edict_tasks, current, 0, 0);
		if (parents && parents->competes) {
			t->clock = parents->clock;
			t->vtime = parents->vtime;
			t->competes = EDICT_INHERITS;
			if (parents->ran_at && edict_before(parents->ran_at, now))
				t->vtime += edict_virtual(now - parents->ran_at,
							  edict_prio_of(current));
		}
		bpf_rcu_read_unlock();
	}
	/* The leader's entry is all that other threads need. */
	if (p->pid != p->tgid || (p->flags & PF_KTHREAD))
		return 0;
	exe = bpf_task_storage_get(&edict_exes, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!exe)
		return -ENOMEM;
	if (!args->fork)
		return 0;
	/* A child runs its parent's program until it execs. */
	bpf_rcu_read_lock();
	current = bpf_get_current_task_btf();
	leader = current->group_leader;
	inherited = bpf_task_storage_get(&edict_exes, leader, 0, 0);
	if (inherited) {
		*exe = *inherited;
		/* What was asked was asked for the parent. */
		exe->asked = 0;
	}
	bpf_rcu_read_unlock();
	return 0;
}

static int edict_keeper_fired(void *map, int *key, struct bpf_timer *timer)
{
	u64 period, now;

	/* Whoever queues a task from now on has to set the timer; this one will too. */
	__sync_lock_test_and_set(&edict_keeper_at, scx_bpf_now() + EDICT_NEVER_NS);
	/* A timer cannot sleep, but kernels before 6.18 take it for its starter. */
	bpf_rcu_read_lock();
	period = edict_keep(READ_ONCE(edict_active), scx_bpf_now());
	bpf_rcu_read_unlock();
	now = scx_bpf_now();
	edict_keep_by(now + period, now);
	return 0;
}

s32 BPF_STRUCT_OPS_SLEEPABLE(edict_init)
{
	struct edict_keeper *keeper;
	struct edict_bank *bank;
	u32 llc, queue, cpu, key = 0;
	s32 error;

	bpf_for(llc, 0, edict_nr_llcs) {
		bpf_for(queue, 0, EDICT_ORDERS * EDICT_TIERS_MAX) {
			error = scx_bpf_create_dsq(EDICT_DSQ(EDICT_QUEUE(llc, 0, queue)), -1);
			if (error)
				return error;
		}
	}
	error = scx_bpf_create_dsq(EDICT_DSQ_DUE, -1);
	if (error)
		return error;
	error = scx_bpf_create_dsq(EDICT_DSQ_RESUME, -1);
	if (error)
		return error;
	bpf_for(cpu, 0, edict_nr_cpus) {
		struct edict_cpu *here = edict_cpu_of(cpu);

		if (here) {
			here->tier = EDICT_TIERS_MAX;
			here->asked = 0;
		}
	}
	bank = EDICT_BANK(READ_ONCE(edict_active));
	edict_sow(bank && bank->head.seed ? bank->head.seed : edict_seed);
	edict_mark_cpus();
	keeper = bpf_map_lookup_elem(&edict_keepers, &key);
	if (!keeper)
		return -ESRCH;
	error = bpf_timer_init(&keeper->timer, &edict_keepers, CLOCK_MONOTONIC);
	if (error && error != -EBUSY)
		return error;
	bpf_timer_set_callback(&keeper->timer, edict_keeper_fired);
	edict_keeper_at = scx_bpf_now() + EDICT_KEEP_MIN_NS;
	return bpf_timer_start(&keeper->timer, EDICT_KEEP_MIN_NS, 0);
}

#endif /* EDICT_BEGIN_BPF_H */
