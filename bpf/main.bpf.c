/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edict: a scheduler that carries out a compiled policy.
 *
 * A policy is one bank of tables (intf.h). Two banks exist; `edict_active`
 * names the generation in force and its bank, and committing a new policy is
 * one store of that word. Each callback reads it once and passes it down: a
 * decision that mixed two reads would be a decision of no policy.
 *
 *   wake ─▶ select_cpu ── idle CPU ──────────────▶ run
 *              │ none
 *              ▼
 *           enqueue ── may interrupt ────────────▶ run
 *              │
 *              ▼
 *        queue of the tier ── dispatch: draw ────▶ run ─▶ tick ─▶ stopping
 *              ▲                                               │
 *              └───────────────────────────────────────────────┘
 *
 *   attributes.bpf.h  the facts about a task and the verdict on it
 *   behaviour.bpf.h   what it does, on average
 *   classify.bpf.h    facts to verdict
 *   queues.bpf.h      where the queues are
 *   filled.bpf.h      which of them may hold tasks, and when the keeper looks
 *   vtime.bpf.h       order within a tier
 *   tiers.bpf.h       what a run costs
 *   dispatch.bpf.h    what a CPU runs next
 *   draw.bpf.h        which tier that is
 *   exchange.bpf.h    what caches take from each other while both are busy
 *   idle.bpf.h        which CPU a task goes to
 *   domains.bpf.h     which CPUs it may use
 *   cores.bpf.h       tiers that share their core with no other
 *   ledger.bpf.h      what each tier has taken
 *   keeper.bpf.h      the promise of max_wait
 *   pace.bpf.h        performance levels
 *   lottery.bpf.h     their arithmetic
 *   loads.bpf.h       loads and moves; balance.bpf.h has their arithmetic
 *   hotplug.bpf.h     CPUs that come and go
 *   begin.bpf.h       what is made at the start, and for each task
 *   requests.bpf.h    what the agent asks
 *   listing.bpf.h     all tasks, for lists
 *   trace.bpf.h       what a recording is told
 *   dump.bpf.h        what the kernel prints when it ends the scheduler
 *   tables.bpf.h      every map
 *
 * What it does not do: a policy never makes it give up (no scx_bpf_error);
 * a task that no rule takes is in the otherwise tier. Real-time and deadline
 * tasks and cpusets stay the kernel's. It does not enforce cpu.max.
 */
#include <scx/common.bpf.h>
#include <bpf_experimental.h>
#include "exchange.bpf.h"
#include "idle.bpf.h"
#include "pace.bpf.h"
#include "begin.bpf.h"
#include "dump.bpf.h"
#include "listing.bpf.h"
#include "loads.bpf.h"
#include "requests.bpf.h"
#include "trace.bpf.h"

char _license[] SEC("license") = "GPL";

UEI_DEFINE(uei);

s32 BPF_STRUCT_OPS(edict_select_cpu, struct task_struct *p, s32 prev_cpu, u64 wake_flags)
{
	u64 now = scx_bpf_now(), active = READ_ONCE(edict_active), slice;
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_task *t = edict_task_of(p);
	u32 tier, queue, waiting;
	s32 cpu;

	if (!t || !bank)
		return prev_cpu;
	t->claimed = 0;
	/* It is judged as one that has woken. */
	if (wake_flags & SCX_WAKE_TTWU) {
		edict_woke(t, now);
		t->woken = 1;
	}
	tier = edict_index(edict_refresh(p, active, now));
	cpu = edict_after_waker(p, active, tier, wake_flags, now);
	if (cpu >= 0) {
		waiting = 0;
		goto direct;
	}
	cpu = edict_find_idle(p, bank, active, tier, prev_cpu, wake_flags, now);
	if (cpu < 0) {
		if (wake_flags & SCX_WAKE_FORK)
			return edict_spread(p, active, tier, prev_cpu);
		return prev_cpu;
	}
	/*
	 * Whoever waits there goes before, unless this one could interrupt it: the
	 * CPU wakes up and draws. It is this task's part of the idle CPUs, so
	 * enqueue looks for no other and interrupts nobody.
	 */
	waiting = edict_waiting(active, edict_llc_of(cpu), cpu);
	if (waiting & ~edict_interrupts(bank, tier, now)) {
		t->claimed = cpu + 1;
		return cpu;
	}
direct:
	slice = edict_slice_of(bank, tier);
	queue = edict_queue_of(bank, tier, edict_llc_of(cpu));
	edict_rebase(p, t, queue, slice);
	edict_counts_in(p, t, queue);
	edict_audit_decision(t, active, slice);
	t->how = waiting ? EDICT_HOW_PREEMPT : EDICT_HOW_DIRECT;
	t->queued_at = now;
	t->resumes = 0;
	scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice, 0);
	return cpu;
}

