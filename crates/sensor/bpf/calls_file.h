/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * Files that change. What is open is known by its dentry, whatever path or link led to it, and
 * watched by the inodes above it. What was named and is gone or moved is known by its text and
 * the directory the text starts from; where that may lead to a watched place after all, user
 * space decides.
 */
#pragma once

#define OPEN_WRITE 2 /* FMODE_WRITE */
#define OPEN_CREATED 0x100000 /* FMODE_CREATED */
#define O_CREAT 0100
#define O_TRUNC 01000
#define SET_ID_BITS 06000

static __always_inline bool is_kernel_interface(unsigned long magic)
{
	return magic == PROC_MAGIC || magic == SYSFS_MAGIC || magic == CGROUP_MAGIC;
}

static __always_inline bool is_secret(struct file *file, struct inode *inode)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	u64 directory = BPF_CORE_READ(dentry, d_parent, d_inode, i_ino);
	u32 device = BPF_CORE_READ(inode, i_sb, s_dev);
	struct secret_name name = {};

	if ((bits_of(BPF_CORE_READ(inode, i_ino), device) | bits_of(directory, device)) &
	    WATCHED_SECRET)
		return 1;
	bpf_probe_read_kernel_str(name.text, sizeof(name.text), BPF_CORE_READ(dentry, d_name.name));
	return bpf_map_lookup_elem(&secret_names, &name) != 0;
}

/* open, creat, openat, openat2, open_by_handle_at. */
SEC("tp_btf/sys_exit")
int on_open(u64 *ctx)
{
	struct file *file;
	struct inode *inode;
	struct path path;
	struct call *record;
	u32 mode, form;
	u64 flags;
	bool is_read;

	BEGIN_HANDLER;
	if (s->result < 0)
		return 0;
	check_rights(task, 0);
	file = file_of(task, s->result);
	mode = BPF_CORE_READ(file, f_mode);
	flags = s->call == NR_open	     ? s->arguments[1]
		: s->call == NR_openat	     ? s->arguments[2]
		: s->call == NR_creat	     ? O_CREAT | O_TRUNC
					     : 0;
	if (s->call == NR_openat2)
		bpf_probe_read_user(&flags, sizeof(flags), (void *)s->arguments[2]);
	is_read = !(mode & OPEN_WRITE) && !(flags & O_TRUNC);
	inode = BPF_CORE_READ(file, f_inode);
	form = BPF_CORE_READ(inode, i_mode) & IF_MASK;
	/* Writing to a disk goes around all files on it. */
	if (form == IF_BLOCK && mode & OPEN_WRITE)
		s->watched = WATCHED_PLACE;
	else if (form != IF_REGULAR)
		return 0;
	if (is_read) {
		if (!is_secret(file, inode))
			return 0;
		s->watched = WATCHED_SECRET;
	}
	if (!is_read && is_kernel_interface(BPF_CORE_READ(inode, i_sb, s_magic)))
		s->watched = WATCHED_NEAR;
	record = begin(s, task, KIND_FILE);
	record->arguments[0] = mode & OPEN_CREATED ? 1 : 0;
	record->arguments[1] = flags & O_TRUNC ? 1 : 0;
	record->arguments[2] = is_read;
	bpf_core_read(&path, sizeof(path), &file->f_path);
	append_path(s, &record->parts[0], &path, !is_read);
	record->head.spare = s->watched;
	return s->watched ? finish(s, record, 0) : 0;
}

/*
 * open_by_handle_at: whoever has the rights for it reaches every file of a file system, also what
 * lies outside of the part that is mounted for him. Such a file, and one of which the kernel knows
 * no place yet, is told beside what is told of all that are opened.
 */
SEC("tp_btf/sys_exit")
int on_handle(u64 *ctx)
{
	struct file *file;
	struct path path;
	struct call *record;

	BEGIN_HANDLER;
	if (s->result < 0)
		return 0;
	file = file_of(task, s->result);
	if (!is_kernel_interface(BPF_CORE_READ(file, f_inode, i_sb, s_magic))) {
		record = begin(s, task, KIND_HANDLE);
		bpf_core_read(&path, sizeof(path), &file->f_path);
		append_path(s, &record->parts[0], &path, 0);
		if (record->parts[0].form == PART_LONE)
			finish(s, record, 1);
	}
	bpf_tail_call(ctx, &handlers, HANDLER_OPEN);
	return 0;
}

