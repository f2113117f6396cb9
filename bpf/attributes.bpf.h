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
 * that no change is lost and none is raced. A fingerprint is taken before the
 * facts: what changes in between makes the next enqueue look again. A barrier
 * stands between the two, for processors that read in another order.
 *
 * What the kernel cannot evaluate is told by the agent, and is unknown until
 * then: for a process as long as its exec_id is the same, for cgroups, users
 * and patterns on names by what they are, for the machine as a whole once a
 * second. A question is sent once for each generation and thing, and an answer
 * makes those look again that wait for one of its kind.
 *
 * Nothing here sleeps, and nothing here may run where sleeping is possible:
 * agents wait for RCU readers before they refill a bank.
 */
#ifndef EDICT_ATTRIBUTES_BPF_H
#define EDICT_ATTRIBUTES_BPF_H

#include "sources.bpf.h"

/*
 * How long after its exec the agent is asked about a program that has not slept:
 * most of those that a build or a script starts are gone by then.
 */
#define EDICT_SETTLED_NS 10000000ULL

/*
 * The rows of the task's process, if the agent has told them for this execution.
 * A program that has just begun is asked about when the task is looked at later.
 */
static __always_inline struct edict_exe *edict_exe_of(struct task_struct *p, u64 active, bool ask,
						      u64 now)
{
	u32 index = EDICT_BANK_INDEX(active);
	struct task_struct *leader;
	struct edict_exe *exe;
	struct edict_task *t;
	u64 exec_id;

	if (p->flags & PF_KTHREAD)
		return NULL;
	leader = p->group_leader;
	exec_id = leader->self_exec_id;
	exe = bpf_task_storage_get(&edict_exes, leader, 0, 0);
	if (exe && exe->exec_id == exec_id) {
		if (exe->generation[index] == EDICT_GENERATION(active))
			return exe;
		if (exe->asked == active)
			return NULL;
	}
	if (!ask)
		return NULL;
	if (exe && exe->exec_id != exec_id) {
		exe->exec_id = exec_id;
		exe->generation[0] = 0;
		exe->generation[1] = 0;
		exe->asked = 0;
		exe->begun_at = now;
	}
	/* It is looked at again when it sleeps, or is queued, or by the tick. */
	if (exe && edict_before(now, exe->begun_at + EDICT_SETTLED_NS)) {
		t = edict_task_of(p);
		if (t)
			t->look_at = exe->begun_at + EDICT_SETTLED_NS;
		return NULL;
	}
	if (edict_tell(active, EDICT_EVENT_PROCESS, leader->pid, exec_id,
		       leader->start_boottime) &&
	    exe)
		exe->asked = active;
	return NULL;
}

/* Takes a mark back, of a question that was lost. */
static __always_inline void edict_unask(const struct edict_told_key *key)
{
	if (key->kind == EDICT_TOLD_CGROUP)
		bpf_map_delete_elem(&edict_told_cgroups, key);
	else if (key->kind == EDICT_TOLD_USER)
		bpf_map_delete_elem(&edict_told_users, key);
	else
		bpf_map_delete_elem(&edict_told_names, key);
}

static __always_inline long edict_mark(const struct edict_told_key *key,
				       const struct edict_told *asked)
{
	if (key->kind == EDICT_TOLD_CGROUP)
		return bpf_map_update_elem(&edict_told_cgroups, key, asked, BPF_ANY);
	if (key->kind == EDICT_TOLD_USER)
		return bpf_map_update_elem(&edict_told_users, key, asked, BPF_ANY);
	return bpf_map_update_elem(&edict_told_names, key, asked, BPF_ANY);
}

static __always_inline struct edict_told *edict_told_of(const struct edict_told_key *key)
{
	if (key->kind == EDICT_TOLD_CGROUP)
		return bpf_map_lookup_elem(&edict_told_cgroups, key);
	if (key->kind == EDICT_TOLD_USER)
		return bpf_map_lookup_elem(&edict_told_users, key);
	return bpf_map_lookup_elem(&edict_told_names, key);
}

