/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a policy may ask about a task: where each attribute is read, how a
 * change of it is noticed, and the verdict that is kept until then.
 *
 *   enqueue, tick ─▶ generation or a fingerprint differs? ─ no ─▶ kept verdict
 *                                  │ yes
 *                                  ▼
 *                     facts ─▶ classify ─▶ verdict, new fingerprint
 *
 * There is no hook for renaming, nice, setuid or moving between cgroups: each
 * attribute that the policy uses costs one comparison per enqueue instead, so
 * that no change is lost and none is raced. A program is the same while the
 * exec_id of its process is; its row, like that of a cgroup, is told by the
 * agent and is unknown until then. Asking twice is not needed: the question is
 * sent once for each generation and execution.
 *
 * Nothing here sleeps, and nothing here may run where sleeping is possible:
 * agents wait for RCU readers before they refill a bank.
 */
#ifndef EDICT_ATTRIBUTES_BPF_H
#define EDICT_ATTRIBUTES_BPF_H

#include "tables.bpf.h"
#include "lottery.bpf.h"

#define EDICT_BANK(index)                                                   \
	({                                                                  \
		u32 __index = (index) & 1;                                  \
		(struct edict_bank *)bpf_map_lookup_elem(&edict_banks, &__index); \
	})

#include "classify.bpf.h"

enum {
	EDICT_SAMPLES = 8, /* until an average is known */
	EDICT_AVERAGE_SHIFT = 3,
};

static __always_inline struct edict_task *edict_task_of(struct task_struct *p)
{
	return bpf_task_storage_get(&edict_tasks, p, 0, 0);
}

static __always_inline struct edict_counters *edict_count_in(u64 active)
{
	u32 index = EDICT_BANK_INDEX(active);

	return bpf_map_lookup_elem(&edict_counters_of, &index);
}

/*
 * Global functions: verified once, by themselves. Inlined into their callers
 * the classifier takes the verifier past its limit.
 */
__noinline int edict_classify(const struct edict_facts *facts __arg_nonnull, u32 index)
{
	struct edict_bank *bank = EDICT_BANK(index);

	if (!bank)
		return -1;
	return edict_classify_in(bank, facts);
}

/* The row of a number: only the two that change by themselves are asked for. */
__noinline int edict_row_of(u32 index, u32 attr, s64 value)
{
	struct edict_bank *bank = EDICT_BANK(index);

	if (!bank)
		return -1;
	if (attr == EDICT_ATTR_RUNTIME_AVG)
		return edict_number_row(bank, &bank->head.attr[EDICT_ATTR_RUNTIME_AVG], value);
	return edict_number_row(bank, &bank->head.attr[EDICT_ATTR_WAKE_RATE], value);
}

static __always_inline u64 edict_cgroup_id(struct task_struct *p)
{
	return p->cgroups->dfl_cgrp->kn->id;
}

static __always_inline u32 edict_euid(struct task_struct *p)
{
	/* Not `cred`: the kernel overrides that for a moment here and there. */
	return p->real_cred->euid.val;
}

/* Whether the agent will hear of it. */
static __always_inline bool edict_tell(u64 active, u32 kind, u32 pid, u64 id, u64 started)
{
	struct edict_event event = { .kind = kind, .pid = pid, .id = id, .started = started };
	struct edict_counters *counters;

	if (!bpf_ringbuf_output(&edict_events, &event, sizeof(event), 0))
		return true;
	counters = edict_count_in(active);
	if (counters)
		counters->events_lost++;
	return false;
}

static __always_inline u32 edict_exe_row(struct task_struct *p, u64 active, bool ask)
{
	u32 index = EDICT_BANK_INDEX(active);
	struct task_struct *leader;
	struct edict_exe *exe;
	u64 exec_id;

	if (p->flags & PF_KTHREAD)
		return EDICT_ROW_UNKNOWN;
	leader = p->group_leader;
	exec_id = leader->self_exec_id;
	exe = bpf_task_storage_get(&edict_exes, leader, 0, 0);
	if (exe && exe->exec_id == exec_id) {
		if (exe->generation[index] == EDICT_GENERATION(active))
			return exe->row[index];
		if (exe->asked == active)
			return EDICT_ROW_UNKNOWN;
	}
	if (!ask)
		return EDICT_ROW_UNKNOWN;
	if (exe && exe->exec_id != exec_id) {
		exe->exec_id = exec_id;
		exe->generation[0] = 0;
		exe->generation[1] = 0;
		exe->asked = 0;
	}
	if (edict_tell(active, EDICT_EVENT_EXE, leader->pid, exec_id, leader->start_boottime) &&
	    exe)
		exe->asked = active;
	return EDICT_ROW_UNKNOWN;
}

