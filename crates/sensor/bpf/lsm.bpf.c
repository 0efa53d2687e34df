// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * The programs that decide, at the hooks of the kernel's security modules: which programs do not
 * start, which files nobody changes, which processes nobody ends. With empty lists they refuse
 * nothing, and with the last descriptor of theirs they are gone.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "inode.h"
#include "decide.h"

/* The kernel lends some helpers only to programs under the GPL. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- programs ---- */

static __always_inline int refuse_program(struct linux_binprm *bprm)
{
	struct place place;

	place_of(&place, BPF_CORE_READ(bprm, file, f_inode));
	return refuse(REFUSED_EXEC, &place, BPF_CORE_READ(bprm, filename), 0, 0);
}

/* A file whose content user space has judged. Of a script this is asked twice: for the script,
 * and for what interprets it. */
SEC("lsm/bprm_check_security")
int BPF_PROG(exec_by_file, struct linux_binprm *bprm)
{
	struct orders *orders = orders_now();
	struct identity identity;

	if (!orders || !orders->refused_files)
		return 0;
	identity_of(&identity, BPF_CORE_READ(bprm, file, f_inode));
	if (!bpf_map_lookup_elem(&refused_files, &identity))
		return 0;
	return refuse_program(bprm);
}

/* What was written within the last second may be written again without another ctime. */
static __always_inline bool is_settled(struct orders *orders, struct identity *identity)
{
	s64 now = bpf_ktime_get_boot_ns() + orders->offset_ns;
	s64 changed = identity->changed_s * (s64)SECOND_NS + identity->changed_ns;

	return changed + (s64)SECOND_NS < now;
}

/* The kernel reads the content itself, where it has the integrity subsystem: nobody needs to have
 * seen the file before, and it may lie where nobody else sees it. Nobody writes to it meanwhile. */
SEC("lsm.s/bprm_check_security")
int BPF_PROG(exec_by_content, struct linux_binprm *bprm)
{
	struct orders *orders = orders_now();
	struct identity identity;
	struct digest digest = {};
	struct judged now = {};
	struct judged *known;

	if (!orders || !orders->refused_contents)
		return 0;
	identity_of(&identity, BPF_CORE_READ(bprm, file, f_inode));
	known = bpf_map_lookup_elem(&judged, &identity);
	if (known && known->generation == orders->generation)
		return known->is_refused ? refuse_program(bprm) : 0;
	now.generation = orders->generation;
	if (bpf_ima_file_hash(bprm->file, &digest, sizeof(digest)) != HASH_ALGO_SHA256) {
		struct counts *counts = counts_now();

		if (counts)
			__sync_fetch_and_add(&counts->unjudged, 1);
		return 0;
	}
	now.is_refused = bpf_map_lookup_elem(&refused_contents, &digest) != NULL;
	if (is_settled(orders, &identity))
		bpf_map_update_elem(&judged, &identity, &now, BPF_ANY);
	return now.is_refused ? refuse_program(bprm) : 0;
}

/* ---- files ---- */

/* Whether `dentry`, or the way to it, is protected; `own` are the bits that count for itself. What
 * goes from round to round has eight bytes: kept on the stack, half of them would be forgotten by
 * the verifier when something is read into the other half. */
static __noinline int is_held(struct dentry *dentry, u64 own, struct place *place)
{
	struct orders *orders = orders_now();

	if (!dentry || !place || !orders || !orders->places)
		return 0;
	for (u64 depth = 0; depth < DEPTH_MAX; depth++) {
		struct inode *inode = BPF_CORE_READ(dentry, d_inode);
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		u32 *bits = NULL;

		/* A name that is about to be made has no inode yet. */
		if (inode) {
			place_of(place, inode);
			bits = bpf_map_lookup_elem(&places, place);
		}
		if (bits && *bits & (own | PLACE_TREE))
			return 1;
		/* It opens what is below it, not itself. */
		if (bits && *bits & PLACE_OPEN && depth)
			return 0;
		if (dentry == parent)
			return 0;
		dentry = parent;
		own = 0;
	}
	return 0;
}

static __always_inline int judge(u32 what, struct dentry *dentry, u64 own)
{
	struct place place = {};

	if (!is_held(dentry, own, &place) || is_trusted())
		return 0;
	return refuse(what, &place, BPF_CORE_READ(dentry, d_name.name), 0, 0);
}

static __always_inline void learn(struct orders *orders, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 who = bpf_get_current_pid_tgid();
	struct place place;
	u32 zero = 0;
	struct learned *it = bpf_map_lookup_elem(&learned, &zero);

	if (!it)
		return;
	place_of(&place, inode);
	if (place.inode == orders->probe_inode && place.device == orders->probe_device) {
		it->who = who;
		it->started_ticks = BPF_CORE_READ(task, group_leader, start_boottime) / TICK_NS;
	} else if (it->who == who) {
		it->place = place;
		identity_of(&it->identity, inode);
	}
}

