/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where single facts about a task come from, and how the agent is asked for the
 * others.
 */
#ifndef EDICT_SOURCES_BPF_H
#define EDICT_SOURCES_BPF_H

#include "tables.bpf.h"

#define EDICT_BANK(index)                                                   \
	({                                                                  \
		u32 __index = (index) & 1;                                  \
		(struct edict_bank *)bpf_map_lookup_elem(&edict_banks, &__index); \
	})

#include "classify.bpf.h"
#include "behaviour.bpf.h"

/* What each reading serves. */
#define EDICT_USES_COMM (EDICT_USES(EDICT_ATTR_COMM) | EDICT_USES(EDICT_SLOT_COMM_PATTERNS))
#define EDICT_USES_PARENT_COMM \
	(EDICT_USES(EDICT_ATTR_PARENT_COMM) | EDICT_USES(EDICT_SLOT_PARENT_COMM_PATTERNS))
#define EDICT_USES_PARENT (EDICT_USES_PARENT_COMM | EDICT_USES(EDICT_ATTR_PPID))
#define EDICT_USES_IDS                                                    \
	(EDICT_USES(EDICT_ATTR_PID) | EDICT_USES(EDICT_ATTR_TGID) |       \
	 EDICT_USES(EDICT_ATTR_GROUP_LEADER))
#define EDICT_USES_EUID (EDICT_USES(EDICT_ATTR_UID) | EDICT_USES(EDICT_ATTR_USER))
#define EDICT_USES_PROCESS (EDICT_USES(EDICT_ATTR_EXE) | EDICT_USES(EDICT_ATTR_CMDLINE))
#define EDICT_USES_CGROUP                                                  \
	(EDICT_USES(EDICT_ATTR_CGROUP) | EDICT_USES(EDICT_ATTR_CONTAINER) | \
	 EDICT_USES(EDICT_ATTR_UNIT))
#define EDICT_USES_PLACE (EDICT_USES(EDICT_ATTR_LLC) | EDICT_USES(EDICT_ATTR_NODE))
#define EDICT_USES_SYSTEM (((1ULL << EDICT_SYSTEM_ROWS) - 1) << EDICT_SYSTEM_FIRST)
#define EDICT_USES_TOLD                                                    \
	(EDICT_USES_CGROUP | EDICT_USES(EDICT_ATTR_USER) |                 \
	 EDICT_USES(EDICT_SLOT_COMM_PATTERNS) |                            \
	 EDICT_USES(EDICT_SLOT_PARENT_COMM_PATTERNS))
/* Beside the slots: whether to ask for what is not known. */
#define EDICT_ASK (1ULL << 63)

/*
 * Nothing passes it in either direction. An atomic operation on a word that
 * nobody else uses: an exchange is a full barrier, on arm64 too, and the compiler
 * has no lighter instruction that every kernel takes.
 */
static __always_inline void edict_barrier(u64 *own)
{
	__sync_lock_test_and_set(own, 0);
}

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
__noinline int edict_classify(struct edict_facts *facts __arg_nonnull, u32 index)
{
	struct edict_bank *bank = EDICT_BANK(index);

	if (!bank)
		return -1;
	return edict_classify_in(bank, facts);
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

static __always_inline u32 edict_egid(struct task_struct *p)
{
	return p->real_cred->egid.val;
}

/* The innermost pid namespace, as /proc/PID/ns/pid numbers it. */
static __always_inline u32 edict_pid_namespace(struct task_struct *p)
{
	struct pid *pid = BPF_CORE_READ(p, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid innermost = {};

	bpf_probe_read_kernel(&innermost, sizeof(innermost),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * sizeof(innermost));
	return BPF_CORE_READ(innermost.ns, ns.inum);
}

/* The name of the parent process: that of its first thread. */
static __always_inline void edict_parent_comm(struct task_struct *p, u64 comm[2])
{
	struct task_struct *leader = p->real_parent->group_leader;

	bpf_probe_read_kernel(comm, EDICT_COMM_LEN, leader->comm);
}

static __always_inline struct edict_place edict_place_of(struct task_struct *p)
{
	struct edict_place nowhere = {}, *place;
	u32 cpu = scx_bpf_task_cpu(p);

	place = bpf_map_lookup_elem(&edict_places, &cpu);
	return place ? *place : nowhere;
}

/* Whether the agent will hear of it. */
static __always_inline bool edict_tell(u64 active, u32 kind, u32 pid, u64 first, u64 second)
{
	struct edict_event event = { .kind = kind, .pid = pid, .word = { first, second } };
	struct edict_counters *counters;

	if (!bpf_ringbuf_output(&edict_events, &event, sizeof(event), 0))
		return true;
	counters = edict_count_in(active);
	if (counters)
		counters->events_lost++;
	return false;
}

#endif /* EDICT_SOURCES_BPF_H */
