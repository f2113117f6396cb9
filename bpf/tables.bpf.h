/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every map and every variable of the object but those of a recording (trace.bpf.h),
 * each with one sentence.
 *
 *   who writes        what                         who reads
 *   agent             edict_banks, edict_told_*    every callback
 *   agent             edict_systems, edict_places, every callback
 *                     edict_cores
 *   commit request    edict_active                 every callback, once
 *   callbacks         edict_tasks, edict_cpus,     callbacks, keeper, requests
 *                     edict_tier_states,
 *                     edict_queue_states,
 *                     edict_llcs
 *   requests          edict_domains,               callbacks, keeper
 *                     edict_reaches,
 *                     edict_admissions
 *   callbacks         edict_counters_of            agent
 *   callbacks         edict_events, edict_trace    agent
 *
 * There is no lock but that of a CPU's load: a task's state is written under the lock of its run queue,
 * except for what is one word and changed in one step; a tier's by whoever comes,
 * because each value there is an average, a clock that only goes forward or a
 * lower bound.
 */
#ifndef EDICT_TABLES_BPF_H
#define EDICT_TABLES_BPF_H

#include "intf.h"
#include "balance.bpf.h"

/* Two compiled policies: the one in force and the one being prepared. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct edict_bank);
} edict_banks SEC(".maps");

/*
 * The rows of names, as far as the agent has told. Names come and go without end,
 * so the one that was longest out of use makes room; what has lost its place is
 * unknown, and is asked for like anything else.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct edict_told_key);
	__type(value, struct edict_told);
} edict_told_names SEC(".maps");

/* Those of cgroups, which no storm of names may push out. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct edict_told_key);
	__type(value, struct edict_told);
} edict_told_cgroups SEC(".maps");

/* Those of users. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct edict_told_key);
	__type(value, struct edict_told);
} edict_told_users SEC(".maps");

/* The rows of the machine as a whole, in each bank. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct edict_system);
} edict_systems SEC(".maps");

/* The cache and the node of each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct edict_place);
} edict_places SEC(".maps");

/* The other CPUs of each CPU's core. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct edict_siblings);
} edict_cores SEC(".maps");

/* A set of CPUs as the kernel searches it. */
struct edict_mask {
	struct bpf_cpumask __kptr *cpus;
};

/* The CPUs of each cache, then those of each node. */
enum {
	EDICT_LLCS_MAX = 64, /* caches beyond share the queues of others */
	EDICT_NODES_MAX = 64,
	EDICT_DOMAINS = EDICT_LLCS_MAX + EDICT_NODES_MAX,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EDICT_DOMAINS);
	__type(key, u32);
	__type(value, struct edict_mask);
} edict_domains SEC(".maps");

/* The CPUs of each tier of each bank, where the bank confines it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * EDICT_TIERS_MAX);
	__type(key, u32);
	__type(value, struct edict_mask);
} edict_reaches SEC(".maps");

/* The same the other way round: the tiers of each bank that may run on each CPU. */
struct edict_admission {
	u32 tiers[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct edict_admission);
} edict_admissions SEC(".maps");

/* Too large for a stack. Callbacks run with interrupts off, so none meets another. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct edict_facts);
} edict_facts_here SEC(".maps");

/* The same for requests, each of which runs once at a time. */
enum {
	EDICT_FACTS_OF_INSPECT = 0,
	EDICT_FACTS_OF_COUNT = 1,
	EDICT_FACTS_OF_REQUESTS = 2,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EDICT_FACTS_OF_REQUESTS);
	__type(key, u32);
	__type(value, struct edict_facts);
} edict_facts_of_requests SEC(".maps");

/* The rows of a process in each bank; kept at the group leader. */
struct edict_exe {
	u64 exec_id;
	u64 generation[2];
	u64 asked; /* the active word under which the agent was asked */
	u64 begun_at;
	u32 row[2][EDICT_OF_PROCESS];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct edict_exe);
} edict_exes SEC(".maps");

/* How a task got its CPU; decides what its time is charged to. */
enum edict_how {
	EDICT_HOW_DRAWN = 0,   /* won a draw between the tiers */
	EDICT_HOW_DIRECT = 1,  /* nobody else wanted that CPU */
	EDICT_HOW_PREEMPT = 2, /* interrupted another tier */
	EDICT_HOW_DUE = 3,     /* would have waited too long */
};

