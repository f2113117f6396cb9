/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The arithmetic of who is next: between the tiers, and within one.
 *
 * Between the tiers, a lottery (Waldspurger and Weihl, 1994) whose tickets are
 * shares of CPU time, not of draws:
 *
 *   weight of a tier = tickets / what a drawn task of that tier uses
 *
 * so that a tier of long slices is drawn less often, and one whose tasks yield
 * early more often: their compensation tickets. What a tier took without a
 * draw (it interrupted another, or was overdue) is its debt, and its next wins
 * pay it.
 *
 * Or by stride (Waldspurger, 1995): what a tier uses moves its pass forward, by
 * less the more tickets it has, and the tier of the least pass is next. Passes
 * wrap, so they are compared by the sign of their difference, and none is ever
 * further than 2^61 from the clock that they are kept near.
 *
 * Within a tier, virtual time weighted by nice, or an exponential race: each
 * task draws a distance -ln(U) / weight from where the race is, and the nearest
 * runs. The least of several exponential variables is the one of rate w with
 * probability w / sum of w, and what is left of one that has not come yet is
 * distributed as it was at first: so the head of an ordered queue is the winner
 * of an exact lottery among all that wait, whenever they arrived.
 *
 * A budget is a leaky bucket kept as one time (GCRA, ITU-T I.371): the
 * theoretical arrival time, which CPU time moves forward in the measure of the
 * budget, and which may be ahead of now by no more than the burst.
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

