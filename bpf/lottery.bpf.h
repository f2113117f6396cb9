/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which tier is next: a lottery (Waldspurger and Weihl, 1994) whose tickets are
 * shares of CPU time, not of draws.
 *
 *   weight of a tier = tickets / what a drawn task of that tier uses
 *
 * so that a tier of long slices is drawn less often, and one whose tasks yield
 * early more often: their compensation tickets. What a tier took without a
 * draw (it interrupted another, or was overdue) is its debt, and its next wins
 * pay it.
 *
 * Only arithmetic: no map, no helper, no clock; it compiles for the host too.
 */
#ifndef EDICT_LOTTERY_BPF_H
#define EDICT_LOTTERY_BPF_H

#include "intf.h"

#ifndef EDICT_INLINE
#define EDICT_INLINE static inline __attribute__((always_inline))
#endif

/* Marsaglia's xorshift64; the state must not be 0 and never becomes it. */
EDICT_INLINE u64 edict_random(u64 *state)
{
	u64 x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1dULL;
}

/* One step of splitmix64: a good first state for each CPU from one seed. */
EDICT_INLINE u64 edict_scatter(u64 seed)
{
	u64 x = seed + 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	x ^= x >> 31;
	return x ? x : 1;
}

/* At most 2^56 / 1, so that sixteen of them add up without overflow. */
EDICT_INLINE u64 edict_weight(u32 tickets, u64 used_ns)
{
	u64 used = used_ns >> 10;
	u64 weight = ((u64)(tickets ? tickets : 1) << 24) / (used ? used : 1);

	return weight ? weight : 1;
}

/* Moving average, weight 1/2^shift for the sample; the first one assigns. */
EDICT_INLINE u64 edict_average(u64 average, u64 sample, u32 shift)
{
	if (!average)
		return sample ? sample : 1;
	if (sample >= average)
		return average + ((sample - average) >> shift);
	average -= (average - sample) >> shift;
	return average ? average : 1;
}

/* sched_prio_to_weight of kernel/sched/core.c, nice -20 to 19. */
static const u32 edict_nice_weight[40] = {
	88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916,
	9548,  7620,  6100,  4904,  3906,  3121,  2501,	 1991,	1586,  1277,
	1024,  820,   655,   526,   423,   335,	  272,	 215,	172,   137,
	110,   87,    70,    56,    45,	   36,	  29,	 23,	18,    15,
};

/* In place of a static priority: SCHED_IDLE, whose nice value says nothing. */
#define EDICT_PRIO_IDLE 140
#define EDICT_IDLE_WEIGHT 3 /* WEIGHT_IDLEPRIO of kernel/sched/sched.h */

/* The kernel's weight of a task. */
EDICT_INLINE u32 edict_weight_of(s32 static_prio)
{
	u32 index = (u32)(static_prio - 100);

	if (static_prio == EDICT_PRIO_IDLE)
		return EDICT_IDLE_WEIGHT;
	return index < 40 ? edict_nice_weight[index] : 1024;
}

/* How far the virtual clock of a task goes while it uses `used_ns`. */
EDICT_INLINE u64 edict_virtual(u64 used_ns, s32 static_prio)
{
	u32 index = (u32)(static_prio - 100);

	if (static_prio == EDICT_PRIO_IDLE)
		return used_ns * 1024 / EDICT_IDLE_WEIGHT;
	if (index >= 40)
		return used_ns;
	return used_ns * 1024 / edict_nice_weight[index];
}

EDICT_INLINE bool edict_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

#endif /* EDICT_LOTTERY_BPF_H */
