/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a task behaves: bursts, wake-ups, sleeps, and how long it has lived.
 *
 *        woke            left  (back)  left          woke
 *   ──────┼───────────────┼──────┼──────┼─────────────┼────▶
 *         └─ runs ────────┘      └─ runs ┘    sleeps
 *         └──────────── burst ──────────┘
 *
 * Every average is a moving one of weight 1/8, and is not known before eight
 * samples. A rate is taken from the average interval, and falls while nothing
 * happens: a task that has stopped waking does not keep its rate.
 *
 * How much the latency of a task matters is the product of two parts, each one
 * half at a burst of 4 ms and at 20 wake-ups a second:
 *
 *   lat_cri = 4 ms / (4 ms + runtime_avg) * wake_rate / (wake_rate + 20)
 *
 * so that audio (0.2 ms, 200 times a second) has 86 %, a game's frames (4 ms,
 * 60 times) 37 % and a compiler (50 ms, 5 times) 1 %.
 *
 * These values change by themselves. A task is classified again when one that
 * the policy uses has come into another row, not whenever it is another number.
 */
#ifndef EDICT_BEHAVIOUR_BPF_H
#define EDICT_BEHAVIOUR_BPF_H

#include "tables.bpf.h"
#include "lottery.bpf.h"

enum {
	EDICT_SAMPLES = 8, /* until an average is known */
	EDICT_AVERAGE_SHIFT = 3,
	EDICT_LAT_CRI_BURST_NS = 4000000,
	EDICT_LAT_CRI_RATE = 20,
	EDICT_WHOLE = 1000000, /* a ratio of one, in parts per million */
};

/* Each behaviour and its slot. */
#define EDICT_EACH_BEHAVIOUR(X)                            \
	X(EDICT_BY_RUNTIME_AVG, EDICT_ATTR_RUNTIME_AVG)    \
	X(EDICT_BY_RUNTIME_DEV, EDICT_ATTR_RUNTIME_DEV)    \
	X(EDICT_BY_WAKE_RATE, EDICT_ATTR_WAKE_RATE)        \
	X(EDICT_BY_SWITCH_RATE, EDICT_ATTR_SWITCH_RATE)    \
	X(EDICT_BY_LAT_CRI, EDICT_ATTR_LAT_CRI)            \
	X(EDICT_BY_SLEEP_AVG, EDICT_ATTR_SLEEP_AVG)        \
	X(EDICT_BY_AGE, EDICT_ATTR_AGE)

#define EDICT_OR_USES(behaviour, slot) | EDICT_USES(slot)
#define EDICT_USES_BEHAVIOUR (0ULL EDICT_EACH_BEHAVIOUR(EDICT_OR_USES))

/* Times a second, from the average interval and what has passed since. */
static __always_inline u64 edict_rate(u64 interval, u64 last, u64 now)
{
	u64 since = now - last;

	if ((s64)since > 0 && since > interval)
		interval = since;
	return 1000000000ULL / (interval ? interval : 1);
}

static __always_inline u64 edict_lat_cri(u64 burst_ns, u64 rate)
{
	u64 brief = (u64)EDICT_WHOLE * EDICT_LAT_CRI_BURST_NS / (EDICT_LAT_CRI_BURST_NS + burst_ns);
	u64 often = (u64)EDICT_WHOLE * rate / (rate + EDICT_LAT_CRI_RATE);

	return brief * often / EDICT_WHOLE;
}

/* A value, never negative; -1 while it is not known. */
static __always_inline s64 edict_behaviour_of(const struct edict_task *t, u32 behaviour, u64 now)
{
	bool runs = t->bursts >= EDICT_SAMPLES, wakes = t->wakes >= EDICT_SAMPLES;

	switch (behaviour) {
	case EDICT_BY_RUNTIME_AVG:
		return runs ? (s64)t->burst_avg_ns : -1;
	case EDICT_BY_RUNTIME_DEV:
		return runs ? (s64)t->burst_dev_ns : -1;
	case EDICT_BY_WAKE_RATE:
		return wakes ? (s64)edict_rate(t->wake_interval_ns, t->woke_at, now) : -1;
	case EDICT_BY_SWITCH_RATE:
		return t->switches >= EDICT_SAMPLES ?
			       (s64)edict_rate(t->leave_interval_ns, t->left_at, now) :
			       -1;
	case EDICT_BY_LAT_CRI:
		return runs && wakes ?
			       (s64)edict_lat_cri(t->burst_avg_ns,
						  edict_rate(t->wake_interval_ns, t->woke_at, now)) :
			       -1;
	case EDICT_BY_SLEEP_AVG:
		return t->sleeps >= EDICT_SAMPLES ? (s64)t->sleep_avg_ns : -1;
	default:
		return edict_before(t->born_at, now) ? (s64)(now - t->born_at) : 0;
	}
}

