/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Calls about processes, the kernel's own code, and what a process can see of the host. */
#pragma once

#define BEGIN_HANDLER                                                                             \
	struct scratch *s = scratch_of(&call_scratch);                                             \
	struct task_struct *task = bpf_get_current_task_btf();                                     \
	if (!s)                                                                                    \
		return 0

SEC("tp_btf/sys_exit")
int on_rights(u64 *ctx)
{
	BEGIN_HANDLER;
	check_rights(task, s->call);
	return 0;
}

#define PTRACE_POKETEXT 4
#define PTRACE_POKEDATA 5
#define PTRACE_POKEUSR 6
#define PTRACE_SETREGS 13
#define PTRACE_ATTACH 16
#define PTRACE_SETREGSET 0x4205
#define PTRACE_SEIZE 0x4206

/* ptrace(request, pid) and process_vm_writev(pid): what changes another process. */
SEC("tp_btf/sys_exit")
int on_trace(u64 *ctx)
{
	struct call *record;

	BEGIN_HANDLER;
	if (s->call == NR_ptrace) {
		u32 request = s->arguments[0];

		if (request != PTRACE_ATTACH && request != PTRACE_SEIZE &&
		    request != PTRACE_POKETEXT && request != PTRACE_POKEDATA &&
		    request != PTRACE_POKEUSR && request != PTRACE_SETREGS &&
		    request != PTRACE_SETREGSET)
			return 0;
	} else if ((u32)s->arguments[0] == (u32)task->tgid) {
		return 0;
	}
	record = begin(s, task, KIND_TRACE);
	record->arguments[0] = s->arguments[0];
	record->arguments[1] = s->arguments[1];
	return finish(s, record, 1);
}

SEC("tp_btf/sys_exit")
int on_memfd(u64 *ctx)
{
	struct call *record;

	BEGIN_HANDLER;
	if (s->result < 0)
		return 0;
	record = begin(s, task, KIND_MEMFD);
	append_text(s, &record->parts[0], (void *)s->arguments[0], 1);
	return finish(s, record, 0);
}

/* What a program asks for by a ring comes by no call that could be seen, so the ring is told. */
SEC("tp_btf/sys_exit")
int on_io_uring(u64 *ctx)
{
	struct call *record;

	BEGIN_HANDLER;
	if (s->result < 0)
		return 0;
	record = begin(s, task, KIND_IO_URING);
	record->arguments[0] = s->arguments[0];
	return finish(s, record, 0);
}

/* Names of modules that the thread with this number is loading. */
struct module_name {
	char text[56];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct module_name);
} modules SEC(".maps");

/* The name stands in the image, which only the kernel has taken apart. */
SEC("?tp_btf/module_load")
int on_module_load(u64 *ctx)
{
	struct module *module = (void *)ctx[0];
	u32 tid = bpf_get_current_pid_tgid();
	struct module_name name = {};

	bpf_core_read_str(&name.text, sizeof(name.text), &module->name);
	bpf_map_update_elem(&modules, &tid, &name, BPF_ANY);
	return 0;
}

/* init_module(image), finit_module(fd), delete_module(name). */
SEC("tp_btf/sys_exit")
int on_module(u64 *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct module_name *name;
	struct call *record;

	BEGIN_HANDLER;
	record = begin(s, task, KIND_MODULE);
	if (s->call == NR_delete_module) {
		append_text(s, &record->parts[0], (void *)s->arguments[0], 1);
		return finish(s, record, 1);
	}
	name = bpf_map_lookup_elem(&modules, &tid);
	if (name) {
		append_text(s, &record->parts[0], name->text, 0);
		bpf_map_delete_elem(&modules, &tid);
	}
	if (s->call == NR_finit_module) {
		struct file *file = file_of(task, s->arguments[0]);

		if (file) {
			struct path path;

			bpf_core_read(&path, sizeof(path), &file->f_path);
			append_path(s, &record->parts[1], &path, 0);
		}
	}
	return finish(s, record, 1);
}

#define BPF_PROG_LOAD 5

/* The beginning of `union bpf_attr` for BPF_PROG_LOAD. */
struct load_attributes {
	u32 type;
	u8 between[44];
	char name[16];
};

SEC("tp_btf/sys_exit")
int on_bpf(u64 *ctx)
{
	struct load_attributes attributes = {};
	struct call *record;

	BEGIN_HANDLER;
	if ((u32)s->arguments[0] != BPF_PROG_LOAD || (u32)task->tgid == settings.own_pid)
		return 0;
	/* Programs of long ago had no names. */
	if ((u32)s->arguments[2] < sizeof(attributes))
		bpf_probe_read_user(&attributes, sizeof(u32), (void *)s->arguments[1]);
	else
		bpf_probe_read_user(&attributes, sizeof(attributes), (void *)s->arguments[1]);
	attributes.name[15] = 0;
	record = begin(s, task, KIND_BPF);
	record->arguments[0] = attributes.type;
	append_text(s, &record->parts[0], attributes.name, 0);
	return finish(s, record, 0);
}