static __always_inline u32 edict_cgroup_row(u64 id, u64 active, bool ask)
{
	struct edict_cgroup_key key = { .id = id, .bank = EDICT_BANK_INDEX(active) };
	struct edict_cgroup_row *row = bpf_map_lookup_elem(&edict_cgroups, &key);

	if (row && row->generation == EDICT_GENERATION(active))
		return row->row;
	if (ask)
		edict_tell(active, EDICT_EVENT_CGROUP, 0, id, 0);
	return EDICT_ROW_UNKNOWN;
}

/* Wake-ups per second; falls while the task does not wake. */
static __always_inline u64 edict_wake_rate(const struct edict_task *t, u64 now)
{
	u64 interval = t->wake_interval_ns, since = now - t->woke_at;

	if ((s64)since > 0 && since > interval)
		interval = since;
	return 1000000000ULL / (interval ? interval : 1);
}

/* The row of a behaviour in the bank, or unknown. */
static __always_inline u32 edict_behaviour_row(const struct edict_task *t, u32 index, u32 attr,
					       u64 now)
{
	if (attr == EDICT_ATTR_RUNTIME_AVG)
		return t->bursts >= EDICT_SAMPLES ?
			       (u32)edict_row_of(index, attr, t->burst_avg_ns) :
			       EDICT_ROW_UNKNOWN;
	return t->wakes >= EDICT_SAMPLES ?
		       (u32)edict_row_of(index, attr, edict_wake_rate(t, now)) :
		       EDICT_ROW_UNKNOWN;
}

/* What is known about a task's behaviour; a global function, see above. */
__noinline int edict_behaviour_of(const struct edict_task *t __arg_nonnull,
				  struct edict_facts *facts __arg_nonnull, u64 now)
{
	u32 known = 0;

	if (t->bursts >= EDICT_SAMPLES) {
		facts->number[EDICT_ATTR_RUNTIME_AVG] = t->burst_avg_ns;
		known |= 1U << EDICT_ATTR_RUNTIME_AVG;
	}
	if (t->wakes >= EDICT_SAMPLES) {
		facts->number[EDICT_ATTR_WAKE_RATE] = edict_wake_rate(t, now);
		known |= 1U << EDICT_ATTR_WAKE_RATE;
	}
	return known;
}

static __always_inline void edict_facts_of(struct task_struct *p, const struct edict_task *t,
					   u64 active, u32 uses, u64 now, bool ask,
					   struct edict_facts *facts)
{
	u32 known = (1U << EDICT_ATTR_COMM) | (1U << EDICT_ATTR_NICE) | (1U << EDICT_ATTR_UID) |
		    (1U << EDICT_ATTR_KTHREAD);
	u32 row;

	/* The kernel pads a comm with NUL, and so do the keys of the bank. */
	bpf_probe_read_kernel(facts->comm, sizeof(facts->comm), p->comm);
	facts->number[EDICT_ATTR_NICE] = p->static_prio - 120;
	facts->number[EDICT_ATTR_UID] = edict_euid(p);
	facts->number[EDICT_ATTR_KTHREAD] = !!(p->flags & PF_KTHREAD);
	if (uses & (1U << EDICT_ATTR_EXE)) {
		row = edict_exe_row(p, active, ask);
		facts->row[EDICT_ATTR_EXE] = row;
		if (row != EDICT_ROW_UNKNOWN)
			known |= 1U << EDICT_ATTR_EXE;
	}
	if (uses & (1U << EDICT_ATTR_CGROUP)) {
		row = edict_cgroup_row(edict_cgroup_id(p), active, ask);
		facts->row[EDICT_ATTR_CGROUP] = row;
		if (row != EDICT_ROW_UNKNOWN)
			known |= 1U << EDICT_ATTR_CGROUP;
	}
	if (t)
		known |= edict_behaviour_of(t, facts, now);
	facts->known = known;
}

/* Whether anything that the verdict was drawn from has changed. */
static __always_inline bool edict_stale(struct task_struct *p, struct edict_task *t, u32 uses,
					u64 active, u64 now)
{
	u32 index = EDICT_BANK_INDEX(active);

	if (t->active != active || t->dirty)
		return true;
	if (uses & (1U << EDICT_ATTR_COMM)) {
		u64 comm[2] = {};

		bpf_probe_read_kernel(comm, sizeof(comm), p->comm);
		if (comm[0] != t->comm[0] || comm[1] != t->comm[1])
			return true;
	}
	if ((uses & (1U << EDICT_ATTR_NICE)) && p->static_prio != t->static_prio)
		return true;
	if ((uses & (1U << EDICT_ATTR_UID)) && edict_euid(p) != t->euid)
		return true;
	if (uses & (1U << EDICT_ATTR_CGROUP)) {
		if (edict_cgroup_id(p) != t->cgroup)
			return true;
		if (READ_ONCE(edict_cgroup_epoch) != t->cgroup_epoch)
			return true;
	}
	if ((uses & (1U << EDICT_ATTR_EXE)) && p->group_leader->self_exec_id != t->exec_id)
		return true;
	if ((uses & (1U << EDICT_ATTR_RUNTIME_AVG)) &&
	    edict_behaviour_row(t, index, EDICT_ATTR_RUNTIME_AVG, now) !=
		    t->row[EDICT_ATTR_RUNTIME_AVG])
		return true;
	if ((uses & (1U << EDICT_ATTR_WAKE_RATE)) &&
	    edict_behaviour_row(t, index, EDICT_ATTR_WAKE_RATE, now) !=
		    t->row[EDICT_ATTR_WAKE_RATE])
		return true;
	return false;
}

