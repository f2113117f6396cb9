/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the agent asks of the object, each a program of its own that runs once
 * through BPF_PROG_RUN, and what the object tells about processes and cgroups.
 *
 * Requests may sleep, so they classify nothing outside a read-side section: a
 * bank may be refilled under anything that the agent's wait does not cover.
 */
#ifndef EDICT_REQUESTS_BPF_H
#define EDICT_REQUESTS_BPF_H

#include "attributes.bpf.h"
#include "pace.bpf.h"
#include "trace.bpf.h"

struct bpf_iter_task;
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task,
			     unsigned int flags) __weak __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __weak __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __weak __ksym;

/* Puts a generation in force: one store. */
SEC("syscall")
int edict_commit(struct edict_commit *request)
{
	struct edict_bank *bank = EDICT_BANK(request->active);
	u32 llc, tier;
	u64 now;

	if (!bank)
		return -EINVAL;
	edict_ledger_prepare(request->active);
	if (__sync_val_compare_and_swap(&edict_active, request->expected, request->active) !=
	    request->expected)
		return -EAGAIN;
	edict_trace_commit(request->active);
	WRITE_ONCE(edict_agent, bpf_get_current_pid_tgid() >> 32);
	edict_ledger_begin(request->active, request->expected, request->renumbered);
	if (bank->head.seed)
		edict_sow(bank->head.seed);
	/* Whatever the last generation queued where this one has no queue. */
	bpf_for(llc, 0, edict_nr_llcs)
		__sync_fetch_and_or(&edict_llcs[llc & (EDICT_LLCS_MAX - 1)].orphans,
				    (1ULL << (EDICT_ORDERS * EDICT_TIERS_MAX)) - 1);
	/* And what it queued where this one keeps it away: the keeper looks now. */
	bpf_for(llc, 0, edict_nr_llcs) {
		bpf_for(tier, 0, EDICT_TIERS_MAX) {
			struct edict_queue_state *state;

			if (!(bank->head.confined & (1U << edict_index(tier))))
				continue;
			state = edict_queue_state_of(edict_queue_of(bank, tier, llc));
			WRITE_ONCE(state->bound, 0);
			WRITE_ONCE(state->scanned_at, 0);
		}
	}
	now = scx_bpf_now();
	edict_keep_by(now + EDICT_KEEP_MIN_NS, now);
	return 0;
}

static __always_inline struct edict_batch *edict_batch(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&edict_batches, &key);
}

/* Which execution of which process each pid is now. */
SEC("syscall")
int edict_processes(void *ctx)
{
	struct edict_batch *request = edict_batch();
	u32 i;

	if (!request)
		return -ESRCH;
	bpf_for(i, 0, EDICT_BATCH) {
		struct edict_process *at;
		struct task_struct *p;

		if (i >= request->count)
			break;
		at = &request->process[i & (EDICT_BATCH - 1)];
		p = bpf_task_from_pid(at->pid);
		if (!p) {
			at->error = -ESRCH;
			continue;
		}
		at->exec_id = p->self_exec_id;
		at->started = p->start_boottime;
		at->error = p->pid != p->tgid || (p->flags & PF_KTHREAD) ? -EINVAL : 0;
		bpf_task_release(p);
	}
	return 0;
}

/* The rows of processes, if they still run the same programs. */
SEC("syscall")
int edict_fill(void *ctx)
{
	struct edict_batch *request = edict_batch();
	u32 i;

	if (!request)
		return -ESRCH;
	bpf_for(i, 0, EDICT_BATCH) {
		struct edict_process *at;
		struct task_struct *p, *thread;
		struct edict_exe *exe;
		u32 bank;

		if (i >= request->count)
			break;
		at = &request->process[i & (EDICT_BATCH - 1)];
		bank = at->bank & 1;
		p = bpf_task_from_pid(at->pid);
		if (!p) {
			at->error = -ESRCH;
			continue;
		}
		exe = bpf_task_storage_get(&edict_exes, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!exe || p->self_exec_id != at->exec_id || p->start_boottime != at->started) {
			at->error = -ESTALE;
			bpf_task_release(p);
			continue;
		}
		if (exe->exec_id != at->exec_id) {
			exe->generation[0] = 0;
			exe->generation[1] = 0;
			exe->exec_id = at->exec_id;
		}
		exe->row[bank][EDICT_OF_EXE] = at->row[EDICT_OF_EXE];
		exe->row[bank][EDICT_OF_CMDLINE] = at->row[EDICT_OF_CMDLINE];
		/* After the rows, and before anyone is made to look. */
		__sync_lock_test_and_set(&exe->generation[bank], at->generation);
		at->error = 0;
		if (EDICT_ACTIVE(at->generation, bank) == READ_ONCE(edict_active)) {
			bpf_rcu_read_lock();
			bpf_for_each(task, thread, p, BPF_TASK_ITER_PROC_THREADS) {
				struct edict_task *t = edict_task_of(thread);

				if (t)
					t->dirty = 1;
			}
			bpf_rcu_read_unlock();
		}
		bpf_task_release(p);
	}
	return 0;
}

/* Makes tasks look again at what the agent tells for many. */
SEC("syscall")
int edict_rows_told(struct edict_news *news)
{
	u32 kind;

	/* Whoever sees the new number sees what was written before. */
	edict_barrier(&edict_fence);
	for (kind = 0; kind < EDICT_TOLD_KINDS; kind++) {
		if (news->kinds & (1 << kind))
			__sync_fetch_and_add(&edict_epochs[kind], 1);
	}
	if (news->changed)
		__sync_fetch_and_add(&edict_retold_epoch, 1);
	return 0;
}