/* Asks for the rows of a key. The answer comes after the mark, and replaces it. */
static __always_inline void edict_ask(u32 kind, u64 low, u64 high, u64 active)
{
	struct edict_told_key key = {
		.kind = kind,
		.bank = EDICT_BANK_INDEX(active),
		.word = { low, high },
	};
	struct edict_told asked = {
		.generation = EDICT_GENERATION(active),
		.row = { EDICT_ROW_UNKNOWN, EDICT_ROW_UNKNOWN, EDICT_ROW_UNKNOWN },
	};

	if (edict_mark(&key, &asked)) {
		struct edict_counters *counters = edict_count_in(active);

		if (counters)
			counters->events_lost++;
		return;
	}
	if (!edict_tell(active, EDICT_EVENT_TOLD + kind, 0, low, high))
		edict_unask(&key);
}

static __always_inline void edict_take_row(struct edict_facts *facts, u32 slot, u32 row)
{
	facts->value[slot] = row;
	if (row != EDICT_ROW_UNKNOWN)
		facts->known |= EDICT_USES(slot);
}

/* Takes the rows that the agent has told for a key; may ask for them. */
__noinline int edict_take_told(struct edict_facts *facts __arg_nonnull, u64 kind_and_ask, u64 low,
			       u64 high, u64 active)
{
	struct edict_told_key key = {
		.kind = (u32)kind_and_ask,
		.bank = EDICT_BANK_INDEX(active),
		.word = { low, high },
	};
	struct edict_told *told = edict_told_of(&key);

	if (!told || told->generation != EDICT_GENERATION(active)) {
		if (kind_and_ask & EDICT_ASK)
			edict_ask(key.kind, low, high, active);
		return 0;
	}
	switch (key.kind) {
	case EDICT_TOLD_CGROUP:
		edict_take_row(facts, EDICT_ATTR_CGROUP, told->row[0]);
		edict_take_row(facts, EDICT_ATTR_CONTAINER, told->row[1]);
		edict_take_row(facts, EDICT_ATTR_UNIT, told->row[2]);
		break;
	case EDICT_TOLD_USER:
		edict_take_row(facts, EDICT_ATTR_USER, told->row[0]);
		break;
	case EDICT_TOLD_COMM:
		edict_take_row(facts, EDICT_SLOT_COMM_PATTERNS, told->row[0]);
		break;
	case EDICT_TOLD_PARENT_COMM:
		edict_take_row(facts, EDICT_SLOT_PARENT_COMM_PATTERNS, told->row[0]);
		break;
	}
	return 0;
}

static __always_inline void edict_take_system(struct edict_facts *facts, u64 active)
{
	u32 index = EDICT_BANK_INDEX(active), i;
	struct edict_system *system = bpf_map_lookup_elem(&edict_systems, &index);

	if (!system || system->generation != EDICT_GENERATION(active))
		return;
	for (i = 0; i < EDICT_SYSTEM_ROWS; i++)
		edict_take_row(facts, EDICT_SYSTEM_FIRST + i, system->row[i]);
}

#define EDICT_FACT(slot, what)                    \
	do {                                      \
		if (uses & EDICT_USES(slot)) {    \
			facts->value[slot] = what; \
			known |= EDICT_USES(slot); \
		}                                 \
	} while (0)

/*
 * Reads what `uses` wants, and no more: each reading has its price. A global
 * function: what was read does not multiply what the verifier follows in the
 * callers. Some of them may sleep, so it has a read-side section of its own.
 */