void BPF_STRUCT_OPS(edict_enqueue, struct task_struct *p, u64 enq_flags)
{
	u64 now = scx_bpf_now(), active = READ_ONCE(edict_active), slice, limit;
	int tier = edict_refresh(p, active, now);
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_task *t = edict_task_of(p);
	bool agent, claimed, shared = true;
	u32 queue;
	s32 cpu;

	if (!t || !bank) {
		scx_bpf_dsq_insert(p, SCX_DSQ_GLOBAL, EDICT_SLICE_DEFAULT_NS, enq_flags);
		return;
	}
	claimed = t->claimed == (u32)scx_bpf_task_cpu(p) + 1;
	t->claimed = 0;
	slice = edict_slice_of(bank, tier);
	queue = edict_queue_of(bank, tier, edict_home(p, bank, active, tier));
	edict_rebase(p, t, queue, slice);
	edict_counts_in(p, t, queue);
	edict_stray_served(t);
	if (edict_strays(p, bank, active, tier))
		edict_stray_queued(t, active, queue);
	edict_audit_decision(t, active, slice);
	if (enq_flags & SCX_ENQ_REENQ) {
		/*
		 * Another class has its CPU. What was chosen stays chosen: it
		 * goes on, with what is left of its slice, before anything
		 * else, here or wherever there is room first.
		 */
		if (!t->queued_at)
			t->queued_at = now;
		if (p->scx.slice && !edict_bound_kthread(p) &&
		    (!t->resumes || t->run_tier == (u32)tier)) {
			scx_bpf_dsq_insert_vtime(p, EDICT_DSQ_RESUME, p->scx.slice, t->queued_at,
						 enq_flags);
			goto wake_idle;
		}
		if (t->resumes)
			edict_run_ended(t);
	} else {
		/* It was changed while it waited to go on: another run. */
		if (t->resumes)
			edict_run_ended(t);
		/* Moved or changed while it waited, it has waited since then. */
		if (!t->queued_at || (enq_flags & SCX_ENQ_WAKEUP))
			t->queued_at = now;
	}
	t->resumes = 0;

	if (edict_bound_kthread(p)) {
		t->how = EDICT_HOW_DIRECT;
		if (enq_flags & SCX_ENQ_WAKEUP)
			enq_flags |= SCX_ENQ_PREEMPT;
		scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL, slice, enq_flags);
		return;
	}
	agent = p->tgid == READ_ONCE(edict_agent);
	if ((enq_flags & SCX_ENQ_WAKEUP) && !claimed) {
		cpu = edict_victim(p, active, agent ? ~0U : edict_interrupts(bank, tier, now), now);
		if (cpu >= 0) {
			struct edict_cpu *there = edict_cpu_of(cpu);

			t->how = agent ? EDICT_HOW_DIRECT : EDICT_HOW_PREEMPT;
			if (there && there->held) {
				/* Nobody knows until when: before what it would interrupt. */
				scx_bpf_dsq_insert_vtime(p, EDICT_DSQ_RESUME, slice, 0, enq_flags);
				goto wake_idle;
			}
			/* Until the CPU turns, the next waker is to look at this one. */
			if (there) {
				there->coming_at = now;
				there->coming = (agent ? EDICT_TIERS_MAX : tier) + 1;
			}
			scx_bpf_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, slice,
					   enq_flags | SCX_ENQ_PREEMPT);
			return;
		}
	}

	if (agent) {
		/* Behind what is overdue already, before what is drawn. */
		t->how = EDICT_HOW_DIRECT;
		scx_bpf_dsq_insert_vtime(p, EDICT_DSQ_DUE, slice, now, enq_flags);
		goto wake_idle;
	}

	/* It was changed while it waited, and may have been among the due. */
	limit = edict_limit_of(bank, tier);
	if (!edict_before(now, t->queued_at + limit / 2)) {
		t->how = EDICT_HOW_DUE;
		scx_bpf_dsq_insert_vtime(p, EDICT_DSQ_DUE, slice, t->queued_at + limit, enq_flags);
		goto wake_idle;
	}

	t->how = EDICT_HOW_DRAWN;
	shared = false;
	if (scx_bpf_dsq_nr_queued(EDICT_DSQ(queue)) <= 0 ||
	    edict_before(t->queued_at, edict_queue_state_of(queue)->bound))
		edict_queue_state_of(queue)->bound = t->queued_at;
	if (EDICT_QUEUE_ORDER(queue) == EDICT_ORDER_FIFO)
		scx_bpf_dsq_insert(p, EDICT_DSQ(queue), slice, enq_flags);
	else
		scx_bpf_dsq_insert_vtime(p, EDICT_DSQ(queue), slice, edict_key(p, t), enq_flags);

