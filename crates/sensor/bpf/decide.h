/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Maps of the deciding programs, who is trusted, and how a refusal is told. */
#pragma once

#define EPERM 1
#define FMODE_WRITE 2
#define PTRACE_MODE_ATTACH 2
#define SHA256_BYTES 32
#define HASH_ALGO_SHA256 4
#define NAME_BYTES_MAX 256
#define DEPTH_MAX 48
#define TICK_NS 10000000ULL
#define SECOND_NS 1000000000ULL
#define CGROUP2_SUPER_MAGIC 0x63677270
#define PROC_SUPER_MAGIC 0x9fa0
#define MS_REMOUNT 32
#define MS_BIND 4096
/* Unbindable, private, slave, shared. */
#define MS_SPREAD (15 << 17)
/* Flags of a file, by the three calls there are for them. */
#define FS_IOC_SETFLAGS 0x40086602
#define FS_IOC32_SETFLAGS 0x40046602
#define FS_IOC_FSSETXATTR 0x401c5820
#define PIDTYPE_PID 0

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* What only these programs look into. */
struct mount___decide {
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
	/* Not 0: what happens here happens in all mounts of the group. */
	int mnt_group_id;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct pid___decide {
	struct hlist_head tasks[1];
};

struct proc_inode {
	struct pid___decide *pid;
	struct inode vfs_inode;
};

struct task_struct___decide {
	struct hlist_node pid_links[1];
};

#pragma clang attribute pop

/* Why something was refused; src/lsm/record.rs has the same list. */
enum refused {
	REFUSED_EXEC = 1,
	REFUSED_WRITE,
	REFUSED_ATTRIBUTES,
	REFUSED_REMOVE,
	REFUSED_RENAME,
	REFUSED_MAKE,
	REFUSED_LINK,
	REFUSED_MOUNT,
	REFUSED_SIGNAL,
	REFUSED_TRACE,
	REFUSED_LIMIT,
	REFUSED_BPF,
};

/* By inode: links and mounts do not lead around it. The generation changes when the number is given
 * to another file. */
struct place {
	u64 inode;
	u32 device;
	u32 generation;
};

struct refusal {
	u64 at_ns;
	/* The protected place that decided; of a program, its own. */
	struct place place;
	u32 what;
	u32 pid, uid;
	/* Of the process that it was about. */
	u32 target;
	u32 signal;
	u32 spare;
	char name[16];
	/* The last component of the path; of a program, the path as it was given. */
	char text[NAME_BYTES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 10);
} refusals SEC(".maps");

/* Written by user space only. */
struct orders {
	/* How many entries there are, so that an empty list costs one look. */
	u32 places;
	u32 refused_files;
	u32 refused_contents;
	/* Grows with every change of the contents: what was judged before is judged again. */
	u32 generation;
	/* From the clock of the machine's start to that of files. */
	s64 offset_ns;
	/* A thread of user space wants to know how the kernel sees what it opens: the one that opens
	 * this file first. 0: nobody does. */
	u64 probe_inode;
	u32 probe_device;
	/* Numbers of the mounts that the agent sees, and those that the first process does. */
	u32 agent_mounts, first_mounts;
	u32 spare;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct orders);
} orders SEC(".maps");

/* Written by the kernel's side only. */
struct counts {
	u64 untold;
	/* Contents that could not be read, or were summed by another algorithm. */
	u64 unjudged;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counts);
} counts SEC(".maps");

/* What must be the same for a file to have the content it had: ctime cannot be set back. */
struct identity {
	u64 inode;
	u64 size;
	s64 changed_s;
	u32 changed_ns;
	u32 device;
};

struct learned {
	u64 who;
	u64 started_ticks;
	struct place place;
	struct identity identity;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct learned);
} learned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct identity);
	__type(value, u32);
} refused_files SEC(".maps");

struct digest {
	u8 bytes[SHA256_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct digest);
	__type(value, u32);
} refused_contents SEC(".maps");

/* What the content of a file was found to be. */
struct judged {
	u32 generation;
	u32 is_refused;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct identity);
	__type(value, struct judged);
} judged SEC(".maps");

