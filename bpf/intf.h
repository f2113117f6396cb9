/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the agent and the object must agree on: limits, the layout of a bank,
 * the facts of a task and the requests that the agent makes.
 *
 * src/image/layout.rs mirrors this file; sizes and offsets are asserted on both
 * sides. Everything is little-endian and naturally aligned, without padding
 * that is not named.
 */
#ifndef EDICT_INTF_H
#define EDICT_INTF_H

#ifndef __VMLINUX_H__
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
#endif

enum edict_limits {
	EDICT_TIERS_MAX = 16,
	EDICT_RULES_MAX = 512,
	EDICT_CLAUSES_MAX = 1024,
	EDICT_WORDS_PER_ROW_MAX = EDICT_CLAUSES_MAX / 64,

	/* Names matched exactly: at most 65,536, in slots four fifths full. */
	EDICT_NAMES_MAX = 65536,
	EDICT_NAME_SLOTS_MAX = 81920,
	EDICT_NAME_BUCKETS_MAX = 16384,

	/* Boundaries between the intervals of numbers, of all attributes; a power of two. */
	EDICT_BOUNDS_MAX = 32768,
	EDICT_BOUNDS_STEPS = 15,
	/* Boundaries between the intervals of names that prefixes make. */
	EDICT_PREFIX_BOUNDS_MAX = 2048,

	/* Bitmaps; a power of two, so that an index is bounded by a mask. */
	EDICT_ROW_WORDS_MAX = 131072,
	EDICT_ROWS_MAX = 65536,

	EDICT_COMM_LEN = 16,

	EDICT_CPUS_MAX = 1024,
	EDICT_SIBLINGS_MAX = 7,
};

/* A row that no class has: the agent has not told yet. */
#define EDICT_ROW_UNKNOWN 0xffffffffU

/*
 * Byte 15 of a key in the exact table says whose it is. That of a comm is NUL,
 * so the keys of `comm` have none; those of other attributes have this.
 */
#define EDICT_KEY_TAG(attr) ((u64)((attr) + 1) << 56)

/* INVARIANT: the order is that of `Attribute` in src/check/attribute.rs. */
enum edict_attr {
	EDICT_ATTR_COMM = 0,
	EDICT_ATTR_EXE = 1,
	EDICT_ATTR_NICE = 2,
	EDICT_ATTR_UID = 3,
	EDICT_ATTR_KTHREAD = 4,
	EDICT_ATTR_CGROUP = 5,
	EDICT_ATTR_RUNTIME_AVG = 6,
	EDICT_ATTR_WAKE_RATE = 7,
	EDICT_ATTR_CMDLINE = 8,
	EDICT_ATTR_PID = 9,
	EDICT_ATTR_TGID = 10,
	EDICT_ATTR_PPID = 11,
	EDICT_ATTR_PARENT_COMM = 12,
	EDICT_ATTR_GID = 13,
	EDICT_ATTR_USER = 14,
	EDICT_ATTR_GROUP_LEADER = 15,
	EDICT_ATTR_CONTAINER = 16,
	EDICT_ATTR_UNIT = 17,
	EDICT_ATTR_NS_PID = 18,
	EDICT_ATTR_RUNTIME_DEV = 19,
	EDICT_ATTR_SWITCH_RATE = 20,
	EDICT_ATTR_LAT_CRI = 21,
	EDICT_ATTR_SLEEP_AVG = 22,
	EDICT_ATTR_AGE = 23,
	EDICT_ATTR_CPU_UTIL = 24,
	EDICT_ATTR_LOAD = 25,
	EDICT_ATTR_IMBALANCE = 26,
	EDICT_ATTR_PSI_CPU = 27,
	EDICT_ATTR_ON_BATTERY = 28,
	EDICT_ATTR_NCPU = 29,
	EDICT_ATTR_LLC = 30,
	EDICT_ATTR_NODE = 31,
	EDICT_ATTRS = 32,

	/*
	 * What has rows: each attribute, and the patterns on the texts that the
	 * kernel reads, which the agent evaluates apart from names and prefixes.
	 * INVARIANT: the order is that of `Slot` in src/plan/slot.rs.
	 */
	EDICT_SLOT_COMM_PATTERNS = 32,
	EDICT_SLOT_PARENT_COMM_PATTERNS = 33,
	EDICT_SLOTS = 34,
};