wake_idle:
	/*
	 * A CPU may have fallen idle since one was looked for. One that does so
	 * from now on may not see the task yet, for the kernel queues it when
	 * this callback has returned: it sees that one has come. The exchange in
	 * edict_fills() is the barrier between telling and looking.
	 */
	if (!claimed)
		WRITE_ONCE(edict_llc_at(EDICT_QUEUE_LLC(queue))->arrived, now);
	if (shared)
		edict_fills_shared(now);
	else
		edict_fills(queue, edict_keep_within(bank, tier), now);
	if (claimed)
		return;
	cpu = edict_find_idle(p, bank, active, tier, scx_bpf_task_cpu(p), 0, now);
	if (cpu >= 0)
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
}

void BPF_STRUCT_OPS(edict_dispatch, s32 cpu, struct task_struct *prev)
{
	u64 now = scx_bpf_now(), active = READ_ONCE(edict_active);
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_cpu *here = edict_cpu_of(cpu);
	struct edict_task *t = NULL;
	u32 own = edict_llc_of(cpu), prev_queue = 0, prev_tier = EDICT_TIERS_MAX, mask, tier, i,
	    leaves, spent, missed = 0;
	bool away = false;

	if (!bank || !here)
		return;
	if (here->gone) /* The kernel asks only for those that are online: it did not go. */
		edict_cpu_comes(cpu);
	leaves = bank->head.exclusive && edict_threads ? edict_core_leaves(active, cpu, now) : ~0U;
	here->handed = 0;
	here->follows = 0;
	if (prev && (prev->scx.flags & SCX_TASK_QUEUED) && !(prev->flags & PF_EXITING) &&
	    bpf_cpumask_test_cpu(cpu, prev->cpus_ptr)) {
		t = edict_task_of(prev);
		if (t) {
			edict_charge(prev, t, now);
			edict_ledger_settle(t);
			prev_tier = edict_index(edict_refresh(prev, active, now));
			prev_queue = edict_queue_of(bank, prev_tier, own);
			edict_rebase(prev, t, prev_queue, edict_slice_of(bank, prev_tier));
			away = !(edict_admitted(bank, active, cpu) & (1U << prev_tier)) &&
			       !edict_strays(prev, bank, active, prev_tier);
			away = away || (!(leaves & (1U << prev_tier)) && !here->spared);
		}
	}
	if (edict_take_first(active, cpu, EDICT_DSQ_RESUME, now) ||
	    edict_take_first(active, cpu, EDICT_DSQ_DUE, now))
		return;
	if (READ_ONCE(edict_llc_at(own)->orphans) && edict_serve_orphans(active, own))
		return;

	if (edict_nr_llcs > 1 && !bank->head.balanced &&
	    !edict_before(now, here->compared_at + EDICT_EXCHANGE_NS)) {
		here->compared_at = now;
		edict_exchange(active, cpu, own, here->compared++, now);
	}

	mask = edict_waiting(active, own, cpu) & leaves;
	if (away)
		t = NULL;
	if (t)
		mask |= 1U << prev_tier;

	/* What waits here is beyond its budget: others may wait elsewhere. */
	if (edict_nr_llcs > 1 && (bank->head.budgeted & mask)) {
		spent = edict_exhausted_of(active, bank->head.budgeted);
		if (!(mask & ~spent) && edict_steal(active, cpu, own, leaves & ~spent))
			return;
	}
	if (edict_nr_llcs > 1 && bank->head.between == EDICT_BETWEEN_STRICT && mask &&
	    !(mask & 1) && edict_take_above(active, cpu, own, edict_low_bit(mask), leaves))
		return;
	/* As edict_take(), with the task that ran among those that may win. */
	bpf_for(i, 0, 2 * EDICT_TIERS_MAX) {
		if (!mask)
			break;
		tier = edict_index(edict_draw(active, mask, cpu));
		if ((mask & (mask - 1)) && i < EDICT_TIERS_MAX && edict_pays(bank, tier))
			continue;
		if (t && tier == prev_tier) {
			u64 key = edict_key(prev, t);

			if (edict_before(key, edict_first_for(prev_queue, cpu, key))) {
				edict_core_hands(bank, here, tier, missed);
				edict_keep_running(prev, t, here, bank, active, prev_queue, now);
				return;
			}
		}
		if (edict_take_from(active, cpu, edict_queue_of(bank, tier, own))) {
			edict_core_hands(bank, here, tier, missed);
			return;
		}
		if (t && tier == prev_tier) {
			edict_core_hands(bank, here, tier, missed);
			edict_keep_running(prev, t, here, bank, active, prev_queue, now);
			return;
		}
		mask &= ~(1U << tier);
		missed |= 1U << tier;
	}
	if (edict_nr_llcs > 1 && edict_steal(active, cpu, own, leaves))
		return;
	if (prev && (prev->scx.flags & SCX_TASK_QUEUED) && !away) {
		/* It exits, or is about to be moved: nothing to decide. */
		scx_bpf_task_set_slice(prev, EDICT_SLICE_DEFAULT_NS);
		return;
	}
	tier = here->tier;
	here->tier = EDICT_TIERS_MAX;
	if (bank->head.exclusive)
		edict_core_left(active, cpu, tier, now);
}

