/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The classifier alone, for BPF_PROG_RUN: the differential test asks it about
 * many tasks at once, the benchmark times it. It has no sched_ext symbol, so it
 * loads on any kernel with BTF, and it is the same classify.bpf.h that the
 * scheduler is built from.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf_experimental.h>
#include "intf.h"

char _license[] SEC("license") = "GPL";

enum proof_limits {
	PROOF_TASKS = 4096,
};

/* What to run: tasks 0 … count-1 against a bank, `rounds` times. */
struct proof_request {
	u32 bank;
	u32 count;
	u32 rounds;
	u32 pad;
	u64 elapsed_ns;
	u64 sum;
};

/* The two banks, as in the scheduler. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct edict_bank);
} edict_banks SEC(".maps");

struct proof_tasks {
	struct edict_facts facts[PROOF_TASKS];
};

struct proof_verdicts {
	s32 verdict[PROOF_TASKS];
};

/* The tasks to classify. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct proof_tasks);
} proof_tasks SEC(".maps");

/* What came out, in the order of the tasks. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct proof_verdicts);
} proof_verdicts SEC(".maps");

#include "classify.bpf.h"

/*
 * Global on purpose: verified once by itself. Inlined into its callers, the
 * paths through it multiply with theirs.
 */
__noinline int edict_classify(struct edict_facts *facts __arg_nonnull, u32 bank)
{
	u32 key = bank & 1;
	struct edict_bank *b = bpf_map_lookup_elem(&edict_banks, &key);

	if (!b)
		return -1;
	return edict_classify_in(b, facts);
}

struct proof_loop {
	struct proof_request *request;
	struct proof_tasks *tasks;
	struct proof_verdicts *verdicts;
	u64 sum;
	u32 bank;
	u32 count;
};

static int proof_one(u32 i, struct proof_loop *loop)
{
	u32 at = i;
	s32 verdict;

	if (loop->count)
		at = i % loop->count;
	if (at >= PROOF_TASKS)
		return 1;
	verdict = edict_classify(&loop->tasks->facts[at], loop->bank);
	loop->verdicts->verdict[at] = verdict;
	loop->sum += verdict;
	return 0;
}

/* The same loop without the classifier: what the measuring itself costs. */
static int proof_nothing(u32 i, struct proof_loop *loop)
{
	u32 at = i;
	s32 verdict;

	if (loop->count)
		at = i % loop->count;
	if (at >= PROOF_TASKS)
		return 1;
	verdict = loop->tasks->facts[at].known;
	loop->verdicts->verdict[at] = verdict;
	loop->sum += verdict;
	return 0;
}

static __always_inline int proof_setup(struct proof_request *request, struct proof_loop *loop)
{
	u32 zero = 0;

	loop->tasks = bpf_map_lookup_elem(&proof_tasks, &zero);
	loop->verdicts = bpf_map_lookup_elem(&proof_verdicts, &zero);
	loop->bank = request->bank;
	loop->count = request->count;
	return loop->tasks && loop->verdicts;
}

SEC("syscall")
int proof_classify(struct proof_request *request)
{
	struct proof_loop loop = {};
	u64 start;

	if (!proof_setup(request, &loop))
		return 1;
	start = bpf_ktime_get_ns();
	bpf_loop(request->count * request->rounds, proof_one, &loop, 0);
	request->elapsed_ns = bpf_ktime_get_ns() - start;
	request->sum = loop.sum;
	return 0;
}

SEC("syscall")
int proof_empty(struct proof_request *request)
{
	struct proof_loop loop = {};
	u64 start;

	if (!proof_setup(request, &loop))
		return 1;
	start = bpf_ktime_get_ns();
	bpf_loop(request->count * request->rounds, proof_nothing, &loop, 0);
	request->elapsed_ns = bpf_ktime_get_ns() - start;
	request->sum = loop.sum;
	return 0;
}