#define EDICT_USES(slot) (1ULL << (slot))

/* How a slot finds its row. */
enum edict_kind {
	EDICT_KIND_NUMBER = 0, /* an id in the exact table, or an interval */
	EDICT_KIND_TEXT = 1,   /* a name in the exact table, or a prefix */
	EDICT_KIND_TOLD = 2,   /* the agent tells the row itself */
};

enum edict_order {
	EDICT_ORDER_VTIME = 0,
	EDICT_ORDER_FIFO = 1,
	EDICT_ORDER_LOTTERY = 2,
	EDICT_ORDERS = 3,
};

enum edict_between {
	EDICT_BETWEEN_LOTTERY = 0,
	EDICT_BETWEEN_STRICT = 1,
	EDICT_BETWEEN_STRIDE = 2,
};

/* Where the tasks of a tier run. */
enum edict_within {
	EDICT_WITHIN_MACHINE = 0,
	EDICT_WITHIN_CPUS = 1, /* the CPUs of `cpus` */
	EDICT_WITHIN_LLC = 2,  /* the CPUs of the last-level cache `place` */
	EDICT_WITHIN_NODE = 3, /* the CPUs of the node `place` */
};

enum edict_tier_flags {
	EDICT_TIER_EXCLUSIVE = 1, /* no other tier on the CPUs of the same core */
	EDICT_TIER_PERF = 2,	  /* `perf` is given */
	EDICT_TIER_BUDGET = 4,	  /* `budget_ppm` and `burst_ns` are given */
};

/*
 * What a policy may ask about a task. `value` holds numbers (truth values are 0
 * and 1), and for what the agent evaluates the row that it told. `known` has a
 * bit for each slot whose value is there; the rest is not to be read.
 */
struct edict_facts {
	u64 known;
	u64 comm[2];
	u64 parent_comm[2];
	s64 value[EDICT_SLOTS];
	u64 left[EDICT_WORDS_PER_ROW_MAX]; /* the classifier's notes */
};

/*
 * How the values of one slot become rows: names and ids through the exact
 * table, then intervals; `bounds_top` is the highest power of two that is not
 * greater than `bounds_count`. The bounds of numbers are filled up to
 * 2 * bounds_top - 1 with ones that no value reaches.
 */
struct edict_attr_table {
	u32 row_default;
	u32 row_unknown;
	u32 bounds_first;
	u32 bounds_count;
	u32 bounds_top;
	u32 exact; /* how many keys of the exact table are this slot's */
	u32 kind;  /* enum edict_kind */
	u32 pad;
};

struct edict_tier {
	u64 slice_ns;
	u64 max_wait_ns; /* 0: no promise */
	u32 tickets;
	u32 preempt; /* bit t: may interrupt tier t */
	u32 order;   /* enum edict_order */
	u32 flags;   /* enum edict_tier_flags */
	u32 perf;    /* of 1024, for scx_bpf_cpuperf_set */
	u32 budget_ppm; /* of the machine's CPU time */
	u64 burst_ns;	/* CPU time beyond the budget */
	u32 within;  /* enum edict_within */
	u32 place;   /* number of the cache or the node */
	u64 cpus[EDICT_CPUS_MAX / 64];
};

struct edict_clause {
	u16 rule;
	u8 tier;
	u8 pad;
};

