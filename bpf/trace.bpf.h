/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a recording is told: each stretch of time for which a task has a CPU, with
 * the decision behind it, and each commit of a policy.
 *
 *   running, kept ──▶ note when, after what wait and by which rule
 *                        │ in the task, while somebody records
 *                        ▼
 *   stopping, kept ─▶ one record in the ring ──▶ agent
 *
 * A task that keeps its CPU ends a stretch with each slice, so one that never
 * stops is told too. Not to be recorded costs a load and a branch at each end.
 *
 * What it does not do: it waits for nobody. Records that find the ring full are
 * counted, and the agent says so. It wakes nobody either: the agent looks by
 * itself, for a wake-up would be a decision more for each one that is told. What
 * still runs when the recording ends is not told.
 */
#ifndef EDICT_TRACE_BPF_H
#define EDICT_TRACE_BPF_H

#include "attributes.bpf.h"

/* edict_record: turns recording on or off. src/live/recording.rs mirrors it, and the next. */
struct edict_record {
	u64 at;	  /* told: when, on the clock of the records */
	u64 lost; /* told: records that found the ring full */
	u32 on;
	u32 pad;
};

/* One record. A commit has `ended_at` and `active` only. */
struct edict_traced {
	u64 begun_at;
	u64 ended_at;
	u64 waited_ns; /* since it was queued; 0 if it was not */
	u64 active;    /* the generation that `rule` and `tier` belong to */
	u32 pid;
	u32 tgid;
	u32 cpu;
	u16 rule;
	u8 tier;
	u8 how;	   /* enum edict_how */
	u32 kind;  /* enum edict_traced_kind */
	u32 flags; /* enum edict_traced_flags */
	u8 comm[EDICT_COMM_LEN];
};

enum edict_traced_kind {
	EDICT_TRACED_RUN = 0,
	EDICT_TRACED_COMMIT = 1,
};

enum edict_traced_flags {
	EDICT_TRACED_RUNNABLE = 1, /* it would go on, or does */
	EDICT_TRACED_RESUMED = 2,  /* it goes on with a run that another class interrupted */
	EDICT_TRACED_CUT = 4,	   /* it began before the recording, which is when it is told to begin */
};

_Static_assert(sizeof(struct edict_record) == 24, "request to record");
_Static_assert(sizeof(struct edict_traced) == 72, "record");

/* What has happened, while somebody records. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 << 10);
} edict_trace SEC(".maps");

/* Records that found it full, since the recording began. */
u64 edict_trace_lost;

static __always_inline struct edict_traced *edict_trace_reserve(void)
{
	struct edict_traced *record = bpf_ringbuf_reserve(&edict_trace, sizeof(*record), 0);

	if (!record)
		__sync_fetch_and_add(&edict_trace_lost, 1);
	return record;
}

/* A global function: the callers are long, and nearly always do without. */
__noinline int edict_trace_run(struct task_struct *p __arg_trusted,
			       struct edict_task *t __arg_nonnull, u64 since, u64 now, u32 flags)
{
	struct edict_stretch *stretch = &t->stretch;
	struct edict_traced *record = edict_trace_reserve();

	if (!record)
		return 0;
	record->begun_at = stretch->begun_at;
	record->waited_ns = stretch->waited_ns;
	record->active = stretch->active;
	record->rule = stretch->rule;
	record->tier = stretch->tier;
	if (stretch->resumed)
		flags |= EDICT_TRACED_RESUMED;
	/* What is noted there is of a recording before this one, or nothing. */
	if (edict_before(stretch->begun_at, since)) {
		flags = (flags & EDICT_TRACED_RUNNABLE) | EDICT_TRACED_CUT;
		record->begun_at = since;
		record->waited_ns = 0;
		record->active = t->active;
		record->rule = t->rule;
		record->tier = t->tier;
	}
	record->ended_at = now;
	record->pid = p->pid;
	record->tgid = p->tgid;
	record->cpu = scx_bpf_task_cpu(p);
	record->how = t->how;
	record->kind = EDICT_TRACED_RUN;
	record->flags = flags;
	bpf_probe_read_kernel(record->comm, sizeof(record->comm), p->comm);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The task gives its CPU away, or begins another slice on it. */
static __always_inline void edict_trace_ends(struct task_struct *p, struct edict_task *t,
					     bool runnable, u64 now)
{
	u64 since = READ_ONCE(edict_recording);

	if (since)
		edict_trace_run(p, t, since, now, runnable ? EDICT_TRACED_RUNNABLE : 0);
}

/* The task gets a CPU, or another slice on it: before it is forgotten since when it waited. */
static __always_inline void edict_trace_begins(struct edict_task *t, u64 now)
{
	struct edict_stretch *stretch = &t->stretch;
	u64 since = READ_ONCE(edict_recording);

	if (!since)
		return;
	/* What goes on was decided when it began, whatever a rule says of it now. */
	if (!t->resumes || edict_before(stretch->begun_at, since)) {
		stretch->active = t->active;
		stretch->rule = t->rule;
		stretch->tier = t->tier;
	}
	stretch->waited_ns = t->queued_at && edict_before(t->queued_at, now) ? now - t->queued_at : 0;
	stretch->resumed = t->resumes;
	stretch->begun_at = now;
}

/* A policy was put in force. */
static __always_inline void edict_trace_commit(u64 active)
{
	struct edict_traced *record;

	if (!READ_ONCE(edict_recording))
		return;
	record = edict_trace_reserve();
	if (!record)
		return;
	__builtin_memset(record, 0, sizeof(*record));
	record->ended_at = scx_bpf_now();
	record->active = active;
	record->kind = EDICT_TRACED_COMMIT;
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

/* Turns recording on or off; -EBUSY if it is on already. */
SEC("syscall")
int edict_record(struct edict_record *request)
{
	u64 now = scx_bpf_now();

	if (request->on) {
		if (READ_ONCE(edict_recording))
			return -EBUSY;
		WRITE_ONCE(edict_trace_lost, 0);
		__sync_lock_test_and_set(&edict_recording, now);
	} else {
		WRITE_ONCE(edict_recording, 0);
	}
	request->at = now;
	request->lost = READ_ONCE(edict_trace_lost);
	return 0;
}

#endif /* EDICT_TRACE_BPF_H */
