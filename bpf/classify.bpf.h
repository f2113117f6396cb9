/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Task to tier: bit-vector packet classification (Lakshman and Stiliadis, 1998)
 * over the equivalence classes of each attribute (Gupta and McKeown, 1999).
 *
 *   value ──▶ row of its class ──▶ AND of the rows ──▶ first set bit: clause
 *
 * Each attribute that the policy uses costs one look-up, whatever the number of
 * rules and names. Nothing here depends on sched_ext or on a map: the includer
 * defines EDICT_BANK(index), a pointer to a bank or NULL, so the same text is
 * the scheduler's, the benchmark's and, compiled for the host, the tests'.
 *
 * It keeps no state, takes no lock and never fails: a bank that answers nothing
 * gives -1, and the caller counts that and takes the otherwise tier.
 */
#ifndef EDICT_CLASSIFY_BPF_H
#define EDICT_CLASSIFY_BPF_H

#include "intf.h"

#define EDICT_INLINE static inline __attribute__((always_inline))

/*
 * The hash of a name. Mirrored in src/image/names.rs; any change must be made
 * on both sides, and the differential test sees to it.
 */
EDICT_INLINE u64 edict_name_hash(u64 low, u64 high, u64 seed)
{
	u64 h = (low ^ seed) * 0x9e3779b97f4a7c15ULL;

	h ^= h >> 32;
	h = (h ^ high) * 0xbf58476d1ce4e5b9ULL;
	h ^= h >> 29;
	h *= 0x94d049bb133111ebULL;
	return h ^ (h >> 32);
}

/* Maps a 32-bit hash to 0 … n-1 without a division (Lemire, 2019). */
EDICT_INLINE u32 edict_reduce(u32 hash, u32 n)
{
	return (u32)(((u64)hash * n) >> 32);
}

/* Where the displacement of a bucket puts a name. */
EDICT_INLINE u32 edict_name_slot(u64 hash, u32 displacement, u32 slots)
{
	u32 s = (u32)(hash >> 32) + displacement * 0x9e3779b1U;

	s ^= s >> 16;
	s *= 0x85ebca6bU;
	s ^= s >> 13;
	return edict_reduce(s, slots);
}

EDICT_INLINE u32 edict_low_bit(u64 bits)
{
	return (u32)__builtin_ctzll(bits);
}

/*
 * The row of a number: the last interval that begins at or before it. The bounds
 * are filled up to one less than a power of two with bounds that no value
 * reaches, so the search has no comparison to mispredict: `reached` is all ones
 * or nothing. A value and a bound are never so far apart that the difference
 * overflows (src/image refuses such bounds); in a bank of other bytes it wraps,
 * as arithmetic does in BPF. Unsigned, it is too much for the verifier.
 */
EDICT_INLINE u32 edict_number_row(const struct edict_bank *bank,
				  const struct edict_attr_table *table, s64 value)
{
	u32 step = table->bounds_top, found = 0, i;

	if (!step)
		return table->row_default;
	for (i = 0; i < EDICT_BOUNDS_STEPS; i++) {
		u32 at = (table->bounds_first + found + step - 1) & (EDICT_BOUNDS_MAX - 1);
		s64 reached = ~((value - bank->bound[at]) >> 63);

		found += step & (u32)reached;
		step >>= 1;
		if (!step)
			break;
	}
	if (!found)
		return table->row_default;
	return bank->bound_row[(table->bounds_first + found - 1) & (EDICT_BOUNDS_MAX - 1)];
}

/* The row of a name that is in no exact table: the innermost prefix. */
EDICT_INLINE u32 edict_prefix_row(const struct edict_bank *bank,
				  const struct edict_attr_table *table, u64 low, u64 high)
{
	u64 a = __builtin_bswap64(low), b = __builtin_bswap64(high);
	u32 count = table->bounds_count, step = table->bounds_top, found = 0, i;

	for (i = 0; i < 12; i++) {
		u32 next = found + step;
		u32 at = (table->bounds_first + next - 1) & (EDICT_PREFIX_BOUNDS_MAX - 1);

		if (!step)
			break;
		if (next <= count) {
			u64 x = bank->prefix_bound[at][0];

			if (x < a || (x == a && bank->prefix_bound[at][1] <= b))
				found = next;
		}
		step >>= 1;
	}
	if (found)
		return bank->prefix_row[(table->bounds_first + found - 1) &
					(EDICT_PREFIX_BOUNDS_MAX - 1)];
	return table->row_default;
}

