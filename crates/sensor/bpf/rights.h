/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Rights of a thread, and those that change behind the back of the system calls. */
#pragma once

static __always_inline void take_known(struct known *known, struct task_struct *task)
{
	const struct cred *cred = task->real_cred;

	__builtin_memset(known, 0, sizeof(*known));
	known->started_ns = task->start_boottime;
	read_name(known->name, task);
	if (!cred)
		return;
	read_rights(&known->rights, cred, 1);
	known->suid = cred->suid.val;
	known->fsuid = cred->fsuid.val;
	known->permitted = *(const u64 *)&cred->cap_permitted;
}

static __always_inline bool is_same_rights(const struct known *a, const struct known *b)
{
	return a->rights.uid == b->rights.uid && a->rights.euid == b->rights.euid &&
	       a->rights.gid == b->rights.gid && a->rights.egid == b->rights.egid &&
	       a->rights.capabilities == b->rights.capabilities && a->suid == b->suid &&
	       a->fsuid == b->fsuid && a->permitted == b->permitted;
}

static __noinline int tell_rights(struct task_struct *task, struct rights *before, u32 call)
{
	struct call *record;
	struct flow *flow = admit(KIND_CREDENTIALS, bpf_ktime_get_boot_ns());

	if (!flow || !before)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		flow->full++;
		return 0;
	}
	__builtin_memset(record, 0, sizeof(*record));
	fill_head(&record->head, task, KIND_CREDENTIALS, 0);
	record->head.call = call;
	record->head.bytes = sizeof(*record);
	record->before = *before;
	flow->sent++;
	/* Rights from nowhere are the one thing that must not wait. */
	bpf_ringbuf_submit(record, wake(call == 0, record->head.at_ns));
	return 0;
}

/*
 * Compares the rights of a thread with those it was last seen with. A call that may change them
 * comes with its number; any other difference was made behind the back of the system calls.
 */
static __always_inline void check_rights(struct task_struct *task, u32 call)
{
	u32 tid = task->pid;
	struct known *known = bpf_map_lookup_elem(&tasks, &tid);
	struct known now;

	take_known(&now, task);
	if (!known || known->started_ns != now.started_ns) {
		bpf_map_update_elem(&tasks, &tid, &now, BPF_ANY);
		return;
	}
	if (is_same_rights(known, &now))
		return;
	struct rights before = known->rights;
	/* The name stays the one it was known by: renaming is told on its own. */
	known->rights = now.rights;
	known->suid = now.suid;
	known->fsuid = now.fsuid;
	known->permitted = now.permitted;
	tell_rights(task, &before, call);
}