/*
 * A CPU falls idle. Whoever queued a task before this saw no idle CPU to wake;
 * whoever does so from now on will. A task that was queued a moment ago need not
 * be visible yet: the CPU then looks once more.
 */
void BPF_STRUCT_OPS(edict_update_idle, s32 cpu, bool idle)
{
	u64 active = READ_ONCE(edict_active), now = scx_bpf_now();
	struct edict_cpu *here = edict_cpu_of(cpu);

	if (!idle || !here || here->gone)
		return;
	/* The barrier between telling, which the kernel has done, and looking. */
	__sync_lock_test_and_set(&here->idle_at, now);
	if (edict_waits_for(active, cpu, now))
		scx_bpf_kick_cpu(cpu, SCX_KICK_IDLE);
}

void BPF_STRUCT_OPS(edict_runnable, struct task_struct *p, u64 enq_flags)
{
	struct edict_task *t = edict_task_of(p);
	u64 now = scx_bpf_now();

	if (!t)
		return;
	edict_load_begins(p, t, now);
	if (!(enq_flags & SCX_ENQ_WAKEUP))
		return;
	/* select_cpu has recorded it, where it was asked. */
	if (!t->woken)
		edict_woke(t, now);
	t->woken = 0;
}

void BPF_STRUCT_OPS(edict_running, struct task_struct *p)
{
	u64 now = scx_bpf_now(), active = READ_ONCE(edict_active);
	u32 cpu = scx_bpf_task_cpu(p), llc = edict_llc_of(cpu), before = EDICT_TIERS_MAX;
	struct edict_bank *bank = EDICT_BANK(active);
	struct edict_cpu *here = edict_cpu_of(cpu);
	struct edict_task *t = edict_task_of(p);

	/* It only passes: the kernel moves it to another CPU at once. */
	if (here && here->gone)
		return;
	if (here) {
		here->held = 0;
		here->coming = 0;
		/* Who follows may have been overtaken: then this one is to leave soon. */
		here->followed = here->followed && scx_bpf_dsq_nr_queued(SCX_DSQ_LOCAL_ON | cpu) > 0;
		before = here->spared ? EDICT_TIERS_MAX : here->tier;
		here->spared = edict_bound_kthread(p) || p->tgid == READ_ONCE(edict_agent);
	}
	if (!t)
		return;
	edict_stray_served(t);
	edict_load_follows(t, cpu, now);
	edict_trace_begins(t, now);
	/* A number of another generation is not to be looked up in this one. */
	if (t->active && t->active != active)
		bank = NULL;
	if (here && bank)
		edict_pace(bank, here, cpu, t->resumes ? t->run_tier : t->tier);
	/* Another cache has taken it. */
	if (bank && EDICT_QUEUE_LLC(EDICT_COUNTED_QUEUE(READ_ONCE(t->counted))) != llc)
		edict_counts_in(p, t, edict_queue_of(bank, t->resumes ? t->run_tier : t->tier, llc));
	if (t->resumes) {
		edict_resumed(t, active, now);
		t->resumes = 0;
		t->queued_at = 0;
		t->ran_at = now;
		t->llc = llc + 1;
		if (here) {
			here->tier = t->run_tier;
			here->how = t->how;
			here->run_vtime = t->vtime;
			here->run_queue = t->clock + 1;
		}
	} else {
		/* Of the generation that queued it, which need not be the active one. */
		if (t->active)
			active = t->active;
		edict_waited(t, active, t->tier, now);
		/* The kernel also runs a task that was not queued, after changing it. */
		t->queued_at = 0;
		edict_run_begins(t, here, bank, active, t->tier, llc, now);
	}
	edict_core_begins(active, cpu, before, now);
}

