/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The classifier compiled for the host, and the sizes and offsets that this
 * compiler gives the shared layout, for the tests.
 */
#include <stddef.h>
#include "classify.bpf.h"

s32 edict_host_classify(const struct edict_bank *bank, struct edict_facts *facts);
u64 edict_host_layout(u32 what);

s32 edict_host_classify(const struct edict_bank *bank, struct edict_facts *facts)
{
	return edict_classify_in(bank, facts);
}

/* In the order of tests/layout.rs; ~0 behind the last one. */
u64 edict_host_layout(u32 what)
{
	static const u64 layout[] = {
		sizeof(struct edict_bank),
		sizeof(struct edict_bank_header),
		sizeof(struct edict_attr_table),
		sizeof(struct edict_tier),
		sizeof(struct edict_clause),
		sizeof(struct edict_facts),
		offsetof(struct edict_bank_header, uses),
		offsetof(struct edict_bank_header, nr_tiers),
		offsetof(struct edict_bank_header, nr_rules),
		offsetof(struct edict_bank_header, nr_clauses),
		offsetof(struct edict_bank_header, stride),
		offsetof(struct edict_bank_header, nr_rows),
		offsetof(struct edict_bank_header, name_slots),
		offsetof(struct edict_bank_header, name_buckets),
		offsetof(struct edict_bank_header, name_seed),
		offsetof(struct edict_bank_header, between),
		offsetof(struct edict_bank_header, otherwise_tier),
		offsetof(struct edict_bank_header, otherwise_rule),
		offsetof(struct edict_bank_header, nr_others),
		offsetof(struct edict_bank_header, compensate),
		offsetof(struct edict_bank_header, seed),
		offsetof(struct edict_bank_header, refill_ns),
		offsetof(struct edict_bank_header, confined),
		offsetof(struct edict_bank_header, exclusive),
		offsetof(struct edict_bank_header, budgeted),
		offsetof(struct edict_bank_header, paced),
		offsetof(struct edict_bank_header, balanced),
		offsetof(struct edict_bank_header, other),
		offsetof(struct edict_bank_header, attr),
		offsetof(struct edict_bank_header, tier),
		offsetof(struct edict_attr_table, row_default),
		offsetof(struct edict_attr_table, row_unknown),
		offsetof(struct edict_attr_table, bounds_first),
		offsetof(struct edict_attr_table, bounds_count),
		offsetof(struct edict_attr_table, bounds_top),
		offsetof(struct edict_attr_table, exact),
		offsetof(struct edict_attr_table, kind),
		offsetof(struct edict_tier, slice_ns),
		offsetof(struct edict_tier, max_wait_ns),
		offsetof(struct edict_tier, tickets),
		offsetof(struct edict_tier, preempt),
		offsetof(struct edict_tier, order),
		offsetof(struct edict_tier, flags),
		offsetof(struct edict_tier, perf),
		offsetof(struct edict_tier, budget_ppm),
		offsetof(struct edict_tier, burst_ns),
		offsetof(struct edict_tier, within),
		offsetof(struct edict_tier, place),
		offsetof(struct edict_tier, cpus),
		offsetof(struct edict_clause, rule),
		offsetof(struct edict_clause, tier),
		offsetof(struct edict_bank, clause),
		offsetof(struct edict_bank, name_displacement),
		offsetof(struct edict_bank, name_row),
		offsetof(struct edict_bank, name_key),
		offsetof(struct edict_bank, prefix_bound),
		offsetof(struct edict_bank, bound),
		offsetof(struct edict_bank, prefix_row),
		offsetof(struct edict_bank, bound_row),
		offsetof(struct edict_bank, word),
		EDICT_TIERS_MAX,
		EDICT_RULES_MAX,
		EDICT_CLAUSES_MAX,
		EDICT_NAME_SLOTS_MAX,
		EDICT_NAME_BUCKETS_MAX,
		EDICT_BOUNDS_MAX,
		EDICT_PREFIX_BOUNDS_MAX,
		EDICT_ROW_WORDS_MAX,
		EDICT_ROWS_MAX,
		EDICT_ROW_UNKNOWN,
		EDICT_ATTRS,
		EDICT_SLOTS,
		EDICT_ATTR_WAKE_RATE + 1,
		EDICT_KIND_NUMBER,
		EDICT_KIND_TEXT,
		EDICT_KIND_TOLD,
		EDICT_COMM_LEN,
		EDICT_CPUS_MAX,
		EDICT_BETWEEN_LOTTERY,
		EDICT_BETWEEN_STRICT,
		EDICT_BETWEEN_STRIDE,
		EDICT_ORDER_VTIME,
		EDICT_ORDER_FIFO,
		EDICT_ORDER_LOTTERY,
		EDICT_WITHIN_MACHINE,
		EDICT_WITHIN_CPUS,
		EDICT_WITHIN_LLC,
		EDICT_WITHIN_NODE,
		EDICT_TIER_EXCLUSIVE,
		EDICT_TIER_PERF,
		EDICT_TIER_BUDGET,
	};

	return what < sizeof(layout) / sizeof(layout[0]) ? layout[what] : ~0ULL;
}