/* What changes by itself, without anything that could be compared. */
enum edict_behaviour {
	EDICT_BY_RUNTIME_AVG = 0,
	EDICT_BY_RUNTIME_DEV = 1,
	EDICT_BY_WAKE_RATE = 2,
	EDICT_BY_SWITCH_RATE = 3,
	EDICT_BY_LAT_CRI = 4,
	EDICT_BY_SLEEP_AVG = 5,
	EDICT_BY_AGE = 6,
	EDICT_BEHAVIOURS = 7,
};

/* Whether a task has a place in virtual time, since it last slept or came. */
enum edict_competes {
	EDICT_COMPETES = 1,
	EDICT_INHERITS, /* its parent's; it has not been enabled yet */
};

/* The time for which a task has its CPU, noted while somebody records: trace.bpf.h. */
struct edict_stretch {
	u64 begun_at;
	u64 waited_ns;
	u64 active;
	u16 rule;
	u8 tier;
	u8 resumed;
	u32 pad;
};

/* What the object knows about a task. */
struct edict_task {
	/* The verdict, and the word of `edict_active` that it belongs to. */
	u64 active;
	u32 tier;
	u32 rule;

	/* What the verdict was drawn from, as far as the policy asks. */
	u64 comm[2];
	u64 parent_comm[2];
	u64 exec_id;
	u64 cgroup;
	u32 epoch[EDICT_TOLD_KINDS];
	u32 retold_epoch;
	u32 awaits; /* bit k: rows of kind k that are wanted were not known */
	u64 system_epoch;
	u64 look_at; /* when the agent is to be asked about its program; 0: it was, or need not be */
	u64 fence; /* for its barrier only */
	s32 static_prio;
	u32 euid;
	u32 egid;
	u32 pid;
	u32 parent;
	struct edict_place place;
	u32 row[EDICT_BEHAVIOURS];
	u32 dirty;

	/* Behaviour: samples are taken until the counts say that it is known. */
	u32 bursts;
	u32 wakes;
	u32 switches;
	u32 sleeps;
	u32 burst_counted;
	u32 reserved;
	u64 born_at;
	u64 burst_ns;
	u64 burst_avg_ns;
	u64 burst_dev_ns;
	u64 woke_at;
	u64 wake_interval_ns;
	u64 left_at;
	u64 leave_interval_ns;
	u64 slept_at;
	u64 sleep_avg_ns;

	/* Scheduling. */
	u64 vtime;
	u32 clock; /* the queue whose clock `vtime` is read against */
	u32 how;
	u64 queued_at;
	u64 ran_at;
	u64 run_ns;
	u32 run_tier;
	u32 run_bank;
	u32 resumes; /* the run was interrupted by another class */
	u32 llc;     /* one more than the number of the cache it ran under last; 0: none */
	u64 counted; /* EDICT_COUNTED: the queue whose `weight` it is part of; 0: none */
	u32 stray;   /* one more than the queue whose `strays` it is one of; 0: none */
	u32 claimed; /* one more than the idle CPU that was found for it, to which it is queued; 0: none */

	/* What the run is charged with, of the policy under which it began. */
	u64 ahead_ns;	    /* on the pass of its tier, and not used yet */
	u64 budget_most;    /* how far ahead of now it may bring the arrival time */
	u32 stride_tickets; /* 0: the tiers do not take turns by stride */
	u32 budget_ppm;	    /* 0: its tier has no budget */
	u32 woken;	    /* the wake-up is recorded already */
	u32 competes;	    /* enum edict_competes */
	u32 spare;
	/* Load: EDICT_LOAD_OF the CPU that it is part of; 0: none. */
	u64 load;
	u32 go_round; /* the round whose moves it was chosen for; 0: none */
	u32 go_cpu;   /* and where to */
	struct edict_features features;
	struct edict_stretch stretch;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct edict_task);
} edict_tasks SEC(".maps");