__noinline int edict_read_facts(struct task_struct *p __arg_trusted,
				struct edict_facts *facts __arg_nonnull, u64 active, u64 uses,
				u64 now)
{
	u64 ask = uses & EDICT_ASK, known = 0;

	bpf_rcu_read_lock();
	facts->known = 0;
	if (uses & EDICT_USES_COMM) {
		/* The kernel pads a comm with NUL, and so do the keys of the bank. */
		bpf_probe_read_kernel(facts->comm, sizeof(facts->comm), p->comm);
		known |= EDICT_USES(EDICT_ATTR_COMM);
	}
	EDICT_FACT(EDICT_ATTR_NICE, p->static_prio - 120);
	EDICT_FACT(EDICT_ATTR_KTHREAD, !!(p->flags & PF_KTHREAD));
	EDICT_FACT(EDICT_ATTR_UID, edict_euid(p));
	EDICT_FACT(EDICT_ATTR_GID, edict_egid(p));
	EDICT_FACT(EDICT_ATTR_PID, p->pid);
	EDICT_FACT(EDICT_ATTR_TGID, p->tgid);
	EDICT_FACT(EDICT_ATTR_GROUP_LEADER, p->pid == p->tgid);
	EDICT_FACT(EDICT_ATTR_PPID, p->real_parent->tgid);
	EDICT_FACT(EDICT_ATTR_NS_PID, edict_pid_namespace(p));
	if (uses & EDICT_USES_PARENT_COMM) {
		edict_parent_comm(p, facts->parent_comm);
		known |= EDICT_USES(EDICT_ATTR_PARENT_COMM);
	}
	if (uses & EDICT_USES_PLACE) {
		struct edict_place place = edict_place_of(p);

		EDICT_FACT(EDICT_ATTR_LLC, place.llc);
		EDICT_FACT(EDICT_ATTR_NODE, place.node);
	}
	facts->known = known;

	if (uses & EDICT_USES_PROCESS) {
		struct edict_exe *exe = edict_exe_of(p, active, ask, now);
		u32 index = EDICT_BANK_INDEX(active);

		if (exe) {
			/* Its rows are read after the generation that they are of. */
			edict_barrier(&facts->left[0]);
			edict_take_row(facts, EDICT_ATTR_EXE, exe->row[index][EDICT_OF_EXE]);
			edict_take_row(facts, EDICT_ATTR_CMDLINE,
				       exe->row[index][EDICT_OF_CMDLINE]);
		}
	}
	if (uses & EDICT_USES_CGROUP)
		edict_take_told(facts, EDICT_TOLD_CGROUP | ask, edict_cgroup_id(p), 0, active);
	if (uses & EDICT_USES(EDICT_ATTR_USER))
		edict_take_told(facts, EDICT_TOLD_USER | ask, edict_euid(p), 0, active);
	if (uses & EDICT_USES(EDICT_SLOT_COMM_PATTERNS))
		edict_take_told(facts, EDICT_TOLD_COMM | ask, facts->comm[0], facts->comm[1],
				active);
	if (uses & EDICT_USES(EDICT_SLOT_PARENT_COMM_PATTERNS))
		edict_take_told(facts, EDICT_TOLD_PARENT_COMM | ask, facts->parent_comm[0],
				facts->parent_comm[1], active);
	if (uses & EDICT_USES_SYSTEM)
		edict_take_system(facts, active);
	if (uses & EDICT_USES_BEHAVIOUR) {
		struct edict_task *t = edict_task_of(p);

		if (t)
			edict_read_behaviour(t, facts, uses, now);
	}
	bpf_rcu_read_unlock();
	return 0;
}

/* The kinds of keys whose rows are wanted and are not there. */
static __always_inline u32 edict_awaited(const struct edict_facts *facts, u64 uses)
{
	u64 open = uses & EDICT_USES_TOLD & ~facts->known;
	u32 awaits = 0;

	if (open & EDICT_USES_CGROUP)
		awaits |= 1 << EDICT_TOLD_CGROUP;
	if (open & EDICT_USES(EDICT_ATTR_USER))
		awaits |= 1 << EDICT_TOLD_USER;
	if (open & EDICT_USES(EDICT_SLOT_COMM_PATTERNS))
		awaits |= 1 << EDICT_TOLD_COMM;
	if (open & EDICT_USES(EDICT_SLOT_PARENT_COMM_PATTERNS))
		awaits |= 1 << EDICT_TOLD_PARENT_COMM;
	return awaits;
}

/* Whether rows were told that the task waits for, or known ones changed. */
static __always_inline bool edict_news_for(const struct edict_task *t)
{
	u32 kind;

	if (READ_ONCE(edict_retold_epoch) != t->retold_epoch)
		return true;
	if (!t->awaits)
		return false;
	for (kind = 0; kind < EDICT_TOLD_KINDS; kind++) {
		if ((t->awaits & (1 << kind)) && READ_ONCE(edict_epochs[kind]) != t->epoch[kind])
			return true;
	}
	return false;
}