struct edict_bank_header {
	u64 uses; /* bit per slot */
	u32 nr_tiers;
	u32 nr_rules;
	u32 nr_clauses;
	u32 stride; /* u64 words per row */
	u32 nr_rows;
	u32 name_slots;
	u64 name_seed;
	u32 name_buckets;
	u32 between; /* enum edict_between */
	u32 otherwise_tier;
	u32 otherwise_rule;
	u32 nr_others;
	u32 compensate; /* whether what a win uses weighs in a draw */
	u64 seed;	/* of the draws; 0: the object's own */
	u64 refill_ns;	/* how far back what a tier took or missed counts */
	u32 confined;	/* bit t: tier t has another `within` than the machine */
	u32 exclusive;	/* bit t: tier t has EDICT_TIER_EXCLUSIVE */
	u32 budgeted;	/* bit t: tier t has EDICT_TIER_BUDGET */
	u32 paced;	/* bit t: tier t has EDICT_TIER_PERF */
	u32 balanced;	/* whether the agent moves tasks between caches, by rules */
	u32 pad;
	u8 other[40]; /* the slots in use beyond EDICT_ATTR_WAKE_RATE, nr_others of them */
	struct edict_attr_table attr[EDICT_SLOTS];
	struct edict_tier tier[EDICT_TIERS_MAX];
};

/*
 * One compiled policy. The agent writes a whole bank while it is idle; the
 * object only reads it.
 *
 * name_key[i] is a comm, padded with NUL, or a number, with EDICT_KEY_TAG of its
 * attribute in the second word; an unused one holds all ones, which is neither.
 * bound[i] and prefix_bound[i] are the first values of an interval, ascending
 * within an attribute; the row of the values before the first is row_default.
 * word[row * stride + w] has bit i set when clause 64 w + i holds, or does not
 * care, for the values of that row. Row 0 is all ones.
 */
struct edict_bank {
	struct edict_bank_header head;
	struct edict_clause clause[EDICT_CLAUSES_MAX];
	u16 name_displacement[EDICT_NAME_BUCKETS_MAX];
	u16 name_row[EDICT_NAME_SLOTS_MAX];
	u64 name_key[EDICT_NAME_SLOTS_MAX][2];
	u64 prefix_bound[EDICT_PREFIX_BOUNDS_MAX][2]; /* big-endian order */
	s64 bound[EDICT_BOUNDS_MAX];
	u16 prefix_row[EDICT_PREFIX_BOUNDS_MAX];
	u16 bound_row[EDICT_BOUNDS_MAX];
	u64 word[EDICT_ROW_WORDS_MAX];
};

_Static_assert(sizeof(struct edict_facts) == 40 + 34 * 8 + 16 * 8, "facts");
_Static_assert(sizeof(struct edict_attr_table) == 32, "attribute table");
_Static_assert(sizeof(struct edict_tier) == 56 + 128, "tier");
_Static_assert(sizeof(struct edict_clause) == 4, "clause");
_Static_assert(sizeof(struct edict_bank_header) == 144 + 34 * 32 + 16 * 184, "header");
_Static_assert(sizeof(struct edict_bank) % 8 == 0, "bank");
/* The kernel refuses array values over 4 MiB. */
_Static_assert(sizeof(struct edict_bank) < (4 << 20), "bank");

/*
 * What the agent asks of the object, and what it is told. The programs of
 * requests.bpf.h take these as their context; the ring of events carries the
 * last of them.
 */

/* `active`: the generation in force and the bank that holds it. 0: none yet. */
#define EDICT_ACTIVE(generation, bank) (((u64)(generation) << 1) | ((bank) & 1))
#define EDICT_GENERATION(active) ((active) >> 1)
#define EDICT_BANK_INDEX(active) ((u32)((active) & 1))

enum edict_requests {
	EDICT_BATCH = 256,
	EDICT_WAIT_BUCKETS = 32,
};

/* edict_commit: 0, or -EAGAIN when `expected` is no longer the active word. */
struct edict_commit {
	u64 expected;
	u64 active;
	u64 renumbered; /* bit t: tier t was another tier, or none, before */
};

/* What of a process the agent evaluates. */
enum edict_of_process {
	EDICT_OF_EXE = 0,
	EDICT_OF_CMDLINE = 1,
	EDICT_OF_PROCESS = 2,
};

/* A process, and which of its executions: a pid alone may be reused. */
struct edict_process {
	u64 exec_id;
	u64 started;
	u64 generation;
	u32 pid;
	u32 bank;
	u32 row[EDICT_OF_PROCESS];
	s32 error;
	u32 pad;
};

/* edict_processes fills exec_id and started; edict_fill takes the rest. */
struct edict_batch {
	u32 count;
	u32 pad;
	struct edict_process process[EDICT_BATCH];
};