/* The first state of a CPU's generator: every CPU another sequence, of every seed. */
EDICT_INLINE u64 edict_sequence(u64 seed, u32 cpu)
{
	return edict_scatter(edict_scatter(seed) + cpu);
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

/* -ln((256 + i) / 512) * 2^32: between two of them it is nearly a line. */
static const u32 edict_logarithm[257] = {
	2977044472, 2960299939, 2943620433, 2927005452, 2910454498, 2893967079, 2877542710, 2861180910,
	2844881204, 2828643123, 2812466203, 2796349984, 2780294013, 2764297840, 2748361023, 2732483122,
	2716663704, 2700902338, 2685198601, 2669552073, 2653962338, 2638428985, 2622951609, 2607529807,
	2592163181, 2576851338, 2561593890, 2546390450, 2531240638, 2516144076, 2501100392, 2486109217,
	2471170186, 2456282936, 2441447110, 2426662354, 2411928318, 2397244655, 2382611021, 2368027078,
	2353492488, 2339006918, 2324570040, 2310181526, 2295841054, 2281548305, 2267302961, 2253104709,
	2238953239, 2224848243, 2210789418, 2196776461, 2182809076, 2168886965, 2155009838, 2141177403,
	2127389374, 2113645467, 2099945400, 2086288895, 2072675675, 2059105467, 2045577999, 2032093005,
	2018650217, 2005249372, 1991890209, 1978572470, 1965295899, 1952060242, 1938865248, 1925710667,
	1912596253, 1899521761, 1886486949, 1873491577, 1860535406, 1847618201, 1834739729, 1821899758,
	1809098057, 1796334401, 1783608562, 1770920319, 1758269449, 1745655732, 1733078952, 1720538893,
	1708035340, 1695568083, 1683136909, 1670741613, 1658381986, 1646057825, 1633768926, 1621515088,
	1609296111, 1597111799, 1584961954, 1572846382, 1560764891, 1548717289, 1536703387, 1524722996,
	1512775930, 1500862005, 1488981037, 1477132844, 1465317245, 1453534063, 1441783119, 1430064238,
	1418377245, 1406721967, 1395098232, 1383505871, 1371944714, 1360414593, 1348915343, 1337446799,
	1326008797, 1314601174, 1303223771, 1291876427, 1280558983, 1269271284, 1258013171, 1246784492,
	1235585093, 1224414820, 1213273524, 1202161054, 1191077261, 1180021998, 1168995119, 1157996477,
	1147025929, 1136083331, 1125168542, 1114281420, 1103421825, 1092589619, 1081784665, 1071006824,
	1060255961, 1049531943, 1038834634, 1028163902, 1017519616, 1006901644, 996309858, 985744127,
	975204325, 964690324, 954201998, 943739222, 933301872, 922889825, 912502959, 902141151,
	891804281, 881492230, 871204878, 860942108, 850703802, 840489844, 830300118, 820134511,
	809992907, 799875193, 789781259, 779710991, 769664279, 759641013, 749641085, 739664385,
	729710807, 719780242, 709872585, 699987731, 690125574, 680286012, 670468939, 660674255,
	650901856, 641151642, 631423513, 621717368, 612033109, 602370636, 592729852, 583110661,
	573512964, 563936668, 554381675, 544847893, 535335226, 525843582, 516372867, 506922990,
	497493860, 488085384, 478697474, 469330039, 459982990, 450656238, 441349697, 432063277,
	422796893, 413550459, 404323887, 395117094, 385929995, 376762505, 367614542, 358486021,
	349376861, 340286980, 331216296, 322164728, 313132196, 304118620, 295123921, 286148020,
	277190838, 268252297, 259332320, 250430830, 241547751, 232683006, 223836520, 215008219,
	206198026, 197405869, 188631673, 179875366, 171136874, 162416125, 153713048, 145027570,
	136359621, 127709130, 119076027, 110460242, 101861706, 93280350, 84716105, 76168904,
	67638678, 59125361, 50628884, 42149183, 33686191, 25239841, 16810070, 8396811,
	0,
};

/*
 * An exponential variable of mean 2^32: -ln(U) for U in (0, 1), of which
 * `random` is the first 64 binary digits. The zeros before the first one are
 * halvings, ln 2 each; what follows it is looked up. Off by at most 2^-18 of
 * the mean.
 */
EDICT_INLINE u64 edict_exponential(u64 random)
{
	u64 digits = random ? random : 1, ones = digits, zeros, from, to;
	u32 index;

	/* The zeros at the front, without a branch. */
	ones |= ones >> 1;
	ones |= ones >> 2;
	ones |= ones >> 4;
	ones |= ones >> 8;
	ones |= ones >> 16;
	ones |= ones >> 32;
	ones = ~ones;
	ones -= (ones >> 1) & 0x5555555555555555ULL;
	ones = (ones & 0x3333333333333333ULL) + ((ones >> 2) & 0x3333333333333333ULL);
	ones = (ones + (ones >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	zeros = (ones * 0x0101010101010101ULL) >> 56;

	digits = digits << (zeros & 63) << 1;
	index = (digits >> 56) & 0xff;
	from = edict_logarithm[index];
	to = edict_logarithm[index + 1];
	return zeros * edict_logarithm[0] + from -
	       (((from - to) * ((digits >> 24) & 0xffffffffULL)) >> 32);
}

/* How far ahead in the race of its tier a task draws its next turn. */
EDICT_INLINE u64 edict_race(u64 random, s32 static_prio)
{
	return edict_virtual(edict_exponential(random), static_prio);
}

/* Far more than anything is bounded to, and far from half of what wraps. */
#define EDICT_PASS_MAX (1ULL << 61)

/* How far the pass of a tier goes while it uses `used_ns`. */
EDICT_INLINE u64 edict_stride(u64 used_ns, u32 tickets)
{
	if (used_ns > (1ULL << 43))
		used_ns = 1ULL << 43; /* two hours at once */
	return (used_ns << 20) / (tickets ? tickets : 1);
}

/*
 * How far behind the clock a pass may be: as far as the clock goes in the time
 * `refill_ns` when all tiers have something to run, and twice the longest step
 * of a tier, which is no advantage but the grain of the thing.
 */
EDICT_INLINE u64 edict_stride_bound(u64 refill_ns, u32 cpus, u64 tickets_of_all, u64 longest)
{
	u64 once = edict_stride(refill_ns, 1) / (tickets_of_all ? tickets_of_all : 1);
	u64 bound;

	if (!cpus)
		cpus = 1;
	if (longest > EDICT_PASS_MAX / 4)
		longest = EDICT_PASS_MAX / 4;
	if (once > EDICT_PASS_MAX / 2 / cpus)
		bound = EDICT_PASS_MAX / 2;
	else
		bound = once * cpus;
	return bound + 2 * longest;
}

/* The pass, or the nearest that is not behind the clock by more than `lag`, nor ahead by more than `lead`. */
EDICT_INLINE u64 edict_bounded(u64 pass, u64 clock, u64 lag, u64 lead)
{
	s64 ahead = (s64)(pass - clock);

	if (ahead > (s64)lead)
		return clock + lead;
	if (ahead < -(s64)lag)
		return clock - lag;
	return pass;
}

/* CPU time in the measure of a budget: how long that much is to last. */
EDICT_INLINE u64 edict_measured(u64 used_ns, u32 budget_ppm, u32 cpus)
{
	if (used_ns > (1ULL << 42))
		used_ns = 1ULL << 42; /* more than an hour at once */
	return used_ns * 1000000 / ((u64)(budget_ppm ? budget_ppm : 1) * (cpus ? cpus : 1));
}

/* Whether a tier has taken its budget and its burst. */
EDICT_INLINE bool edict_exhausted(u64 arrival, u64 now, u64 burst)
{
	return (s64)(arrival - now) > (s64)burst;
}

/*
 * The arrival time after `measured` was taken. What was not taken in time is
 * lost, and beyond `most` ahead of now nothing is held against the tier.
 */
EDICT_INLINE u64 edict_arrival(u64 arrival, u64 measured, u64 now, u64 most)
{
	s64 ahead = (s64)(arrival - now);

	if (ahead < 0)
		ahead = 0;
	if (ahead >= (s64)most)
		return now + (u64)ahead;
	if (measured > most - (u64)ahead)
		return now + most;
	return now + (u64)ahead + measured;
}

#endif /* EDICT_LOTTERY_BPF_H */