/* What is known of those that are wanted; a global function, to be verified once. */
__noinline int edict_read_behaviour(const struct edict_task *t __arg_nonnull,
				    struct edict_facts *facts __arg_nonnull, u64 uses, u64 now)
{
	u64 known = 0;
	s64 value;

#define EDICT_READ(behaviour, slot)                            \
	if (uses & EDICT_USES(slot)) {                         \
		value = edict_behaviour_of(t, behaviour, now); \
		facts->value[slot] = value;                    \
		if (value >= 0)                                \
			known |= EDICT_USES(slot);             \
	}
	EDICT_EACH_BEHAVIOUR(EDICT_READ)
	facts->known |= known;
	return 0;
}

/* The row of a number in a bank; a negative one is not known. */
__noinline int edict_row_of(u32 index, u32 slot, s64 value)
{
	struct edict_bank *bank = EDICT_BANK(index);

	if (!bank || slot >= EDICT_SLOTS || value < 0)
		return EDICT_ROW_UNKNOWN;
	return edict_id_row(bank, &bank->head.attr[slot], slot, value);
}

/* Whether a behaviour that the policy uses is in another row than it was. */
__noinline int edict_drifted(const struct edict_task *t __arg_nonnull, u32 index, u64 uses, u64 now)
{
#define EDICT_COMPARE(behaviour, slot)                                                     \
	if ((uses & EDICT_USES(slot)) &&                                                   \
	    (u32)edict_row_of(index, slot, edict_behaviour_of(t, behaviour, now)) !=       \
		    t->row[behaviour])                                                     \
		return 1;
	EDICT_EACH_BEHAVIOUR(EDICT_COMPARE)
	return 0;
}

/* Keeps the rows that a verdict is drawn from. */
__noinline int edict_keep_rows(struct edict_task *t __arg_nonnull,
			       const struct edict_facts *facts __arg_nonnull, u32 index, u64 uses)
{
#define EDICT_KEEP(behaviour, slot)  \
	if (uses & EDICT_USES(slot)) \
		t->row[behaviour] = edict_row_of(index, slot, facts->value[slot]);
	EDICT_EACH_BEHAVIOUR(EDICT_KEEP)
	return 0;
}

static __always_inline void edict_burst_counts(struct edict_task *t)
{
	u64 average = t->burst_avg_ns, burst = t->burst_ns;

	if (average)
		t->burst_dev_ns = edict_average(t->burst_dev_ns,
						burst > average ? burst - average : average - burst,
						EDICT_AVERAGE_SHIFT);
	t->burst_avg_ns = edict_average(average, burst, EDICT_AVERAGE_SHIFT);
	if (t->bursts < EDICT_SAMPLES)
		t->bursts++;
}

/* A burst goes from waking to sleeping. */
static __always_inline void edict_burst_ended(struct edict_task *t)
{
	if (t->burst_ns && !t->burst_counted)
		edict_burst_counts(t);
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
	edict_burst_counts(t);
	t->burst_counted = 1;
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
	if (t->slept_at && edict_before(t->slept_at, now)) {
		t->sleep_avg_ns = edict_average(t->sleep_avg_ns, now - t->slept_at,
						EDICT_AVERAGE_SHIFT);
		if (t->sleeps < EDICT_SAMPLES)
			t->sleeps++;
	}
	t->slept_at = 0;
}

/* It left a CPU, of its own will or not. */
static __always_inline void edict_left(struct edict_task *t, u64 now)
{
	if (t->left_at && edict_before(t->left_at, now)) {
		t->leave_interval_ns = edict_average(t->leave_interval_ns, now - t->left_at,
						     EDICT_AVERAGE_SHIFT);
		if (t->switches < EDICT_SAMPLES)
			t->switches++;
	}
	t->left_at = now;
}

#endif /* EDICT_BEHAVIOUR_BPF_H */