/* What runs on each CPU, for wake-ups that look whom they may interrupt. */
struct edict_cpu {
	u64 random;
	u64 since;
	u64 kicked_at;
	u32 tier; /* EDICT_TIERS_MAX: nothing of ours */
	u32 how;
	u32 held; /* another class has it, and interrupted what the rest says */
	u32 spared; /* what it runs is held back by no tier beside it, and holds back none */
	u32 gone;   /* it is offline */
	u32 followed; /* what runs is about to sleep, and a task that it woke up is to go on here */
	u32 follows;  /* so many have done so since tiers were drawn */
	u64 alone_since;  /* when its core became its exclusive tier's */
	u64 idle_at;	  /* when it fell idle last */
	u64 coming_at;	  /* when a task was sent there that interrupts what runs */
	u64 shared_until; /* until then a draw gave its core to other tiers */
	u64 run_vtime;	  /* virtual time at which the run began, */
	u32 run_queue;	  /* and one more than the queue it is read against; 0: none */
	u64 compared_at;  /* when its cache was compared with another, */
	u32 compared;	  /* and how often */
	u32 coming; /* one more than its tier, EDICT_TIERS_MAX if nothing goes before it; 0: none */
	u32 hands;  /* its draw was won by a tier that has nothing for it, and its core is for one */
	u32 handed; /* idle, it was handed such a win */
	u32 asked; /* one more than the performance level asked for; 0: never asked */
	u32 spare; /* bit t: tier t was drawn beyond its budget, since nobody else waited */
} __attribute__((aligned(64)));

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct edict_cpu);
} edict_cpus SEC(".maps");

/* What is runnable on each CPU, now and on average. */
struct edict_load {
	struct bpf_spin_lock lock;
	s32 tasks;
	struct edict_mean mean;
	u64 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct edict_load);
} edict_loads SEC(".maps");

/* The answer of the request that looks at the loads. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct edict_look);
} edict_looks SEC(".maps");

/* What the requests about moves are given, and what they tell. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct edict_moves);
} edict_moves SEC(".maps");

/* Counters of each bank, for each CPU; zeroed when the bank is prepared. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct edict_counters);
} edict_counters_of SEC(".maps");

/* The processes that a request is about; contexts allow no index. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct edict_batch);
} edict_batches SEC(".maps");

/* The answer of the request that counts tasks. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct edict_population);
} edict_populations SEC(".maps");

/* What the agent has to evaluate, as it happens. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} edict_events SEC(".maps");

/*
 * Updating an array of maps from user space makes the kernel wait until every
 * program that was running has returned; the agent does so before it refills a
 * bank. Nothing reads it.
 */
struct edict_quiet_inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} edict_quiet_inner SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct edict_quiet_inner);
} edict_quiet SEC(".maps") = {
	.values = { &edict_quiet_inner },
};

/* Which decisions were taken, when `edict_audit` is set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct edict_decision);
	__type(value, u64);
} edict_decisions SEC(".maps");

/* The timer that keeps the promises of max_wait. */
struct edict_keeper {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct edict_keeper);
} edict_keepers SEC(".maps");

/* What a tier shares over all CPUs; outlives generations. */
struct edict_tier_state {
	u64 used_ns;  /* what a drawn task of this tier uses, on average */
	s64 debt_ns;  /* time taken without a draw, to be paid with later wins */
	u64 pass;     /* time taken by all of its tickets, where it takes turns by stride */
	u64 arrival;  /* until when what it took lasts it, where it has a budget */
	u64 pad[4];
} __attribute__((aligned(64)));

struct edict_tier_state edict_tier_states[EDICT_TIERS_MAX];

/*
 * The queues: for each last-level cache one for each order and tier, since the
 * keys of one order mean nothing to another, and since the kernel lets no queue
 * hold both keys and arrivals. What must not wait for a cache is in one queue
 * for all of them.
 */
#define EDICT_QUEUES_PER_LLC 64
#define EDICT_QUEUES (EDICT_LLCS_MAX * EDICT_QUEUES_PER_LLC)
#define EDICT_QUEUE(llc, order, tier) ((llc) * EDICT_QUEUES_PER_LLC + (order) * EDICT_TIERS_MAX + (tier))
#define EDICT_QUEUE_LLC(queue) ((queue) / EDICT_QUEUES_PER_LLC)
#define EDICT_QUEUE_ORDER(queue) ((queue) % EDICT_QUEUES_PER_LLC / EDICT_TIERS_MAX)
#define EDICT_QUEUE_TIER(queue) ((queue) % EDICT_TIERS_MAX)
#define EDICT_DSQ(queue) (0x1000ULL + (queue))
#define EDICT_DSQ_DUE 0x2000ULL
#define EDICT_DSQ_RESUME 0x2001ULL