/* The first bytes of oom_score_adj and oom_adj: whom the kernel ends when memory runs out. */
static __always_inline bool says_who_ends(struct dentry *dentry)
{
	char name[8] = {};

	bpf_probe_read_kernel(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	return !__builtin_memcmp(name, "oom_scor", 8) || !__builtin_memcmp(name, "oom_adj", 8);
}

static __always_inline int refuse_process(u32 what, struct task_struct *task, u32 signal)
{
	return refuse(what, NULL, NULL, BPF_CORE_READ(task, tgid), signal);
}

SEC("lsm/file_open")
int BPF_PROG(open_file, struct file *file)
{
	struct orders *orders = orders_now();
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct task_struct *subject;

	if (orders && orders->probe_inode)
		learn(orders, file);
	if (!(BPF_CORE_READ(file, f_mode) & FMODE_WRITE))
		return 0;
	subject = subject_of(BPF_CORE_READ(file, f_inode));
	if (subject && process_bits(subject) & PROCESS_PROTECTED && says_who_ends(dentry))
		return is_trusted() ? 0 : refuse_process(REFUSED_LIMIT, subject, 0);
	return judge(REFUSED_WRITE, dentry, PLACE_FILE);
}

/* Flags of a file have no hook of their own before Linux 6.17: one that nobody can change any more
 * stops the agent as well as one that is gone. */
SEC("lsm/file_ioctl")
int BPF_PROG(change_flags, struct file *file, unsigned int command)
{
	if (command != FS_IOC_SETFLAGS && command != FS_IOC32_SETFLAGS &&
	    command != FS_IOC_FSSETXATTR)
		return 0;
	return judge(REFUSED_ATTRIBUTES, BPF_CORE_READ(file, f_path.dentry), PLACE_FILE);
}

/* Mode, owner, times, and length by `truncate`. From Linux 6.9 on something stands before the
 * dentry; user space loads the one that fits. */
SEC("lsm/inode_setattr")
int BPF_PROG(change_attributes, struct dentry *dentry)
{
	return judge(REFUSED_ATTRIBUTES, dentry, PLACE_FILE);
}

SEC("lsm/inode_setattr")
int BPF_PROG(change_attributes_mapped, void *mapping, struct dentry *dentry)
{
	return judge(REFUSED_ATTRIBUTES, dentry, PLACE_FILE);
}

SEC("lsm/inode_setxattr")
int BPF_PROG(set_attribute, void *mapping, struct dentry *dentry)
{
	return judge(REFUSED_ATTRIBUTES, dentry, PLACE_FILE);
}

SEC("lsm/inode_removexattr")
int BPF_PROG(remove_attribute, void *mapping, struct dentry *dentry)
{
	return judge(REFUSED_ATTRIBUTES, dentry, PLACE_FILE);
}

/* From Linux 6.2 on access lists are no attributes to the security modules. */
SEC("lsm/inode_set_acl")
int BPF_PROG(set_access_list, void *mapping, struct dentry *dentry)
{
	return judge(REFUSED_ATTRIBUTES, dentry, PLACE_FILE);
}

SEC("lsm/inode_remove_acl")
int BPF_PROG(remove_access_list, void *mapping, struct dentry *dentry)
{
	return judge(REFUSED_ATTRIBUTES, dentry, PLACE_FILE);
}

SEC("lsm/inode_unlink")
int BPF_PROG(remove_file, struct inode *directory, struct dentry *dentry)
{
	return judge(REFUSED_REMOVE, dentry, PLACE_FILE | PLACE_NAME);
}

SEC("lsm/inode_rmdir")
int BPF_PROG(remove_directory, struct inode *directory, struct dentry *dentry)
{
	return judge(REFUSED_REMOVE, dentry, PLACE_FILE | PLACE_NAME);
}

SEC("lsm/inode_rename")
int BPF_PROG(rename_file, struct inode *from, struct dentry *old, struct inode *to,
	     struct dentry *new)
{
	int refused = judge(REFUSED_RENAME, old, PLACE_FILE | PLACE_NAME);

	return refused ? refused : judge(REFUSED_RENAME, new, PLACE_FILE | PLACE_NAME);
}

/* Another name would lie outside of what is protected. */
SEC("lsm/inode_link")
int BPF_PROG(link_file, struct dentry *old, struct inode *directory, struct dentry *new)
{
	int refused = judge(REFUSED_LINK, old, PLACE_FILE);

	return refused ? refused : judge(REFUSED_LINK, new, 0);
}

SEC("lsm/inode_create")
int BPF_PROG(make_file, struct inode *directory, struct dentry *dentry)
{
	return judge(REFUSED_MAKE, dentry, 0);
}

SEC("lsm/inode_mkdir")
int BPF_PROG(make_directory, struct inode *directory, struct dentry *dentry)
{
	return judge(REFUSED_MAKE, dentry, 0);
}

SEC("lsm/inode_mknod")
int BPF_PROG(make_node, struct inode *directory, struct dentry *dentry)
{
	return judge(REFUSED_MAKE, dentry, 0);
}

SEC("lsm/inode_symlink")
int BPF_PROG(make_link, struct inode *directory, struct dentry *dentry)
{
	return judge(REFUSED_MAKE, dentry, 0);
}

/* Whether the agent, or whoever starts it, would see another file there. Services and containers
 * mount upon the same folders all the time, in mounts that only they see. */
static __always_inline int judge_mount(struct path *to)
{
	struct mount___decide *mount = (void *)BPF_CORE_READ(to, mnt) -
				       bpf_core_field_offset(struct mount___decide, mnt);
	u32 mounts = BPF_CORE_READ(mount, mnt_ns, ns.inum);
	struct orders *orders = orders_now();

	if (!orders || (mounts != orders->agent_mounts && mounts != orders->first_mounts &&
			!BPF_CORE_READ(mount, mnt_group_id)))
		return 0;
	return judge(REFUSED_MOUNT, BPF_CORE_READ(to, dentry), PLACE_FILE | PLACE_NAME);
}

SEC("lsm/sb_mount")
int BPF_PROG(mount_upon, const char *source, struct path *path, const char *type,
	     unsigned long flags)
{
	/* Other options, or another group, for what is mounted already. */
	if (flags & MS_REMOUNT || (!(flags & MS_BIND) && flags & MS_SPREAD))
		return 0;
	return judge_mount(path);
}

SEC("lsm/move_mount")
int BPF_PROG(move_upon, struct path *from, struct path *to)
{
	return judge_mount(to);
}

/* ---- processes ---- */

/* Of signals that processes send; the kernel's own are not asked about. */
SEC("lsm/task_kill")
int BPF_PROG(send_signal, struct task_struct *target, void *info, int signal)
{
	u32 bits = process_bits(target);

	if (!(bits & PROCESS_PROTECTED))
		return 0;
	/* Nothing, and SIGCHLD, SIGCONT, SIGURG, SIGWINCH, which end nobody. */
	if (!signal || signal == 17 || signal == 18 || signal == 23 || signal == 28)
		return 0;
	if (bits & PROCESS_ORDERLY && (signal == 2 || signal == 15))
		return 0;
	return is_trusted() ? 0 : refuse_process(REFUSED_SIGNAL, target, signal);
}

/* A signal that a descriptor sends, which may be SIGKILL. Nobody protected asks for any, and who
 * is running now need not be who asked. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(send_signal_of_file, struct task_struct *target, void *owner, int signal)
{
	if (!(process_bits(target) & PROCESS_PROTECTED))
		return 0;
	return refuse_process(REFUSED_SIGNAL, target, signal);
}

/* Tracing, writing to memory, taking descriptors; looking on stays allowed. */
SEC("lsm/ptrace_access_check")
int BPF_PROG(trace_process, struct task_struct *target, unsigned int mode)
{
	if (!(mode & PTRACE_MODE_ATTACH) || !(process_bits(target) & PROCESS_PROTECTED))
		return 0;
	return is_trusted() ? 0 : refuse_process(REFUSED_TRACE, target, 0);
}

/* A limit on processor time, say, ends whom it is set for. */
SEC("lsm/task_setrlimit")
int BPF_PROG(bound_process, struct task_struct *target)
{
	if (!(process_bits(target) & PROCESS_PROTECTED))
		return 0;
	return is_trusted() ? 0 : refuse_process(REFUSED_LIMIT, target, 0);
}

/* ---- the programs themselves ---- */

static __always_inline int judge_object(u32 kind, u32 id)
{
	struct object object = { .kind = kind, .id = id };

	if (!bpf_map_lookup_elem(&objects, &object) || is_trusted())
		return 0;
	return refuse(REFUSED_BPF, NULL, NULL, id, 0);
}

SEC("lsm/bpf_map")
int BPF_PROG(open_map, struct bpf_map *map, unsigned int mode)
{
	return mode & FMODE_WRITE ? judge_object(OBJECT_MAP, BPF_CORE_READ(map, id)) : 0;
}

/* An attachment has no hook of its own: it is detached by whoever got a descriptor by its number. */
SEC("lsm/bpf")
int BPF_PROG(call_bpf, int command, void *attributes)
{
	u32 id = 0;

	if (command != BPF_LINK_GET_FD_BY_ID)
		return 0;
	bpf_probe_read_kernel(&id, sizeof(id), attributes);
	return judge_object(OBJECT_LINK, id);
}
