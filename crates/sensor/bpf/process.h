/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Programs that start, processes that begin and end, and rights that change without either. */
#pragma once

static __always_inline void take_known(struct known *known, struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, real_cred);

	__builtin_memset(known, 0, sizeof(*known));
	known->started_ns = BPF_CORE_READ(task, start_boottime);
	read_rights(&known->rights, cred);
	known->suid = BPF_CORE_READ(cred, suid.val);
	known->fsuid = BPF_CORE_READ(cred, fsuid.val);
	bpf_core_read(&known->permitted, sizeof(u64), &cred->cap_permitted);
	bpf_core_read(&known->name, sizeof(known->name), &task->comm);
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
	fill_head(&record->head, task, KIND_CREDENTIALS);
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
	u32 tid = BPF_CORE_READ(task, pid);
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

static __always_inline void exec_file(struct exec *record, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	record->inode = BPF_CORE_READ(inode, i_ino);
	record->size = BPF_CORE_READ(inode, i_size);
	record->device = BPF_CORE_READ(inode, i_sb, s_dev);
	record->mode = BPF_CORE_READ(inode, i_mode);
	record->uid = BPF_CORE_READ(inode, i_uid.val);
	record->gid = BPF_CORE_READ(inode, i_gid.val);
	record->links = BPF_CORE_READ(inode, i_nlink);
	read_changed(inode, &record->changed_s, &record->changed_ns);
}

static __always_inline void exec_ancestors(struct exec *record, struct task_struct *task)
{
	for (int i = 0; i < ANCESTORS_MAX; i++) {
		struct ancestor *ancestor = &record->ancestors[i];
		struct task_struct *parent = BPF_CORE_READ(task, real_parent, group_leader);
		u32 pid = BPF_CORE_READ(parent, tgid);

		if (!pid || parent == task)
			break;
		ancestor->pid = pid;
		ancestor->started_ns = BPF_CORE_READ(parent, start_boottime);
		bpf_core_read(&ancestor->name, sizeof(ancestor->name), &parent->comm);
		record->ancestor_count = i + 1;
		task = parent;
	}
}

static __always_inline void exec_arguments(struct scratch *s, struct exec *record,
					   struct mm_struct *mm)
{
	u64 start = BPF_CORE_READ(mm, arg_start);
	u64 bytes = BPF_CORE_READ(mm, arg_end) - start;
	struct part *part = &record->parts[EXEC_ARGUMENTS];

	if (bytes > ARGUMENTS_BYTES_MAX - 1) {
		bytes = ARGUMENTS_BYTES_MAX - 1;
		part->form = PART_CUT;
	}
	bytes &= ARGUMENTS_BYTES_MAX - 1;
	if (bpf_probe_read_user(s->bytes + sizeof(struct exec), bytes, (void *)start)) {
		part->form = PART_CUT;
		return;
	}
	part->bytes = bytes;
	*(volatile u32 *)&s->at = sizeof(struct exec) + bytes;
}

#define VARIABLES_MAX 128
#define VARIABLE_BYTES_MAX 512

/* Of the environment only what makes the dynamic loader load something: names with LD_. */
static __noinline int exec_loader(struct scratch *s, struct mm_struct *mm)
{
	u64 next = BPF_CORE_READ(mm, env_start);
	u64 end = BPF_CORE_READ(mm, env_end);

	for (int i = 0; i < VARIABLES_MAX && next < end; i++) {
		u32 at = place_now(s);
		u8 *text = s->bytes + at;
		long n;

		if (at > RECORD_BYTES_MAX - VARIABLE_BYTES_MAX)
			break;
		n = bpf_probe_read_user_str(text, VARIABLE_BYTES_MAX, (void *)next);
		if (n <= 0)
			break;
		/* A longer one goes on with its rest, which begins no name that is asked for. */
		next += n == VARIABLE_BYTES_MAX ? VARIABLE_BYTES_MAX - 1 : n;
		if (text[0] == 'L' && text[1] == 'D' && text[2] == '_')
			*(volatile u32 *)&s->at = at + (n & (2 * VARIABLE_BYTES_MAX - 1));
	}
	return 0;
}

