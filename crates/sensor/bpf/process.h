/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Programs that start, processes that begin and end. */
#pragma once

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} exec_scratch SEC(".maps");

/* As read_changed(), of an inode that the kernel's check knows. */
static __always_inline void exec_changed(struct exec *record, struct inode *inode)
{
	if (bpf_core_field_exists(inode->i_ctime_sec)) {
		record->changed_s = inode->i_ctime_sec;
		record->changed_ns = inode->i_ctime_nsec;
	} else if (bpf_core_field_exists(((struct inode___before_6_11 *)0)->__i_ctime)) {
		struct inode___before_6_11 *old = (void *)inode;

		record->changed_s = old->__i_ctime.tv_sec;
		record->changed_ns = old->__i_ctime.tv_nsec;
	} else {
		struct inode___before_6_6 *old = (void *)inode;

		record->changed_s = old->i_ctime.tv_sec;
		record->changed_ns = old->i_ctime.tv_nsec;
	}
}

static __always_inline void exec_file(struct exec *record, struct inode *inode)
{
	record->inode = inode->i_ino;
	record->size = inode->i_size;
	record->device = inode->i_sb->s_dev;
	record->mode = inode->i_mode;
	record->uid = inode->i_uid.val;
	record->gid = inode->i_gid.val;
	record->links = inode->i_nlink;
	exec_changed(record, inode);
}

/* For a process whose fork nobody was told of. */
static __noinline int exec_ancestors(struct exec *record, struct task_struct *task)
{
	if (!record)
		return 0;
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
	return 0;
}

static __always_inline void exec_stdio(struct exec *record, struct task_struct *task)
{
	struct fdtable *table = task->files->fdt;
	struct file *files[3] = {};

	if (!table || table->max_fds < 3 ||
	    bpf_probe_read_kernel(files, sizeof(files), table->fd))
		return;
#pragma unroll
	for (u32 fd = 0; fd < 3; fd++) {
		/* Mostly all three are one. */
		if (fd && files[fd] == files[fd - 1])
			record->stdio[fd] = record->stdio[fd - 1];
		else if (files[fd])
			describe(&record->stdio[fd], files[fd]);
	}
}

static __always_inline void exec_arguments(struct scratch *s, struct exec *record,
					   struct mm_struct *mm)
{
	u64 start = mm->arg_start;
	u64 bytes = mm->arg_end - start;
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

#define VARIABLES_MAX 256
/* Of those of an environment that is too long to be read at once. */
#define SEARCHED_MAX 128
#define VARIABLE_BITS 9
#define VARIABLE_BYTES_MAX (1 << VARIABLE_BITS)
#define VARIABLE_MASK (2 * VARIABLE_BYTES_MAX - 1)
#define ENVIRONMENT_BYTES_MAX 8192
/* Of the variables that are told. A power of two. */
#define FOUND_MAX 32
/* "LD_", and how much of four bytes that is. */
#define LOADER_NAME 0x5f444c
#define LOADER_NAME_MASK 0xffffff

struct environment {
	/* Where the variables lie. */
	u64 places[VARIABLES_MAX];
	u64 count;
	u8 text[ENVIRONMENT_BYTES_MAX + sizeof(u32)];
	u64 found[FOUND_MAX];
	u64 found_count;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct environment);
} environments SEC(".maps");

static __always_inline void append_variable(struct scratch *s, u32 at, u64 place)
{
	long n;

	if (at > RECORD_BYTES_MAX - VARIABLE_BYTES_MAX)
		return;
	n = bpf_probe_read_user_str(s->bytes + at, VARIABLE_BYTES_MAX, (void *)place);
	if (n > 0)
		*(volatile u32 *)&s->at = at + (n & VARIABLE_MASK);
}

/* Without a branch, because the verifier would try both ways of each. */
static __always_inline u64 is_loader_name(u32 text)
{
	return ((u64)((text & LOADER_NAME_MASK) ^ LOADER_NAME) - 1) >> 63;
}

/*
 * Reads a whole environment at once; false if it is too long for that, or of a 32-bit program.
 * Where the variables lie stands on the stack that was just made for the program: the number of
 * arguments, these, an end, the variables.
 */
static __always_inline bool take_environment(struct environment *it, struct linux_binprm *binary,
					     u64 start, u64 bytes)
{
	struct linux_binprm___stack *stack = (void *)binary;
	u64 variables = stack->p + (stack->argc + 2) * sizeof(u64);
	u64 count = stack->envc;

	if (count > VARIABLES_MAX || bytes > ENVIRONMENT_BYTES_MAX)
		return 0;
	it->count = count;
	return !bpf_probe_read_user(it->places, count * sizeof(u64), (void *)variables) &&
	       !bpf_probe_read_user(it->text, bytes, (void *)start) && it->places[0] == start;
}

static __always_inline void find_variables(struct environment *it, u64 start)
{
	u64 count = *(volatile u64 *)&it->count;
	volatile u64 *found = &it->found_count;

	*found = 0;
	for (u64 i = 0; i < VARIABLES_MAX && i < count; i++) {
		u64 offset = (it->places[i] - start) & (ENVIRONMENT_BYTES_MAX - 1);
		u64 at = *found;

		it->found[at & (FOUND_MAX - 1)] = it->places[i];
		*found = at + is_loader_name(*(u32 *)(it->text + offset));
	}
}

