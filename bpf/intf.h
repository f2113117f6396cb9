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
};

/* A row that no class has: the agent has not told yet. */
#define EDICT_ROW_UNKNOWN 0xffffffffU

/* The second half of the key of a number in the exact table. */
#define EDICT_ID_KEY(attr) ((u64)((attr) + 1) << 56)

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
	EDICT_ATTRS = 8,
};

enum edict_order {
	EDICT_ORDER_VTIME = 0,
	EDICT_ORDER_FIFO = 1,
};

enum edict_between {
	EDICT_BETWEEN_LOTTERY = 0,
	EDICT_BETWEEN_STRICT = 1,
};

/*
 * What a policy may ask about a task. Text that the kernel reads is in `comm`,
 * numbers (truth values are 0 and 1) are in `number`, and for what the agent
 * evaluates `row` holds the class that the agent told, or EDICT_ROW_UNKNOWN.
 * Both arrays are indexed by enum edict_attr. `known` has a bit for each
 * attribute whose value is known.
 */
struct edict_facts {
	u64 comm[2];
	s64 number[EDICT_ATTRS];
	u32 row[EDICT_ATTRS];
	u32 known;
	u32 pad;
};

/*
 * How the values of one attribute become rows: names through the exact table
 * (comm), then intervals; `bounds_top` is the highest power of two that is not
 * greater than `bounds_count`. The bounds of numbers are filled up to
 * 2 * bounds_top - 1 with ones that no value reaches. An attribute that the policy does not use has
 * row 0 here, the row of all ones.
 */
struct edict_attr_table {
	u32 row_default;
	u32 row_unknown;
	u32 bounds_first;
	u32 bounds_count;
	u32 bounds_top;
	u32 exact;
};

struct edict_tier {
	u64 slice_ns;
	u64 max_wait_ns; /* 0: no promise */
	u32 tickets;
	u32 preempt; /* bit t: may interrupt tier t */
	u32 order;   /* enum edict_order */
	u32 pad;
};

struct edict_clause {
	u16 rule;
	u8 tier;
	u8 pad;
};

struct edict_bank_header {
	u32 uses; /* bit per enum edict_attr */
	u32 nr_tiers;
	u32 nr_rules;
	u32 nr_clauses;
	u32 stride; /* u64 words per row */
	u32 nr_rows;
	u32 name_slots;
	u32 name_buckets;
	u64 name_seed;
	u32 between; /* enum edict_between */
	u32 otherwise_tier;
	u32 otherwise_rule;
	u32 pad;
	struct edict_attr_table attr[EDICT_ATTRS];
	struct edict_tier tier[EDICT_TIERS_MAX];
};

/*
 * One compiled policy. The agent writes a whole bank while it is idle; the
 * object only reads it.
 *
 * name_key[slot] is the comm, padded with NUL, or a number and EDICT_ID_KEY of
 * its attribute, which is no comm (byte 15 of a comm is NUL); an unused slot
 * holds all ones, which is neither.
 * bound[i] and prefix_bound[i] are the first values of an interval, ascending;
 * the row of the values before the first one is row_default.
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

_Static_assert(sizeof(struct edict_facts) == 120, "facts");
_Static_assert(sizeof(struct edict_attr_table) == 24, "attribute table");
_Static_assert(sizeof(struct edict_tier) == 32, "tier");
_Static_assert(sizeof(struct edict_clause) == 4, "clause");
_Static_assert(sizeof(struct edict_bank_header) == 56 + 8 * 24 + 16 * 32, "header");
_Static_assert(sizeof(struct edict_bank) % 8 == 0, "bank");
/* The kernel refuses array values over 4 MiB. */
_Static_assert(sizeof(struct edict_bank) < (4 << 20), "bank");

#endif /* EDICT_INTF_H */