/* Whether anything that the verdict was drawn from has changed. */
static __always_inline bool edict_stale(struct task_struct *p, struct edict_task *t, u64 uses,
					u64 active, u64 now)
{
	if (t->active != active || t->dirty)
		return true;
	if (t->look_at && !edict_before(now, t->look_at))
		return true;
	if (uses & EDICT_USES_COMM) {
		u64 comm[2] = {};

		bpf_probe_read_kernel(comm, sizeof(comm), p->comm);
		if (comm[0] != t->comm[0] || comm[1] != t->comm[1])
			return true;
	}
	if ((uses & EDICT_USES(EDICT_ATTR_NICE)) && p->static_prio != t->static_prio)
		return true;
	if ((uses & EDICT_USES_EUID) && edict_euid(p) != t->euid)
		return true;
	if ((uses & EDICT_USES_CGROUP) && edict_cgroup_id(p) != t->cgroup)
		return true;
	if ((uses & EDICT_USES_PROCESS) && p->group_leader->self_exec_id != t->exec_id)
		return true;
	if ((uses & EDICT_USES_TOLD) && edict_news_for(t))
		return true;
	if ((uses & EDICT_USES_SYSTEM) && READ_ONCE(edict_system_epoch) != t->system_epoch)
		return true;
	if ((uses & EDICT_USES(EDICT_ATTR_GID)) && edict_egid(p) != t->egid)
		return true;
	/* A thread that execs takes the number of its process. */
	if ((uses & EDICT_USES_IDS) && p->pid != t->pid)
		return true;
	if (uses & EDICT_USES_PARENT) {
		u64 comm[2] = {};

		if (p->real_parent->tgid != t->parent)
			return true;
		if (uses & EDICT_USES_PARENT_COMM) {
			edict_parent_comm(p, comm);
			if (comm[0] != t->parent_comm[0] || comm[1] != t->parent_comm[1])
				return true;
		}
	}
	if (uses & EDICT_USES_PLACE) {
		struct edict_place place = edict_place_of(p);

		if (place.llc != t->place.llc || place.node != t->place.node)
			return true;
	}
	return (uses & EDICT_USES_BEHAVIOUR) &&
	       edict_drifted(t, EDICT_BANK_INDEX(active), uses, now);
}

/* The fingerprint of what is about to be read. */
static __always_inline void edict_remember(struct task_struct *p, struct edict_task *t, u64 uses)
{
	u32 kind;

	t->dirty = 0;
	t->look_at = 0;
	for (kind = 0; kind < EDICT_TOLD_KINDS; kind++)
		t->epoch[kind] = READ_ONCE(edict_epochs[kind]);
	t->retold_epoch = READ_ONCE(edict_retold_epoch);
	t->system_epoch = READ_ONCE(edict_system_epoch);
	t->static_prio = p->static_prio;
	t->pid = p->pid;
	if (uses & EDICT_USES_EUID)
		t->euid = edict_euid(p);
	if (uses & EDICT_USES(EDICT_ATTR_GID))
		t->egid = edict_egid(p);
	if (uses & EDICT_USES_CGROUP)
		t->cgroup = edict_cgroup_id(p);
	if (uses & EDICT_USES_PROCESS)
		t->exec_id = p->group_leader->self_exec_id;
	if (uses & EDICT_USES_PARENT)
		t->parent = p->real_parent->tgid;
	if (uses & EDICT_USES_PLACE)
		t->place = edict_place_of(p);
	edict_barrier(&t->fence);
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
	u32 index = EDICT_BANK_INDEX(active), tier, rule, here = 0;
	struct edict_counters *counters;
	struct edict_facts *facts;
	u64 uses, lost;
	int verdict;

	if (!t || !bank)
		return 0;
	uses = bank->head.uses;
	if (!edict_stale(p, t, uses, active, now))
		return t->tier & (EDICT_TIERS_MAX - 1);
	facts = bpf_map_lookup_elem(&edict_facts_here, &here);
	if (!facts)
		return 0;

	counters = edict_count_in(active);
	lost = counters ? counters->events_lost : 0;
	edict_remember(p, t, uses);
	edict_read_facts(p, facts, active, uses | EDICT_ASK, now);
	/* What could not be asked is asked again when it is queued next. */
	if (counters && counters->events_lost != lost)
		t->dirty = 1;
	t->awaits = edict_awaited(facts, uses);
	t->comm[0] = facts->comm[0];
	t->comm[1] = facts->comm[1];
	t->parent_comm[0] = facts->parent_comm[0];
	t->parent_comm[1] = facts->parent_comm[1];
	if (uses & EDICT_USES_BEHAVIOUR)
		edict_keep_rows(t, facts, index, uses);

	verdict = edict_classify(facts, index);
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

#endif /* EDICT_ATTRIBUTES_BPF_H */