/* One variable after the other. */
__noinline int search_variables(struct scratch *s, u64 next, u64 end)
{
	if (!s)
		return 0;
	for (u64 i = 0; i < SEARCHED_MAX && next < end; i++) {
		u32 at = place_now(s);
		u8 *text = s->bytes + at;
		u64 n;

		if (at > RECORD_BYTES_MAX - VARIABLE_BYTES_MAX)
			break;
		n = bpf_probe_read_user_str(text, VARIABLE_BYTES_MAX, (void *)next);
		if ((s64)n <= 0)
			break;
		/* A longer one goes on with its rest, which begins no name that is asked for. */
		next += n - (n >> VARIABLE_BITS);
		*(volatile u32 *)&s->at = at + is_loader_name(*(u32 *)text) * (n & VARIABLE_MASK);
	}
	return 0;
}

/* Of the environment only what makes the dynamic loader load something: names with LD_. */
static __noinline int exec_loader(struct scratch *s, struct linux_binprm *binary,
				  struct mm_struct *mm)
{
	u32 zero = 0;
	struct environment *it = bpf_map_lookup_elem(&environments, &zero);
	u64 start = mm->env_start, end = mm->env_end;

	if (!it || start >= end)
		return 0;
	if (!take_environment(it, binary, start, end - start))
		return search_variables(s, start, end);
	find_variables(it, start);
	for (u64 i = 0; i < FOUND_MAX && i < it->found_count; i++)
		append_variable(s, place_now(s), it->found[i]);
	return 0;
}

static __always_inline void exec_texts(struct scratch *s, struct exec *record,
				       struct task_struct *task, struct linux_binprm *binary)
{
	struct mm_struct *mm = task->mm;
	struct file *file = binary->file;
	struct fs_struct *fs = task->fs;
	const char *typed = binary->filename;
	u32 from;

	*(volatile u32 *)&s->at = sizeof(struct exec);
	exec_arguments(s, record, mm);
	append_known_path(s, &record->parts[EXEC_CWD], fs->pwd.dentry, fs->pwd.mnt);
	append_known_path(s, &record->parts[EXEC_EXECUTABLE], file->f_path.dentry, file->f_path.mnt);
	from = place_now(s);
	exec_loader(s, binary, mm);
	record->parts[EXEC_LOADER].bytes = place_now(s) - from;
	if (typed != binary->interp)
		append_text(s, &record->parts[EXEC_SCRIPT], typed, 0);
	exec_file(record, file->f_inode);
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
	/* Of the ancestors only as many are read as there are. */
	__builtin_memset(record, 0, offsetof(struct exec, ancestors));
	fill_head(&record->head, task, KIND_EXEC, 1);
	tid = record->head.tid;
	take_known(&now, task);
	known = bpf_map_lookup_elem(&tasks, &tid);
	/* The thread that calls exec takes over the number of the process, so the start differs
	 * only for a process that was not known. */
	if (known) {
		record->has_before = 1;
		record->before = known->rights;
		now.is_told = known->is_told;
		*known = now;
	} else {
		bpf_map_update_elem(&tasks, &tid, &now, BPF_ANY);
	}
	tty = task->signal->tty;
	if (tty) {
		const u64 *name = (const u64 *)tty->name;

		((u64 *)record->terminal)[0] = name[0];
		((u64 *)record->terminal)[1] = name[1];
	}
	exec_stdio(record, task);
	if (!now.is_told)
		exec_ancestors(record, task);
	exec_texts(s, record, task, binary);
	return hand_out(s, flow, 0);
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0];
	struct task_struct *child = (void *)ctx[1];
	u32 tid = child->pid;
	struct known known, *told;
	struct flow *flow = NULL;
	struct life *record;

	check_rights(parent, 0);
	take_known(&known, child);
	/* A thread is known, but not told. */
	if (tid == child->tgid)
		flow = admit(KIND_FORK, 0);
	known.is_told = flow != NULL;
	bpf_map_update_elem(&tasks, &tid, &known, BPF_ANY);
	if (!flow)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		flow->full++;
		told = bpf_map_lookup_elem(&tasks, &tid);
		if (told)
			told->is_told = 0;
		return 0;
	}
	fill_head(&record->head, parent, KIND_FORK, 1);
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
	struct signal_struct *signal = task->signal;
	u32 tid = task->pid;
	struct flow *flow;
	struct life *record;

	check_rights(task, 0);
	bpf_map_delete_elem(&tasks, &tid);
	/* The process ends with its last thread. */
	if (signal->live.counter)
		return 0;
	flow = admit(KIND_EXIT, 0);
	if (!flow)
		return 0;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		flow->full++;
		return 0;
	}
	fill_head(&record->head, task, KIND_EXIT, 1);
	record->head.bytes = sizeof(*record);
	record->child = 0;
	record->child_started_ns = 0;
	record->status = signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code
							   : task->group_leader->exit_code;
	flow->sent++;
	bpf_ringbuf_submit(record, wake(0, record->head.at_ns));
	return 0;
}