/* One path of a call: its text, and where it starts from. */
static __noinline int append_name(struct scratch *s, struct task_struct *task, u32 part, u64 text,
				  s32 directory)
{
	struct call *record = (struct call *)s->bytes;
	u32 at = place_now(s);
	struct prefix prefix = { .bits = PREFIX_BYTES_MAX * 8 };
	struct fs_struct *fs = task->fs;
	struct path path = {};
	bool is_watched = 1;
	u32 *watched;
	u8 first = 0;

	if (part > 2)
		return 0;
	append_text(s, &record->parts[part], (void *)text, 1);
	if (at < RECORD_BYTES_MAX)
		first = s->bytes[at];
	if (record->parts[part].bytes && first == '/') {
		bpf_probe_read_user_str(prefix.text, sizeof(prefix.text), (void *)text);
		watched = bpf_map_lookup_elem(&prefixes, &prefix);
		if (watched)
			s->watched |= *watched;
		/* Where "/" is for this task: chroot(2) moves it. */
		bpf_core_read(&path, sizeof(path), &fs->root);
		is_watched = 0;
	} else if (directory == AT_FDCWD) {
		bpf_core_read(&path, sizeof(path), &fs->pwd);
	} else {
		struct file *file = file_of(task, directory);

		if (!file)
			return 0;
		bpf_core_read(&path, sizeof(path), &file->f_path);
	}
	append_path(s, &record->parts[part + 1], &path, is_watched);
	return 0;
}

/* Access first, change of content second; fractions are micro- or nanoseconds. */
static __always_inline void take_times(struct call *record, u64 times, u32 stride)
{
	struct { s64 s; u64 fraction; } accessed = {}, modified = {};

	record->arguments[0] = times ? 1 : 0;
	if (!times)
		return;
	bpf_probe_read_user(&accessed, stride, (void *)times);
	bpf_probe_read_user(&modified, stride, (void *)times + stride);
	record->arguments[1] = modified.s;
	record->arguments[2] = modified.fraction;
	/* Seconds up to the year 2106, for a time of which no more is asked. */
	record->arguments[3] = (u64)accessed.s << 32 | (u32)accessed.fraction;
}

#define begins(text, with) differences(text, with, sizeof(with) - 1) == 0

/* Without a branch, because the verifier would try both ways of each. */
static __always_inline u32 differences(const char *text, const char *with, u32 bytes)
{
	u32 bits = 0;

#pragma unroll
	for (u32 i = 0; i < bytes; i++)
		bits |= text[i] ^ with[i];
	return bits;
}

/* Only attributes that carry rights. */
static __always_inline bool is_privileged_attribute(u64 user)
{
	char name[32] = {};

	bpf_probe_read_user_str(name, sizeof(name), (void *)user);
	return begins(name, "security.capability") || begins(name, "system.posix_acl_");
}

/* Which arguments of a call are paths and what they start from; put in the place of the arguments. */
static __always_inline void order_paths(struct scratch *s)
{
	u64 *a = s->arguments;
	u64 first = a[0], second = 0;
	s32 first_in = AT_FDCWD, second_in = AT_FDCWD;

	switch (s->call) {
	case NR_rename:
	case NR_link:
	case NR_symlink:
		second = a[1];
		break;
	case NR_renameat:
	case NR_renameat2:
	case NR_linkat:
		first_in = a[0];
		first = a[1];
		second_in = a[2];
		second = a[3];
		break;
	case NR_symlinkat:
		second_in = a[1];
		second = a[2];
		break;
	case NR_unlinkat:
	case NR_fchmodat:
	case NR_fchmodat2:
	case NR_fchownat:
	case NR_futimesat:
	case NR_utimensat:
		first_in = a[0];
		first = a[1];
		break;
	}
	/* By way of memory, so that the verifier goes on once and not once for each call. */
	*(volatile u64 *)&a[0] = first;
	*(volatile u64 *)&a[1] = (s64)first_in;
	*(volatile u64 *)&a[2] = second;
	*(volatile u64 *)&a[3] = (s64)second_in;
}