/* The row of a key in the exact table, or EDICT_ROW_UNKNOWN. */
EDICT_INLINE u32 edict_exact_row(const struct edict_bank *bank, u64 low, u64 high)
{
	u64 hash = edict_name_hash(low, high, bank->head.name_seed);
	u32 bucket = edict_reduce((u32)hash, bank->head.name_buckets);
	u32 slot;

	if (bucket >= EDICT_NAME_BUCKETS_MAX)
		return EDICT_ROW_UNKNOWN;
	slot = edict_name_slot(hash, bank->name_displacement[bucket], bank->head.name_slots);
	if (slot < EDICT_NAME_SLOTS_MAX && bank->name_key[slot][0] == low &&
	    bank->name_key[slot][1] == high)
		return bank->name_row[slot];
	return EDICT_ROW_UNKNOWN;
}

/* A number that names something is looked up like a name when there are many. */
EDICT_INLINE u32 edict_id_row(const struct edict_bank *bank, const struct edict_attr_table *table,
			      u32 slot, s64 value)
{
	if (table->exact) {
		u32 row = edict_exact_row(bank, value, EDICT_KEY_TAG(slot));

		if (row != EDICT_ROW_UNKNOWN)
			return row;
	}
	return edict_number_row(bank, table, value);
}

/* The row of a name; `tag` says whose it is in the exact table. */
EDICT_INLINE u32 edict_name_row(const struct edict_bank *bank,
				const struct edict_attr_table *table, const u64 *name, u64 tag)
{
	if (table->exact) {
		u32 row = edict_exact_row(bank, name[0], name[1] | tag);

		if (row != EDICT_ROW_UNKNOWN)
			return row;
	}
	if (table->bounds_count)
		return edict_prefix_row(bank, table, name[0], name[1]);
	return table->row_default;
}

/* The row that the agent has told. */
EDICT_INLINE u32 edict_told_row(const struct edict_bank *bank,
				const struct edict_attr_table *table, s64 value)
{
	return (u32)value < bank->head.nr_rows ? (u32)value : table->row_unknown;
}

/* The row of one of the first eight; row 0, all ones, when nobody asks. */
EDICT_INLINE u32 edict_attr_row(const struct edict_bank *bank, const struct edict_facts *facts,
				u32 attr)
{
	const struct edict_attr_table *table = &bank->head.attr[attr];

	if (!(bank->head.uses & EDICT_USES(attr)))
		return table->row_default;
	if (!(facts->known & EDICT_USES(attr)))
		return table->row_unknown;
	switch (attr) {
	case EDICT_ATTR_COMM:
		return edict_name_row(bank, table, facts->comm, 0);
	case EDICT_ATTR_EXE:
	case EDICT_ATTR_CGROUP:
		return edict_told_row(bank, table, facts->value[attr]);
	case EDICT_ATTR_UID:
		return edict_id_row(bank, table, attr, facts->value[attr]);
	default:
		return edict_number_row(bank, table, facts->value[attr]);
	}
}

#define EDICT_WORD(bank, at) ((bank)->word[(at) & (EDICT_ROW_WORDS_MAX - 1)])

/* Read anew: what the verifier knew of it from a turn before multiplies its states. */
#define EDICT_AGAIN(x) (*(const volatile __typeof__(x) *)&(x))

/*
 * A loop that begins at a zero that the verifier does not know, and that may be
 * left at any turn, is looked at for one turn instead of for all.
 */
#ifdef __bpf__
static volatile u32 edict_zero;
#define EDICT_ZERO edict_zero
#define EDICT_MAY_GO_ON can_loop
#define EDICT_GLOBAL __noinline
#else
#define EDICT_ZERO 0
#define EDICT_MAY_GO_ON 1
#define EDICT_GLOBAL static
#define __arg_nonnull
#endif

