/* SPDX-License-Identifier: GPL-2.0-only */
/* The arithmetic of the lottery and of virtual time, compiled for the host. */
#include <stdbool.h>
#include "lottery.bpf.h"

u64 edict_host_random(u64 *state);
u64 edict_host_scatter(u64 seed);
u64 edict_host_weight(u32 tickets, u64 used_ns);
u64 edict_host_average(u64 average, u64 sample, u32 shift);
u64 edict_host_virtual(u64 used_ns, s32 static_prio);

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