void BPF_STRUCT_OPS(edict_tick, struct task_struct *p)
{
	u64 now = scx_bpf_now(), active = READ_ONCE(edict_active);
	struct edict_task *t = edict_task_of(p);
	struct edict_cpu *here;
	u32 before;

	if (!t)
		return;
	before = t->tier;
	edict_charge(p, t, now);
	if (!edict_keeper_comes(READ_ONCE(edict_keeper_at), now))
		edict_keep_by(now + EDICT_KEEP_MIN_NS, now);
	here = edict_cpu_of(bpf_get_smp_processor_id());
	/* Another tier: let it compete as a member of that one. */
	if (edict_refresh(p, active, now) != before || (here && here->followed))
		scx_bpf_task_set_slice(p, 0);
}

void BPF_STRUCT_OPS(edict_stopping, struct task_struct *p, bool runnable)
{
	struct edict_task *t = edict_task_of(p);
	u64 now = scx_bpf_now();

	/* What only passed through a CPU that goes has not run. */
	if (!t || !t->ran_at)
		return;
	edict_charge(p, t, now);
	edict_ledger_settle(t);
	edict_left(t, now);
	edict_trace_ends(p, t, runnable, now);
	t->ran_at = 0;
	/*
	 * The CPU's entry stays: between two tasks, or while another class has
	 * the CPU, a waking task still knows whom it would go before.
	 */
	if (runnable && p->scx.slice) {
		t->resumes = 1;
		return;
	}
	edict_run_ended(t);
	if (runnable)
		edict_burst_goes_on(t);
}

/* Another class takes the CPU: nothing of ours waits for it to come back. */
void BPF_STRUCT_OPS(edict_cpu_release, s32 cpu, struct scx_cpu_release_args *args)
{
	struct edict_cpu *there = edict_cpu_of(cpu);

	if (there) {
		there->held = 1;
		edict_core_left(READ_ONCE(edict_active), cpu, there->tier, scx_bpf_now());
	}
	if (edict_takes_back)
		scx_bpf_reenqueue_local();
}

/* It comes from another class: what it waited before is over. */
void BPF_STRUCT_OPS(edict_enable, struct task_struct *p)
{
	struct edict_task *t = edict_task_of(p);

	if (t) {
		t->queued_at = 0;
		if (t->competes != EDICT_INHERITS)
			t->competes = 0;
	}
}

void BPF_STRUCT_OPS(edict_quiescent, struct task_struct *p, u64 deq_flags)
{
	struct edict_task *t = edict_task_of(p);
	u64 now = scx_bpf_now();

	if (!t)
		return;
	edict_counts_nowhere(t);
	edict_stray_served(t);
	edict_load_ends(t, now);
	if (deq_flags & SCX_DEQ_SLEEP) {
		/* It may sleep for long, and is to be known when it wakes up. */
		if (t->look_at && !(p->flags & PF_EXITING)) {
			t->look_at = 0;
			t->dirty = 1;
			edict_exe_of(p, READ_ONCE(edict_active), true, now + EDICT_SETTLED_NS);
		}
		edict_burst_ended(t);
		t->slept_at = now;
		t->competes = 0;
		t->queued_at = 0; /* it may be set still, on a CPU that goes */
	}
}

void BPF_STRUCT_OPS(edict_exit, struct scx_exit_info *ei)
{
	UEI_RECORD(uei, ei);
}

SCX_OPS_DEFINE(edict_ops,
	       .select_cpu = (void *)edict_select_cpu,
	       .enqueue = (void *)edict_enqueue,
	       .dispatch = (void *)edict_dispatch,
	       .update_idle = (void *)edict_update_idle,
	       .runnable = (void *)edict_runnable,
	       .running = (void *)edict_running,
	       .tick = (void *)edict_tick,
	       .stopping = (void *)edict_stopping,
	       .quiescent = (void *)edict_quiescent,
	       .cpu_release = (void *)edict_cpu_release,
	       .cpu_online = (void *)edict_cpu_online,
	       .cpu_offline = (void *)edict_cpu_offline,
	       .enable = (void *)edict_enable,
	       .init_task = (void *)edict_init_task,
	       .init = (void *)edict_init,
	       .exit = (void *)edict_exit,
	       .dump = (void *)edict_dump,
	       .dump_task = (void *)edict_dump_task,
	       .timeout_ms = 20000,
	       .name = "edict");