static __always_inline void exec_texts(struct scratch *s, struct exec *record,
				       struct task_struct *task, struct linux_binprm *binary)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct file *file = BPF_CORE_READ(mm, exe_file);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	const char *typed = BPF_CORE_READ(binary, filename);
	struct path path;
	u32 from;

	*(volatile u32 *)&s->at = sizeof(struct exec);
	exec_arguments(s, record, mm);
	bpf_core_read(&path, sizeof(path), &fs->pwd);
	append_path(s, &record->parts[EXEC_CWD], &path, 0);
	bpf_core_read(&path, sizeof(path), &file->f_path);
	append_path(s, &record->parts[EXEC_EXECUTABLE], &path, 0);
	from = place_now(s);
	exec_loader(s, mm);
	record->parts[EXEC_LOADER].bytes = place_now(s) - from;
	if (typed != BPF_CORE_READ(binary, interp))
		append_text(s, &record->parts[EXEC_SCRIPT], typed, 0);
	exec_file(record, file);
}

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct linux_binprm *binary = (void *)ctx[2];
	struct scratch *s = scratch_of(&exec_scratch);
	struct flow *flow = admit(KIND_EXEC, 0);
	struct exec *record;
	struct known *known, now;
	struct tty_struct *tty;
	u32 tid;

	if (!s || !flow)
		return 0;
	record = (struct exec *)s->bytes;
	__builtin_memset(record, 0, sizeof(*record));
	fill_head(&record->head, task, KIND_EXEC);
	tid = record->head.tid;
	take_known(&now, task);
	known = bpf_map_lookup_elem(&tasks, &tid);
	/* The thread that calls exec takes over the number of the process, so the start differs
	 * only for a process that was not known. */
	if (known) {
		record->has_before = 1;
		record->before = known->rights;
	}
	bpf_map_update_elem(&tasks, &tid, &now, BPF_ANY);
	tty = BPF_CORE_READ(task, signal, tty);
	if (tty)
		bpf_core_read_str(&record->terminal, sizeof(record->terminal), &tty->name);
	for (u32 fd = 0; fd < 3; fd++) {
		struct file *file = file_of(task, fd);

		if (file)
			describe(&record->stdio[fd], file);
	}
	exec_ancestors(record, task);
	exec_texts(s, record, task, binary);
	return hand_out(s, flow, 0);
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0];
	struct task_struct *child = (void *)ctx[1];
	u32 tid = BPF_CORE_READ(child, pid);
	struct known known;
	struct flow *flow;
	struct life *record;

	check_rights(parent, 0);
	take_known(&known, child);
	bpf_map_update_elem(&tasks, &tid, &known, BPF_ANY);
	if (tid != BPF_CORE_READ(child, tgid))
		return 0;
	flow = admit(KIND_FORK, 0);
	if (!flow)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		flow->full++;
		return 0;
	}
	fill_head(&record->head, parent, KIND_FORK);
	record->head.bytes = sizeof(*record);
	record->child = tid;
	record->child_started_ns = known.started_ns;
	record->status = 0;
	flow->sent++;
	bpf_ringbuf_submit(record, wake(0, record->head.at_ns));
	return 0;
}

#define SIGNAL_GROUP_EXIT 4

SEC("tp_btf/sched_process_exit")
int on_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	u32 tid = BPF_CORE_READ(task, pid);
	struct flow *flow;
	struct life *record;

	check_rights(task, 0);
	bpf_map_delete_elem(&tasks, &tid);
	/* The process ends with its last thread. */
	if (BPF_CORE_READ(signal, live.counter))
		return 0;
	flow = admit(KIND_EXIT, 0);
	if (!flow)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		flow->full++;
		return 0;
	}
	fill_head(&record->head, task, KIND_EXIT);
	record->head.bytes = sizeof(*record);
	record->child = 0;
	record->child_started_ns = 0;
	record->status = BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT
				 ? BPF_CORE_READ(signal, group_exit_code)
				 : BPF_CORE_READ(task, group_leader, exit_code);
	flow->sent++;
	bpf_ringbuf_submit(record, wake(0, record->head.at_ns));
	return 0;
}