/*
 * The row of any other slot. A global function: the verifier looks at its
 * searches once, and not once for each slot.
 */
EDICT_GLOBAL int edict_slot_row(const struct edict_bank *bank __arg_nonnull,
				const struct edict_facts *facts __arg_nonnull, u32 slot)
{
	const struct edict_attr_table *table;

	if (slot >= EDICT_SLOTS)
		return 0;
	table = &bank->head.attr[slot];
	if (!((facts->known >> slot) & 1))
		return table->row_unknown;
	if (table->kind == EDICT_KIND_NUMBER)
		return edict_id_row(bank, table, slot, facts->value[slot]);
	if (table->kind == EDICT_KIND_TOLD)
		return edict_told_row(bank, table, facts->value[slot]);
	return edict_name_row(bank, table, facts->parent_comm,
			      EDICT_KEY_TAG(EDICT_ATTR_PARENT_COMM));
}

/* What the other slots leave of the clauses, noted beside the facts. */
EDICT_GLOBAL int edict_others(const struct edict_bank *bank __arg_nonnull,
			      struct edict_facts *facts __arg_nonnull)
{
	u32 i, w;

	for (w = 0; w < EDICT_WORDS_PER_ROW_MAX; w++)
		facts->left[w] = ~0ULL;
	for (i = EDICT_ZERO; EDICT_MAY_GO_ON; i++) {
		u32 at;

		if (i >= bank->head.nr_others || i >= EDICT_SLOTS)
			break;
		at = (u32)edict_slot_row(bank, facts, bank->head.other[i]) *
		     bank->head.stride;
		for (w = 0; w < EDICT_WORDS_PER_ROW_MAX; w++) {
			if (w >= EDICT_AGAIN(bank->head.stride))
				break;
			facts->left[w] &= EDICT_WORD(bank, at + w);
		}
	}
	return 0;
}

/*
 * Rule in the upper bits, tier in the lowest eight; -1 when no clause holds.
 * The eight attributes that most policies ask have a place of their own here.
 */
EDICT_INLINE s32 edict_classify_in(const struct edict_bank *bank, struct edict_facts *facts)
{
	u32 stride = bank->head.stride, others = bank->head.nr_others;
	u32 at0 = edict_attr_row(bank, facts, EDICT_ATTR_COMM) * stride;
	u32 at1 = edict_attr_row(bank, facts, EDICT_ATTR_EXE) * stride;
	u32 at2 = edict_attr_row(bank, facts, EDICT_ATTR_NICE) * stride;
	u32 at3 = edict_attr_row(bank, facts, EDICT_ATTR_UID) * stride;
	u32 at4 = edict_attr_row(bank, facts, EDICT_ATTR_KTHREAD) * stride;
	u32 at5 = edict_attr_row(bank, facts, EDICT_ATTR_CGROUP) * stride;
	u32 at6 = edict_attr_row(bank, facts, EDICT_ATTR_RUNTIME_AVG) * stride;
	u32 at7 = edict_attr_row(bank, facts, EDICT_ATTR_WAKE_RATE) * stride;
	u32 w;

	if (others)
		edict_others(bank, facts);
	for (w = 0; w < EDICT_WORDS_PER_ROW_MAX; w++) {
		u32 clause;
		u64 all;

		if (w >= stride)
			break;
		all = EDICT_WORD(bank, at0 + w) & EDICT_WORD(bank, at1 + w) &
		      EDICT_WORD(bank, at2 + w) & EDICT_WORD(bank, at3 + w) &
		      EDICT_WORD(bank, at4 + w) & EDICT_WORD(bank, at5 + w) &
		      EDICT_WORD(bank, at6 + w) & EDICT_WORD(bank, at7 + w);
		if (others)
			all &= facts->left[w];
		if (!all)
			continue;
		clause = w * 64 + edict_low_bit(all);
		if (clause >= EDICT_CLAUSES_MAX)
			break;
		return ((s32)bank->clause[clause].rule << 8) | bank->clause[clause].tier;
	}
	return -1;
}

#endif /* EDICT_CLASSIFY_BPF_H */