/* What the agent evaluates for many tasks at once: its key, and its rows. */
enum edict_told_kind {
	EDICT_TOLD_CGROUP = 0,	    /* id: cgroup, container, unit */
	EDICT_TOLD_USER = 1,	    /* effective user id: user */
	EDICT_TOLD_COMM = 2,	    /* a comm: the patterns on `comm` */
	EDICT_TOLD_PARENT_COMM = 3, /* a comm: the patterns on `parent.comm` */
	EDICT_TOLD_KINDS = 4,
	EDICT_TOLD_ROWS = 3,
};

struct edict_told_key {
	u32 kind;
	u32 bank;
	u64 word[2];
};

/* edict_rows_told: of which kinds, a bit for each; and whether known rows changed. */
struct edict_news {
	u32 kinds;
	u32 changed;
};

/* With all rows unknown it says that the agent has been asked. */
struct edict_told {
	u64 generation;
	u32 row[EDICT_TOLD_ROWS];
	u32 pad;
};

/* The rows of what is the same for all tasks, in each bank. */
enum {
	EDICT_SYSTEM_FIRST = EDICT_ATTR_CPU_UTIL,
	EDICT_SYSTEM_ROWS = 6,
};

struct edict_system {
	u64 generation;
	u32 row[EDICT_SYSTEM_ROWS];
};

/* Where a CPU is. */
struct edict_place {
	u32 llc;
	u32 node;
};

/* The other CPUs of its core. */
struct edict_siblings {
	u32 count;
	u32 cpu[EDICT_SIBLINGS_MAX];
};

/* edict_confine: the bank that was filled. */
struct edict_confine_request {
	u32 bank;
	u32 pad;
};

enum edict_event_kind {
	EDICT_EVENT_PROCESS = 1,     /* the rows of this process are not known */
	EDICT_EVENT_CGROUP_GONE = 2,
	EDICT_EVENT_CPUS = 3,	     /* a CPU came or went */
	EDICT_EVENT_TOLD = 16,	     /* and above: the rows of that kind of key */
};

struct edict_event {
	u32 kind;
	u32 pid;
	u64 word[2]; /* exec_id and start of a process, or a key */
};

/* Written by each CPU for itself; the agent sums over the CPUs. */
struct edict_tier_counters {
	u64 dispatches;	   /* runs begun */
	u64 runtime_ns;
	u64 preemptions;   /* wake-ups that interrupted another tier */
	u64 direct;	   /* runs begun on a CPU found idle */
	u64 overdue;	   /* runs begun because max_wait was near */
	u64 wait_max_ns;
	u64 migrations;	   /* runs begun under another cache than the last */
	u64 throttled;	   /* draws that it was kept from by its budget */
	u64 strays;	   /* times queued although its CPUs were not allowed to the task */
	u64 wait[EDICT_WAIT_BUCKETS]; /* bucket b: less than 2^b microseconds */
};

struct edict_counters {
	u64 classifications;
	u64 unmatched;
	u64 events_lost;
	u64 pad;
	u64 rule[EDICT_RULES_MAX];
	struct edict_tier_counters tier[EDICT_TIERS_MAX];
};

/* edict_inspect: what the object knows about one task. */
struct edict_inspect {
	u32 pid;
	u32 tgid;
	u64 active;	 /* the generation that `rule` and `tier` belong to */
	u64 cgroup;
	u32 rule;
	u32 tier;
	u32 policy;	 /* SCHED_* */
	u32 perf;	 /* level that its CPU is asked for, of 1024 */
	struct edict_facts facts;
};

/* edict_count: tasks of each tier, under the active generation. */
struct edict_population {
	u64 active;
	u32 tasks[EDICT_TIERS_MAX];
	u32 runnable[EDICT_TIERS_MAX]; /* those that run or wait for a CPU */
};

/* edict_list: one of these for each task. */
struct edict_listed {
	u64 active;	/* the generation that `rule` and `tier` belong to */
	u64 vtime;	/* on the clock of its tier */
	u64 runtime_ns; /* since its birth */
	u32 pid;
	u32 tgid;
	u32 tier;
	u32 rule;
	u32 cpu;	/* that it runs on, or ran on last */
	u32 weight;	/* of its nice value */
	u32 priority;	/* the kernel's: 120 at nice 0 */
	u32 runnable;
	u8 comm[EDICT_COMM_LEN];
};

