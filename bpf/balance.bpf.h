/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How loaded a CPU is: the nice weights of the tasks that are runnable there,
 * averaged over time so that old samples fade.
 *
 *   weight   ──┐      ┌────┐  ┌──
 *              └──────┘    └──┘
 *   average  ──.__          .____   half of a change after 32 periods
 *   period   |   |   |   |   |   |  2^20 ns
 *
 * Within a period the weight is integrated exactly: whoever comes and goes in
 * between counts for the time that it was there. At the end of each period the
 * average goes towards the mean of the period, by the part that makes what is
 * 32 periods old weigh half. That is the averaging of the kernel's own
 * scheduler (PELT, kernel/sched/pelt.c), with its period and its half-life, but
 * of runnable weight alone, kept for each CPU and not for each task.
 *
 * It does not know how fast a CPU is: big and little ones are alike.
 *
 * Only arithmetic: no map, no helper, no clock; it compiles for the host too.
 */
#ifndef EDICT_BALANCE_BPF_H
#define EDICT_BALANCE_BPF_H

#include "lottery.bpf.h"

enum {
	EDICT_LOAD_PERIOD_SHIFT = 20, /* a period in nanoseconds: 1.05 ms */
	EDICT_LOAD_HALF_SHIFT = 5,    /* the half-life in periods: 33.6 ms */
	EDICT_LOAD_ONE_SHIFT = 16,    /* one, of what has a fraction */
	EDICT_LOAD_NICE_0_SHIFT = 10, /* the weight of nice 0, edict_weight_of(120) */
};

/* Far beyond ten thousand tasks of the greatest weight; keeps products in 64 bits. */
#define EDICT_LOAD_WEIGHT_MAX (1LL << 30)
#define EDICT_LOAD_PERIOD (1ULL << EDICT_LOAD_PERIOD_SHIFT)
#define EDICT_LOAD_ONE (1ULL << EDICT_LOAD_ONE_SHIFT)

/* 2^(-n/32) in sixteen bits of fraction: what is left after n periods. */
static const u32 edict_fades[32] = {
	65536, 64132, 62757, 61413, 60097, 58809, 57549, 56316, 55109, 53928, 52773,
	51642, 50535, 49452, 48393, 47356, 46341, 45348, 44376, 43425, 42495, 41584,
	40693, 39821, 38968, 38133, 37316, 36516, 35734, 34968, 34219, 33486,
};

/* An average of runnable weight; all zero to begin with. */
struct edict_mean {
	s64 weight;  /* runnable now; for a moment less than none */
	s64 average; /* at the end of the last whole period, EDICT_LOAD_ONE_SHIFT bits of fraction */
	s64 area;    /* weight by nanoseconds of the period that has begun */
	u64 since;   /* up to when all this holds */
};

/* Where an average is after so many periods in which its samples were `target`. */
EDICT_INLINE s64 edict_towards(s64 average, s64 target, u64 periods)
{
	u64 distance = average > target ? average - target : target - average;
	u64 halves = periods >> EDICT_LOAD_HALF_SHIFT;

	if (halves >= 63)
		return target;
	distance >>= halves;
	distance = distance * edict_fades[periods & 31] >> EDICT_LOAD_ONE_SHIFT;
	return average > target ? target + (s64)distance : target - (s64)distance;
}

/* Brings an average to `now`; a clock that went back changes nothing. */
EDICT_INLINE void edict_mean_advance(struct edict_mean *mean, u64 now)
{
	u64 passed = now - mean->since;
	u64 left = EDICT_LOAD_PERIOD - (mean->since & (EDICT_LOAD_PERIOD - 1));
	s64 weight = mean->weight;

	if ((s64)passed <= 0)
		return;
	if (weight < 0)
		weight = 0;
	if (weight > EDICT_LOAD_WEIGHT_MAX)
		weight = EDICT_LOAD_WEIGHT_MAX;
	mean->since = now;
	if (passed < left) {
		mean->area += weight * (s64)passed;
		return;
	}
	mean->area += weight * (s64)left;
	mean->average = edict_towards(mean->average,
				      mean->area >> (EDICT_LOAD_PERIOD_SHIFT - EDICT_LOAD_ONE_SHIFT),
				      1);
	passed -= left;
	mean->average = edict_towards(mean->average, weight << EDICT_LOAD_ONE_SHIFT,
				      passed >> EDICT_LOAD_PERIOD_SHIFT);
	mean->area = weight * (s64)(passed & (EDICT_LOAD_PERIOD - 1));
}

/* The load: how many tasks of nice 0, with EDICT_LOAD_ONE_SHIFT bits of fraction. */
EDICT_INLINE u64 edict_mean_load(const struct edict_mean *mean)
{
	return mean->average < 0 ? 0 : (u64)mean->average >> EDICT_LOAD_NICE_0_SHIFT;
}

/*
 * A task that was runnable for long has taken its place in the average too. It
 * goes along when the task is moved, or the next look would find the domains
 * as they were before.
 */
EDICT_INLINE s64 edict_mean_take(struct edict_mean *mean, u32 weight)
{
	s64 part = (s64)weight << EDICT_LOAD_ONE_SHIFT;

	if (part > mean->average)
		part = mean->average;
	mean->average -= part;
	return part;
}

/* `part` of `whole`, from 0 to EDICT_LOAD_ONE; none of nothing. */
EDICT_INLINE u32 edict_share(u64 part, u64 whole)
{
	if (!whole)
		return 0;
	if (part >= whole)
		return EDICT_LOAD_ONE;
	/* Of numbers so large the last bits do not matter. */
	if (whole >> 47) {
		part >>= 16;
		whole >>= 16;
	}
	return (u32)((part << EDICT_LOAD_ONE_SHIFT) / whole);
}

/*
 * What a task still has in the caches of the CPU that it left is lost when it
 * is moved: 0.5 ms, as sysctl_sched_migration_cost of kernel/sched/fair.c.
 */
#define EDICT_HOT_NS 500000ULL

EDICT_INLINE bool edict_is_hot(u64 left_at, u64 now)
{
	return left_at && edict_before(now, left_at + EDICT_HOT_NS);
}

/*
 * The greatest weight that may go from where CPUs have more to run to where they
 * have less, so that the difference for each CPU is afterwards no greater than
 * before; 0: none. With what cannot be divided it may change its sign.
 */
EDICT_INLINE u64 edict_surplus(s64 there, u32 cpus_there, s64 here, u32 cpus_here)
{
	u64 more, less;

	if (there <= 0 || !cpus_there || !cpus_here)
		return 0;
	if (here < 0)
		here = 0;
	if (there > EDICT_LOAD_WEIGHT_MAX)
		there = EDICT_LOAD_WEIGHT_MAX;
	if (here > EDICT_LOAD_WEIGHT_MAX)
		here = EDICT_LOAD_WEIGHT_MAX;
	more = (u64)there * cpus_here;
	less = (u64)here * cpus_there;
	return more > less ? 2 * (more - less) / ((u64)cpus_here + cpus_there) : 0;
}

#endif /* EDICT_BALANCE_BPF_H */