/* Other facts of the call; true where it matters wherever the file is. */
static __always_inline bool name_facts(struct scratch *s, struct call *record)
{
	u64 *a = s->arguments;

	switch (s->call) {
	case NR_chmod:
		record->arguments[0] = a[1];
		return a[1] & SET_ID_BITS;
	case NR_fchmodat:
	case NR_fchmodat2:
		record->arguments[0] = a[2];
		return a[2] & SET_ID_BITS;
	case NR_chown:
	case NR_lchown:
		record->arguments[0] = a[1];
		record->arguments[1] = a[2];
		return 0;
	case NR_fchownat:
		record->arguments[0] = a[2];
		record->arguments[1] = a[3];
		return 0;
	case NR_utime:
		take_times(record, a[1], 8);
		return 0;
	case NR_utimes:
		take_times(record, a[1], 16);
		return 0;
	case NR_futimesat:
	case NR_utimensat:
		take_times(record, a[2], 16);
		return 0;
	}
	return 0;
}

/* Every call that names files by their paths. */
SEC("tp_btf/sys_exit")
int on_path(u64 *ctx)
{
	struct call *record;
	bool is_attribute;

	BEGIN_HANDLER;
	/* What failed changed nothing; it is told where the place is watched. */
	is_attribute = s->call == NR_setxattr || s->call == NR_lsetxattr;
	if (is_attribute && !is_privileged_attribute(s->arguments[1]))
		return 0;
	record = begin(s, task, KIND_FILE);
	if (name_facts(s, record) || is_attribute)
		s->watched = WATCHED_RIGHTS;
	/* Out of the way of the paths. */
	s->arguments[5] = s->arguments[1];
	order_paths(s);
	append_name(s, task, 0, *(volatile u64 *)&s->arguments[0], *(volatile u64 *)&s->arguments[1]);
	if (*(volatile u64 *)&s->arguments[2])
		append_name(s, task, 2, *(volatile u64 *)&s->arguments[2],
			    *(volatile u64 *)&s->arguments[3]);
	if (is_attribute)
		append_text(s, &record->parts[3], (void *)s->arguments[5], 1);
	if (!s->watched) {
		if (s->result < 0)
			return 0;
		record->head.kind = KIND_FILE_UNSURE;
	}
	record->head.spare = s->watched;
	return finish(s, record, 0);
}

/* fchmod(fd, mode), fchown(fd, user, group), fsetxattr(fd, name), ioctl(fd, flags). */
SEC("tp_btf/sys_exit")
int on_descriptor(u64 *ctx)
{
	struct file *file;
	struct path path;
	struct call *record;

	BEGIN_HANDLER;
	if (s->result < 0)
		return 0;
	file = file_of(task, s->arguments[0]);
	record = begin(s, task, KIND_FILE);
	record->arguments[0] = s->arguments[1];
	record->arguments[1] = s->arguments[2];
	if (s->call == NR_fchmod) {
		if (s->arguments[1] & SET_ID_BITS)
			s->watched |= WATCHED_RIGHTS;
	} else if (s->call == NR_fsetxattr) {
		if (!is_privileged_attribute(s->arguments[1]))
			return 0;
		s->watched |= WATCHED_RIGHTS;
	} else if (s->call == NR_ioctl) {
		u32 command = s->arguments[1], flags = 0;

		if (command != SET_FLAGS && command != SET_FLAGS_32 && command != SET_XFLAGS)
			return 0;
		bpf_probe_read_user(&flags, sizeof(flags), (void *)s->arguments[2]);
		record->arguments[0] = command;
		record->arguments[1] = flags;
		s->watched |= WATCHED_RIGHTS;
	}
	bpf_core_read(&path, sizeof(path), &file->f_path);
	append_path(s, &record->parts[0], &path, 1);
	if (s->call == NR_fsetxattr)
		append_text(s, &record->parts[3], (void *)s->arguments[1], 1);
	record->head.spare = s->watched;
	return s->watched ? finish(s, record, 0) : 0;
}