/* It is neither written nor changed, nor renamed or removed. */
#define PLACE_FILE 1
/* The same for everything below. */
#define PLACE_TREE 2
/* Below it nothing is refused, whatever stands above. */
#define PLACE_OPEN 4
/* It is neither renamed nor removed, nor mounted upon. */
#define PLACE_NAME 8

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct place);
	__type(value, u32);
} places SEC(".maps");

/* Nobody may end, stop, trace or bound it. */
#define PROCESS_PROTECTED 1
/* It may do all that is refused to others. */
#define PROCESS_TRUSTED 2
/* Yet anybody who may at all can ask it to end: SIGTERM, SIGINT. */
#define PROCESS_ORDERLY 4

struct process {
	u64 started_ticks;
	u32 pid;
	u32 spare;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct process);
	__type(value, u32);
} processes SEC(".maps");

#define OBJECT_MAP 1
#define OBJECT_LINK 2

/* Maps and attachments by which the agent could be disarmed, by the kernel's numbers. */
struct object {
	u32 kind;
	u32 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct object);
	__type(value, u32);
} objects SEC(".maps");

static __always_inline struct orders *orders_now(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&orders, &zero);
}

static __always_inline struct counts *counts_now(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&counts, &zero);
}

static __always_inline u32 process_bits(struct task_struct *task)
{
	struct process process = {
		.started_ticks = BPF_CORE_READ(task, group_leader, start_boottime) / TICK_NS,
		.pid = BPF_CORE_READ(task, tgid),
	};
	u32 *found = bpf_map_lookup_elem(&processes, &process);

	return found ? *found : 0;
}

/* The first process is what stops and starts services; the kernel's own threads have no memory. */
static __always_inline bool is_trusted(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return bpf_get_current_pid_tgid() >> 32 == 1 || !BPF_CORE_READ(task, mm) ||
	       process_bits(task) & PROCESS_TRUSTED;
}

/* Control groups have one tree however often they are mounted, each time as another device. */
static __always_inline void place_of(struct place *place, struct inode *inode)
{
	bool groups = BPF_CORE_READ(inode, i_sb, s_magic) == CGROUP2_SUPER_MAGIC;

	place->inode = BPF_CORE_READ(inode, i_ino);
	place->device = groups ? 0 : BPF_CORE_READ(inode, i_sb, s_dev);
	place->generation = BPF_CORE_READ(inode, i_generation);
}

/* Whose file below /proc it is; NULL for all others. */
static __always_inline struct task_struct *subject_of(struct inode *inode)
{
	struct proc_inode *proc = (void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	struct hlist_node *first;
	struct pid___decide *pid;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != PROC_SUPER_MAGIC)
		return NULL;
	pid = BPF_CORE_READ(proc, pid);
	first = pid ? BPF_CORE_READ(pid, tasks[PIDTYPE_PID].first) : NULL;
	if (!first)
		return NULL;
	return (void *)first - bpf_core_field_offset(struct task_struct___decide, pid_links);
}

static __always_inline void identity_of(struct identity *identity, struct inode *inode)
{
	identity->inode = BPF_CORE_READ(inode, i_ino);
	identity->size = BPF_CORE_READ(inode, i_size);
	identity->device = BPF_CORE_READ(inode, i_sb, s_dev);
	read_changed(inode, &identity->changed_s, &identity->changed_ns);
}

/* Tells of it and is the answer. */
static __always_inline int refuse(u32 what, struct place *place, const void *text, u32 target,
				  u32 signal)
{
	struct refusal *it = bpf_ringbuf_reserve(&refusals, sizeof(*it), 0);

	if (!it) {
		struct counts *counts = counts_now();

		if (counts)
			__sync_fetch_and_add(&counts->untold, 1);
		return -EPERM;
	}
	__builtin_memset(it, 0, sizeof(*it));
	it->at_ns = bpf_ktime_get_boot_ns();
	if (place)
		it->place = *place;
	it->what = what;
	it->pid = bpf_get_current_pid_tgid() >> 32;
	it->uid = bpf_get_current_uid_gid();
	it->target = target;
	it->signal = signal;
	bpf_get_current_comm(it->name, sizeof(it->name));
	if (text)
		bpf_probe_read_kernel_str(it->text, sizeof(it->text), text);
	bpf_ringbuf_submit(it, 0);
	return -EPERM;
}