/* mount(source, target, kind, flags), umount2(target), pivot_root(new, old),
 * move_mount(from fd, from path, to fd, to path): the end of the newer way to mount. */
SEC("tp_btf/sys_exit")
int on_mount(u64 *ctx)
{
	struct call *record;

	BEGIN_HANDLER;
	record = begin(s, task, KIND_MOUNT);
	if (s->call == NR_move_mount) {
		struct file *file = file_of(task, s->arguments[0]);

		append_text(s, &record->parts[0], (void *)s->arguments[1], 1);
		append_text(s, &record->parts[1], (void *)s->arguments[3], 1);
		if (file)
			append_text(s, &record->parts[2],
				    BPF_CORE_READ(file, f_path.mnt, mnt_sb, s_type, name), 0);
		return finish(s, record, 0);
	}
	append_text(s, &record->parts[0], (void *)s->arguments[0], 1);
	if (s->call != NR_umount2)
		append_text(s, &record->parts[1], (void *)s->arguments[1], 1);
	if (s->call == NR_mount) {
		append_text(s, &record->parts[2], (void *)s->arguments[2], 1);
		record->arguments[0] = s->arguments[3];
	}
	return finish(s, record, 0);
}

/* unshare(flags), setns(fd, flags), clone(flags), clone3(arguments). */
SEC("tp_btf/sys_exit")
int on_namespace(u64 *ctx)
{
	u64 flags;
	struct call *record;

	BEGIN_HANDLER;
	flags = s->arguments[0];
	if (s->call == NR_setns)
		flags = s->arguments[1];
	if (s->call == NR_clone3 && bpf_probe_read_user(&flags, sizeof(flags), (void *)s->arguments[0]))
		return 0;
	/* The child's own return from clone. */
	if ((s->call == NR_clone || s->call == NR_clone3) && s->result == 0)
		return 0;
	/* A new user namespace comes with all rights inside it. */
	check_rights(task, s->call);
	if (s->call != NR_setns && !(flags & CLONE_NAMESPACES))
		return 0;
	record = begin(s, task, KIND_NAMESPACE);
	record->arguments[0] = flags;
	return finish(s, record, 0);
}

static __always_inline bool is_same_name(const char *a, const char *b)
{
	const u64 *left = (const u64 *)a, *right = (const u64 *)b;

	return left[0] == right[0] && left[1] == right[1];
}

/* A process' name by prctl(PR_SET_NAME) or by writing to /proc/PID/comm. */
static __always_inline int tell_name(struct scratch *s, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	u32 tid = leader->pid;
	struct known *known = bpf_map_lookup_elem(&tasks, &tid), now;
	struct call *record;

	if (!known) {
		take_known(&now, leader);
		bpf_map_update_elem(&tasks, &tid, &now, BPF_ANY);
		return 0;
	}
	read_name(now.name, leader);
	if (is_same_name(now.name, known->name))
		return 0;
	record = begin(s, task, KIND_NAME);
	append_text(s, &record->parts[0], known->name, 0);
	append_text(s, &record->parts[1], now.name, 0);
	__builtin_memcpy(known->name, now.name, sizeof(now.name));
	return finish(s, record, 0);
}

SEC("tp_btf/sys_exit")
int on_rename(u64 *ctx)
{
	BEGIN_HANDLER;
	/* Threads name themselves all the time; the process has the name of its first one. */
	if ((u32)s->arguments[0] != PR_SET_NAME ||
	    task->pid != task->tgid)
		return 0;
	return tell_name(s, task);
}

static __always_inline u32 pid_of_pidfd(struct task_struct *task, u32 fd)
{
	struct file *file = file_of(task, fd);
	struct pid *pid;

	if (!file)
		return 0;
	pid = BPF_CORE_READ(file, private_data);
	/* A file system of its own since 6.9. */
	if (!pid)
		pid = BPF_CORE_READ(file, f_inode, i_private);
	return BPF_CORE_READ(pid, numbers[0].nr);
}

SEC("tp_btf/sys_exit")
int on_signal(u64 *ctx)
{
	s32 target, signal;
	u32 key, own;
	struct call *record;

	BEGIN_HANDLER;
	/* In another pid namespace the number means another process, and ours cannot be reached. */
	if (BPF_CORE_READ(task, nsproxy, pid_ns_for_children, level))
		return 0;
	target = s->arguments[0];
	signal = s->arguments[1];
	if (s->call == NR_tgkill || s->call == NR_rt_tgsigqueueinfo)
		signal = s->arguments[2];
	if (s->call == NR_pidfd_send_signal)
		target = pid_of_pidfd(task, s->arguments[0]);
	if (!signal)
		return 0;
	key = target < -1 ? -target : target;
	own = task->tgid;
	if (target == -1)
		key = settings.own_pid;
	if (key == own || !bpf_map_lookup_elem(&protected_pids, &key))
		return 0;
	record = begin(s, task, KIND_SIGNAL);
	record->arguments[0] = key;
	record->arguments[1] = signal;
	return finish(s, record, 1);
}
