/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Counting, the ring, and the maps that the programs of both objects share: user space makes them
 * once and hands them to both.
 */
#pragma once

#define AT_FDCWD (-100)
#define PIPEFS_MAGIC 0x50495045
#define PROC_MAGIC 0x9fa0
#define SYSFS_MAGIC 0x62656572
#define CGROUP_MAGIC 0x27e0eb

#define IF_MASK 0170000
#define IF_SOCKET 0140000
#define IF_REGULAR 0100000
#define IF_BLOCK 0060000
#define IF_CHARACTER 0020000
#define IF_FIFO 0010000

#define FAMILY_UNIX 1
#define FAMILY_INET 2
#define FAMILY_INET6 10
#define FAMILY_PACKET 17

/* Set by user space before loading; src/ebpf/load.rs writes the same layout. */
struct settings {
	u32 own_pid;
	u32 spare;
	/* From this fill of the ring on the reader is woken at once. */
	u64 wake_fill_bytes;
	/* Events of a kind per second and processor; 0: all of them. */
	u32 limits[32];
};

const volatile struct settings settings SEC(".rodata.settings") = {};

/* Why a file is told; the record carries it. */
#define WATCHED_PLACE 1
/* Beside a watched path, or an interface of the kernel: user space compares the text. */
#define WATCHED_NEAR 2
#define WATCHED_TEXT 4
/* A change that matters wherever it is. */
#define WATCHED_RIGHTS 8
/* Reading it is told too: the file itself, or the directory it stands in. */
#define WATCHED_SECRET 16
/* A place where files come and go by the thousand; they may not use up what is told of others. */
#define WATCHED_BUSY 32

/* The reader is woken by the first event after this long, and then looks by itself. */
#define WAKE_NS 20000000ULL
#define SECOND_NS 1000000000ULL

struct scratch {
	u64 arguments[6];
	s64 result;
	u32 call;
	/* Where the next part goes. Kept in memory: as a register its range makes the verifier try
	 * every sum of lengths. */
	u32 at;
	u32 watched;
	/* Whether the path that is walked is looked up among the watched places. */
	u32 is_watching;
	u32 form;
	u32 spare;
	u8 bytes[RECORD_BYTES_MAX + TEXT_BYTES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* What happened to the events of a kind on one processor. */
struct flow {
	u64 sent;
	u64 full;
	u64 flood;
	u64 window_ns;
	u64 in_window;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 32);
	__type(key, u32);
	__type(value, struct flow);
} flows SEC(".maps");

/* The rights and the name a thread was last seen with. */
struct known {
	u64 started_ns;
	struct rights rights;
	u32 suid, fsuid;
	u64 permitted;
	char name[16];
	/* Its fork was told, and with it who its ancestors are. */
	u64 is_told;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, u32);
	__type(value, struct known);
} tasks SEC(".maps");

/* Watched directories and files, by inode: links and mounts do not lead around it. The value is
 * of WATCHED_PLACE, WATCHED_BUSY, WATCHED_SECRET, and WATCHED_NEAR for the directory of a watched
 * file. */
struct place {
	u64 inode;
	u32 device;
	u32 spare;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct place);
	__type(value, u32);
} places SEC(".maps");

/* Names of files that hold secrets wherever they lie: keys, histories. */
#define SECRET_NAME_BYTES_MAX 32
struct secret_name {
	u8 text[SECRET_NAME_BYTES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct secret_name);
	__type(value, u32);
} secret_names SEC(".maps");

/* Beginnings of watched paths, as text. The value is WATCHED_TEXT or WATCHED_BUSY. */
#define PREFIX_BYTES_MAX 64
struct prefix {
	u32 bits;
	u8 text[PREFIX_BYTES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, u32);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u32);
} protected_pids SEC(".maps");

/* One for both objects, as every map of this file. */
u64 last_wake_ns = 0;

/* Counts an event of this kind; 0 when there were too many of it within the second. */
static __always_inline struct flow *admit(u32 kind, u64 now)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, &kind);
	u32 limit;

	if (!flow)
		return NULL;
	limit = settings.limits[kind & 31];
	if (!limit)
		return flow;
	if (now - flow->window_ns > SECOND_NS) {
		flow->window_ns = now;
		flow->in_window = 0;
	}
	if (flow->in_window >= limit) {
		flow->flood++;
		return NULL;
	}
	flow->in_window++;
	return flow;
}