/*
 * The rounds of balancing. edict_look tells the loads; edict_consider which
 * tasks could move from one domain to another, after it has written down in
 * each what a model is asked with; edict_migrate moves those that were chosen.
 */
enum edict_balancing {
	EDICT_CANDIDATES = 64,
};

/* What tasks move between: the CPUs of a cache, or the caches of a node. */
enum edict_domain {
	EDICT_DOMAIN_CPU = 0,
	EDICT_DOMAIN_LLC = 1,
};

enum edict_cpu_flags {
	EDICT_CPU_ONLINE = 1,
	EDICT_CPU_IDLE = 2,
};

struct edict_cpu_load {
	u64 load; /* tasks of nice 0, 16 bits of fraction */
	u32 tasks;
	u32 llc;
	u32 node;
	u32 flags; /* enum edict_cpu_flags */
};

struct edict_look {
	u64 at;
	struct edict_cpu_load cpu[EDICT_CPUS_MAX];
};

/*
 * What is known of a move before it is made, the same in the storage of each
 * task. Loads have 16 bits of fraction: each domain's part of the loads of both.
 */
struct edict_features {
	u64 src_dom_load;
	u64 dst_dom_load;
	s32 cpu_idle;	  /* idle CPUs of the machine */
	s32 cpu_not_idle; /* the others */
	s32 cpu;	  /* that the task ran on last */
	u32 round;	  /* in which it was considered last; 0: never */
};

struct edict_candidate {
	u32 pid;
	u32 weight; /* 1024 for nice 0 */
	u32 cpu;    /* of the destination, that the task may use */
	u32 pad;
	struct edict_features features;
};

struct edict_moves {
	u64 src_load; /* for each CPU, 16 bits of fraction */
	u64 dst_load;
	u32 round;
	u32 domain; /* enum edict_domain */
	u32 src;
	u32 dst;
	u32 dst_cpu; /* the idlest of the destination */
	s32 cpu_idle;
	s32 cpu_not_idle;
	u32 hot;   /* told: left out, for they ran a moment ago */
	u32 count; /* told: candidates */
	u32 moved; /* told: of the chosen ones, those that were still there */
	struct edict_candidate candidate[EDICT_CANDIDATES];
};

/* With `edict_audit` set: one key per kind of decision taken. */
struct edict_decision {
	u64 slice_ns;
	u32 generation_parity;
	u16 rule;
	u16 tier;
};

_Static_assert(sizeof(struct edict_process) == 48, "process");
_Static_assert(sizeof(struct edict_event) == 24, "event");
_Static_assert(sizeof(struct edict_tier_counters) == 41 * 8, "tier counters");
/* The kernel refuses per-CPU values over 32 KiB. */
_Static_assert(sizeof(struct edict_counters) == 32 + 512 * 8 + 16 * 328, "counters");
_Static_assert(sizeof(struct edict_told_key) == 24, "key of what is told");
_Static_assert(sizeof(struct edict_told) == 24, "what is told");
_Static_assert(sizeof(struct edict_news) == 8, "news");
_Static_assert(sizeof(struct edict_system) == 32, "rows of the system");
_Static_assert(sizeof(struct edict_siblings) == 32, "siblings");
_Static_assert(sizeof(struct edict_confine_request) == 8, "bank to confine");
_Static_assert(sizeof(struct edict_listed) == 24 + 8 * 4 + 16, "line of a list");
_Static_assert(sizeof(struct edict_inspect) == 40 + 440, "inspection");
_Static_assert(sizeof(struct edict_cpu_load) == 24, "load of a CPU");
_Static_assert(sizeof(struct edict_features) == 32, "features of a move");
_Static_assert(sizeof(struct edict_candidate) == 48, "candidate");
_Static_assert(sizeof(struct edict_moves) == 56 + 64 * 48, "moves");

#endif /* EDICT_INTF_H */
