/* SPDX-License-Identifier: GPL-2.0-only */
/* The arithmetic of loads, compiled for the host. */
#include <stdbool.h>
#include "balance.bpf.h"

void edict_host_mean_advance(struct edict_mean *mean, u64 now);
u64 edict_host_mean_load(const struct edict_mean *mean);
s64 edict_host_mean_take(struct edict_mean *mean, u32 weight);
u32 edict_host_share(u64 part, u64 whole);
u64 edict_host_surplus(s64 there, u32 cpus_there, s64 here, u32 cpus_here);
u32 edict_host_weight_of(s32 static_prio);
bool edict_host_is_hot(u64 left_at, u64 now);

void edict_host_mean_advance(struct edict_mean *mean, u64 now)
{
	edict_mean_advance(mean, now);
}

u64 edict_host_mean_load(const struct edict_mean *mean)
{
	return edict_mean_load(mean);
}

s64 edict_host_mean_take(struct edict_mean *mean, u32 weight)
{
	return edict_mean_take(mean, weight);
}

u32 edict_host_share(u64 part, u64 whole)
{
	return edict_share(part, whole);
}

u32 edict_host_weight_of(s32 static_prio)
{
	return edict_weight_of(static_prio);
}

bool edict_host_is_hot(u64 left_at, u64 now)
{
	return edict_is_hot(left_at, now);
}

u64 edict_host_surplus(s64 there, u32 cpus_there, s64 here, u32 cpus_here)
{
	return edict_surplus(there, cpus_there, here, cpus_here);
}