/*
 * Waking the reader costs more than making the event, so it is done for the first event in a
 * while, for those that cannot wait, and when the ring fills; else the reader comes by itself.
 */
static __always_inline u64 wake(bool urgent, u64 now)
{
	u64 quiet = now - last_wake_ns;

	if (urgent || quiet > WAKE_NS ||
	    (quiet > WAKE_NS / 20 &&
	     bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > settings.wake_fill_bytes)) {
		last_wake_ns = now;
		return BPF_RB_FORCE_WAKEUP;
	}
	return BPF_RB_NO_WAKEUP;
}

static __always_inline struct scratch *scratch_of(void *map)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}

static __always_inline u32 place_now(struct scratch *s)
{
	return *(volatile u32 *)&s->at;
}

/* Hands out the record that lies in `s`. */
static __always_inline int hand_out(struct scratch *s, struct flow *flow, bool urgent)
{
	struct head *head = (struct head *)s->bytes;
	u32 bytes = place_now(s);

	if (bytes > RECORD_BYTES_MAX)
		bytes = RECORD_BYTES_MAX;
	head->bytes = bytes;
	if (bpf_ringbuf_output(&ring, s->bytes, bytes, wake(urgent, head->at_ns)))
		flow->full++;
	else
		flow->sent++;
	return 0;
}

/*
 * What a pointer of a tracepoint leads to can be read directly: the verifier knows its type, and a
 * fault gives zero. What came through memory is an address only and is read by a helper. For
 * each direct step to another pointer newer kernels search all their types by name, which takes
 * longer than to check a whole small program; so what is not done for every program that starts
 * stays with the helper.
 */
#define SEE(from, member) (is_direct ? (from)->member : BPF_CORE_READ(from, member))
#define SEE2(from, a, b) (is_direct ? (from)->a->b : BPF_CORE_READ(from, a, b))

static __always_inline void read_rights(struct rights *rights, const struct cred *cred,
					bool is_direct)
{
	rights->uid = SEE(cred, uid.val);
	rights->euid = SEE(cred, euid.val);
	rights->gid = SEE(cred, gid.val);
	rights->egid = SEE(cred, egid.val);
	if (is_direct)
		rights->capabilities = *(const u64 *)&cred->cap_effective;
	else
		bpf_core_read(&rights->capabilities, sizeof(u64), &cred->cap_effective);
}

static __always_inline void read_name(char *to, const struct task_struct *task)
{
	const u64 *name = (const u64 *)task->comm;

	((u64 *)to)[0] = name[0];
	((u64 *)to)[1] = name[1];
}

static __always_inline void fill_head(struct head *head, struct task_struct *task, u32 kind,
				      bool is_direct)
{
	const struct cred *cred = SEE(task, real_cred);
	struct nsproxy *ns = SEE(task, nsproxy);
	struct rights rights = {};

	head->kind = kind;
	head->call = 0;
	head->bytes = 0;
	head->at_ns = bpf_ktime_get_boot_ns();
	head->started_ns = SEE2(task, group_leader, start_boottime);
	head->user_ns = 0;
	if (cred) {
		read_rights(&rights, cred, is_direct);
		head->user_ns = SEE2(cred, user_ns, ns.inum);
	}
	head->capabilities = rights.capabilities;
	head->pid = task->tgid;
	head->tid = task->pid;
	head->parent = SEE2(task, real_parent, tgid);
	head->uid = rights.uid;
	head->euid = rights.euid;
	head->gid = rights.gid;
	head->egid = rights.egid;
	head->login_uid = ~0U;
	head->session = ~0U;
	if (bpf_core_field_exists(task->loginuid)) {
		head->login_uid = task->loginuid.val;
		head->session = task->sessionid;
	}
	head->pid_ns = SEE2(ns, pid_ns_for_children, ns.inum);
	head->mount_ns = SEE2(ns, mnt_ns, ns.inum);
	head->net_ns = SEE2(ns, net_ns, ns.inum);
	head->spare = 0;
	read_name(head->name, task);
}
