/* SPDX-License-Identifier: GPL-2.0-only */
/* The arithmetic of draws, races, strides, budgets and virtual time, for the host. */
#include <stdbool.h>
#include "lottery.bpf.h"

u64 edict_host_random(u64 *state);
u64 edict_host_scatter(u64 seed);
u64 edict_host_weight(u32 tickets, u64 used_ns);
u64 edict_host_average(u64 average, u64 sample, u32 shift);
u64 edict_host_virtual(u64 used_ns, s32 static_prio);
u64 edict_host_sequence(u64 seed, u32 cpu);
u64 edict_host_exponential(u64 random);
u64 edict_host_race(u64 random, s32 static_prio);
bool edict_host_before(u64 a, u64 b);
u64 edict_host_stride(u64 used_ns, u32 tickets);
u64 edict_host_stride_bound(u64 refill_ns, u32 cpus, u64 tickets_of_all, u64 longest);
u64 edict_host_bounded(u64 pass, u64 clock, u64 lag, u64 lead);
u64 edict_host_measured(u64 used_ns, u32 budget_ppm, u32 cpus);
bool edict_host_exhausted(u64 arrival, u64 now, u64 burst);
u64 edict_host_arrival(u64 arrival, u64 measured, u64 now, u64 most);

u64 edict_host_random(u64 *state)
{
	return edict_random(state);
}

u64 edict_host_scatter(u64 seed)
{
	return edict_scatter(seed);
}

u64 edict_host_weight(u32 tickets, u64 used_ns)
{
	return edict_weight(tickets, used_ns);
}

u64 edict_host_average(u64 average, u64 sample, u32 shift)
{
	return edict_average(average, sample, shift);
}

u64 edict_host_virtual(u64 used_ns, s32 static_prio)
{
	return edict_virtual(used_ns, static_prio);
}

u64 edict_host_sequence(u64 seed, u32 cpu)
{
	return edict_sequence(seed, cpu);
}

u64 edict_host_exponential(u64 random)
{
	return edict_exponential(random);
}

u64 edict_host_race(u64 random, s32 static_prio)
{
	return edict_race(random, static_prio);
}

bool edict_host_before(u64 a, u64 b)
{
	return edict_before(a, b);
}

u64 edict_host_stride(u64 used_ns, u32 tickets)
{
	return edict_stride(used_ns, tickets);
}

u64 edict_host_stride_bound(u64 refill_ns, u32 cpus, u64 tickets_of_all, u64 longest)
{
	return edict_stride_bound(refill_ns, cpus, tickets_of_all, longest);
}

u64 edict_host_bounded(u64 pass, u64 clock, u64 lag, u64 lead)
{
	return edict_bounded(pass, clock, lag, lead);
}

u64 edict_host_measured(u64 used_ns, u32 budget_ppm, u32 cpus)
{
	return edict_measured(used_ns, budget_ppm, cpus);
}

bool edict_host_exhausted(u64 arrival, u64 now, u64 burst)
{
	return edict_exhausted(arrival, now, burst);
}

u64 edict_host_arrival(u64 arrival, u64 measured, u64 now, u64 most)
{
	return edict_arrival(arrival, measured, now, most);
}