/*
 * Brings the verdict on a task up to date with `active`, the word that the
 * caller read once; gives the tier. Called with the task's run queue locked,
 * so nobody else writes this task's state.
 */
__noinline int edict_refresh(struct task_struct *p __arg_trusted, u64 active, u64 now)
{
	struct edict_task *t = edict_task_of(p);
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_counters *counters;
	struct edict_facts facts = {};
	u32 index = EDICT_BANK_INDEX(active), uses, tier, rule;
	int verdict;

	if (!t || !bank)
		return 0;
	uses = bank->head.uses;
	if (!edict_stale(p, t, uses, active, now))
		return t->tier & (EDICT_TIERS_MAX - 1);

	/*
	 * The epoch is read before the rows and the flag is cleared before
	 * them: what is told meanwhile makes the next enqueue look again.
	 */
	t->dirty = 0;
	t->cgroup_epoch = READ_ONCE(edict_cgroup_epoch);
	if (uses & (1U << EDICT_ATTR_EXE))
		t->exec_id = p->group_leader->self_exec_id;
	if (uses & (1U << EDICT_ATTR_CGROUP))
		t->cgroup = edict_cgroup_id(p);
	edict_facts_of(p, t, active, uses, now, true, &facts);
	t->comm[0] = facts.comm[0];
	t->comm[1] = facts.comm[1];
	t->static_prio = (s32)facts.number[EDICT_ATTR_NICE] + 120;
	t->euid = (u32)facts.number[EDICT_ATTR_UID];
	if (uses & (1U << EDICT_ATTR_RUNTIME_AVG))
		t->row[EDICT_ATTR_RUNTIME_AVG] =
			edict_behaviour_row(t, index, EDICT_ATTR_RUNTIME_AVG, now);
	if (uses & (1U << EDICT_ATTR_WAKE_RATE))
		t->row[EDICT_ATTR_WAKE_RATE] =
			edict_behaviour_row(t, index, EDICT_ATTR_WAKE_RATE, now);

	counters = edict_count_in(active);
	verdict = edict_classify(&facts, index);
	if (verdict < 0) {
		tier = bank->head.otherwise_tier;
		rule = bank->head.otherwise_rule;
		if (counters)
			counters->unmatched++;
	} else {
		tier = verdict & 0xff;
		rule = verdict >> 8;
	}
	if (counters) {
		counters->classifications++;
		if (rule < EDICT_RULES_MAX)
			counters->rule[rule]++;
	}
	t->rule = rule;
	t->tier = tier & (EDICT_TIERS_MAX - 1);
	t->active = active;
	return t->tier;
}

/* A burst goes from waking to sleeping. */
static __always_inline void edict_burst_ended(struct edict_task *t)
{
	if (t->burst_ns && !t->burst_counted) {
		t->burst_avg_ns = edict_average(t->burst_avg_ns, t->burst_ns, EDICT_AVERAGE_SHIFT);
		if (t->bursts < EDICT_SAMPLES)
			t->bursts++;
	}
	t->burst_ns = 0;
	t->burst_counted = 0;
}

/*
 * A burst that goes on counts once it is longer than the average: what never
 * sleeps would stay unknown otherwise.
 */
static __always_inline void edict_burst_goes_on(struct edict_task *t)
{
	if (t->burst_ns <= t->burst_avg_ns)
		return;
	t->burst_avg_ns = edict_average(t->burst_avg_ns, t->burst_ns, EDICT_AVERAGE_SHIFT);
	t->burst_counted = 1;
	if (t->bursts < EDICT_SAMPLES)
		t->bursts++;
}

static __always_inline void edict_woke(struct edict_task *t, u64 now)
{
	if (t->woke_at && edict_before(t->woke_at, now)) {
		t->wake_interval_ns = edict_average(t->wake_interval_ns, now - t->woke_at,
						    EDICT_AVERAGE_SHIFT);
		if (t->wakes < EDICT_SAMPLES)
			t->wakes++;
	}
	t->woke_at = now;
}

#endif /* EDICT_ATTRIBUTES_BPF_H */