_Static_assert(EDICT_ORDERS * EDICT_TIERS_MAX <= EDICT_QUEUES_PER_LLC, "queues of a cache");
_Static_assert(EDICT_DSQ(EDICT_QUEUES) <= EDICT_DSQ_DUE, "numbers of queues");

/* What a task is counted as: a queue and a weight in one word. */
#define EDICT_COUNTED(queue, weight) ((u64)((queue) + 1) << 32 | (u32)(weight))
#define EDICT_COUNTED_QUEUE(counted) ((u32)((counted) >> 32) - 1)
#define EDICT_COUNTED_WEIGHT(counted) ((u32)(counted))

struct edict_queue_state {
	u64 clock;	/* virtual time of the task that ran last, or of the first that waits */
	u64 bound;	/* no task in it has waited since before */
	u64 scanned_at; /* when the keeper looked through it */
	s64 weight;	/* of its tasks, queued or running; kept where there are several caches */
	u64 taken_at;	/* when one was looked for in another cache */
	u64 filled_at;	/* when a task was told to come into it */
	u32 strays;	/* tasks in it that may run on none of their tier's CPUs */
	u32 pad[3];
} __attribute__((aligned(64)));

struct edict_queue_state edict_queue_states[EDICT_QUEUES];

/* What belongs to a last-level cache. */
struct edict_llc {
	u64 orphans; /* queues that may hold tasks although the generation in force has no use for them */
	u64 arrived; /* when a task was queued last */
	u64 pad[6];
	/* What hardly ever changes. */
	u64 filled; /* EDICT_FILLED_BIT of queues that may hold tasks */
	u32 node;
	u32 nr_cpus;
	u64 spare[6];
} __attribute__((aligned(64)));

struct edict_llc edict_llcs[EDICT_LLCS_MAX];

/* Whether the queues that all caches share may hold tasks, and when one was told to come. */
u32 edict_shared;
u64 edict_shared_at;

/* When the keeper fires, and when it looked at all queues, also those not in use. */
u64 edict_keeper_at;
u64 edict_swept_at;

/* The least pass of those that were compared last; it only goes forward. */
u64 edict_pass_clock;

/* How far behind it a pass may be, under the policy of each bank. */
u64 edict_pass_bounds[2];

/* CPUs that are there; 0: not counted yet. */
u32 edict_cpus_online;

/* Whether a core has several CPUs; where none has, exclusive tiers ask for nothing. */
u32 edict_threads;

/* {generation << 1 | bank}: read once by each callback, and passed down. */
u64 edict_active;

/* Since when somebody records; 0: nobody does. */
u64 edict_recording;

/*
 * The agent's process. A policy may put it anywhere, and then one that starves
 * it could not be replaced: so it goes before everything that is drawn.
 */
u32 edict_agent;

/* Whether the agent is still to hear of a CPU that came or went. */
u32 edict_cpus_untold;

/* Raised when rows of a kind of key were told. */
u32 edict_epochs[EDICT_TOLD_KINDS];

/* Raised when rows that were known are others now. */
u32 edict_retold_epoch;

/* Raised when a row of the machine as a whole has changed. */
u64 edict_system_epoch;

/* Whether a task has been runnable since the object is there. */
u32 edict_loads_kept;
/* For its barrier only. */
u64 edict_fence;

/* Bounds that must not be constants: the verifier would count them down. */
u32 edict_scan_max = 4096;
u32 edict_kicks_max = 64;
u32 edict_wakes_max = 32;

/* Set before loading. */
const volatile u32 edict_nr_cpus = 1;
const volatile u32 edict_nr_llcs = 1;
const volatile u64 edict_seed = 1;
const volatile u32 edict_audit;
/* Whether what another class interrupts comes back through enqueue. */
const volatile u32 edict_takes_back;

#endif /* EDICT_TABLES_BPF_H */