/* Makes every task look again at what is the same for all. */
SEC("syscall")
int edict_system_changed(void *ctx)
{
	edict_barrier(&edict_fence);
	__sync_fetch_and_add(&edict_system_epoch, 1);
	return 0;
}

/*
 * The tier and rule of a task under `active`, kept or found without keeping,
 * and the facts that `uses` wants. A global function: within a loop the verifier
 * would follow every combination of attributes.
 */
__noinline int edict_verdict(struct task_struct *p __arg_trusted,
			     struct edict_facts *facts __arg_nonnull, u64 active, u64 uses)
{
	struct edict_bank *bank = EDICT_BANK(active);
	u64 now = scx_bpf_now();
	struct edict_task *t;
	int verdict = -1;
	bool kept;

	if (!bank)
		return 0;
	bpf_rcu_read_lock();
	t = edict_task_of(p);
	kept = t && !edict_stale(p, t, bank->head.uses, active, now);
	if (!kept || uses)
		edict_read_facts(p, facts, active, uses | bank->head.uses, now);
	if (kept)
		verdict = (int)(t->rule << 8 | (t->tier & 0xff));
	bpf_rcu_read_unlock();
	if (kept)
		return verdict;
	verdict = edict_classify(facts, EDICT_BANK_INDEX(active));
	if (verdict < 0)
		verdict = (int)(bank->head.otherwise_rule << 8 | bank->head.otherwise_tier);
	return verdict;
}

static __always_inline struct edict_facts *edict_facts_of_request(u32 which)
{
	return bpf_map_lookup_elem(&edict_facts_of_requests, &which);
}

/* Everything about one task, also what the policy does not ask. */
SEC("syscall")
int edict_inspect(struct edict_inspect *request)
{
	struct edict_facts *facts = edict_facts_of_request(EDICT_FACTS_OF_INSPECT);
	struct task_struct *p;
	int verdict;

	if (!facts)
		return -ESRCH;
	p = bpf_task_from_pid(request->pid);
	if (!p)
		return -ESRCH;
	bpf_rcu_read_lock();
	request->active = READ_ONCE(edict_active);
	verdict = edict_verdict(p, facts, request->active, EDICT_USES(EDICT_SLOTS) - 1);
	request->cgroup = edict_cgroup_id(p);
	bpf_rcu_read_unlock();
	request->tgid = p->tgid;
	request->rule = (u32)verdict >> 8;
	request->tier = (u32)verdict & 0xff;
	request->policy = p->policy;
	request->perf = edict_perf_of(scx_bpf_task_cpu(p));
	request->facts = *facts;
	bpf_task_release(p);
	return 0;
}

/* How many tasks each tier has. */
SEC("syscall")
int edict_count(void *ctx)
{
	struct edict_facts *facts = edict_facts_of_request(EDICT_FACTS_OF_COUNT);
	struct edict_population *request;
	struct task_struct *p;
	u32 key = 0;
	u64 active;

	request = bpf_map_lookup_elem(&edict_populations, &key);
	if (!request || !facts)
		return -ESRCH;
	__builtin_memset(request, 0, sizeof(*request));
	bpf_rcu_read_lock();
	active = READ_ONCE(edict_active);
	bpf_for_each(task, p, NULL, BPF_TASK_ITER_ALL_THREADS) {
		u32 tier = (u32)edict_verdict(p, facts, active, 0) & (EDICT_TIERS_MAX - 1);

		request->tasks[tier]++;
		/* The kernel's own word for it; other classes do not set it. */
		if (p->scx.flags & SCX_TASK_QUEUED)
			request->runnable[tier]++;
	}
	request->active = active;
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?tp_btf/sched_process_exec")
int BPF_PROG(edict_exec, struct task_struct *p, int old_pid)
{
	u64 active = READ_ONCE(edict_active);
	struct edict_bank *bank = EDICT_BANK(active);

	if (active && bank && (bank->head.uses & EDICT_USES_PROCESS)) {
		struct edict_exe *exe =
			bpf_task_storage_get(&edict_exes, p->group_leader, 0, 0);
		struct edict_task *t = edict_task_of(p);

		/*
		 * Whoever was queued in the middle of the exec may have asked already,
		 * when its arguments were not there yet.
		 */
		if (exe) {
			exe->exec_id = p->self_exec_id;
			exe->begun_at = scx_bpf_now();
			exe->generation[0] = 0;
			exe->generation[1] = 0;
			exe->asked = 0;
		}
		if (t)
			t->dirty = 1;
	}
	return 0;
}

SEC("?tp_btf/cgroup_mkdir")
int BPF_PROG(edict_cgroup_made, struct cgroup *cgroup, const char *path)
{
	u64 active = READ_ONCE(edict_active);
	struct edict_bank *bank = EDICT_BANK(active);

	/* 0 is the version 2 hierarchy. */
	if (active && bank && (bank->head.uses & EDICT_USES_CGROUP) &&
	    cgroup->root->hierarchy_id == 0)
		edict_ask(EDICT_TOLD_CGROUP, cgroup->kn->id, 0, active);
	return 0;
}

SEC("?tp_btf/cgroup_rmdir")
int BPF_PROG(edict_cgroup_gone, struct cgroup *cgroup, const char *path)
{
	u64 active = READ_ONCE(edict_active);
	struct edict_bank *bank = EDICT_BANK(active), *other = EDICT_BANK(active ^ 1);

	/* The other bank may be the next one: it has its rows before its turn. */
	if (active && bank && other &&
	    ((bank->head.uses | other->head.uses) & EDICT_USES_CGROUP) &&
	    cgroup->root->hierarchy_id == 0)
		edict_tell(active, EDICT_EVENT_CGROUP_GONE, 0, cgroup->kn->id, 0);
	return 0;
}

#endif /* EDICT_REQUESTS_BPF_H */
