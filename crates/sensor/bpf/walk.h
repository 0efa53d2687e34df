/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Paths by their dentries, strings of user space, and what stands behind a descriptor. */
#pragma once

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

static __always_inline u32 bits_of(u64 inode, u32 device)
{
	struct place place = { .inode = inode, .device = device };
	u32 *found = bpf_map_lookup_elem(&places, &place);

	return found ? *found : 0;
}

/* Appends the name of a dentry; false where it has no place or cannot be read. */
static __always_inline bool append_component(struct scratch *s, const void *name)
{
	u32 at = place_now(s);
	long n;

	if (at > RECORD_BYTES_MAX - NAME_BYTES_MAX)
		return 0;
	n = bpf_probe_read_kernel_str(s->bytes + at, NAME_BYTES_MAX, name);
	if (n < 0)
		return 0;
	*(volatile u32 *)&s->at = at + (n & (2 * NAME_BYTES_MAX - 1));
	return 1;
}

/* Three members of a dentry that lie side by side, by one reading. */
struct link {
	struct dentry *parent;
	struct inode *inode;
	const void *name;
};

#define LINK_BYTES 32
#define IN_LINK(member)                                                                            \
	(bpf_core_field_offset(struct dentry, member) - bpf_core_field_offset(struct dentry, d_parent))

static __always_inline void read_link(struct link *link, struct dentry *dentry)
{
	u8 bytes[LINK_BYTES] = {};

	bpf_core_read(bytes, sizeof(bytes), &dentry->d_parent);
	link->parent = *(void **)bytes;
	link->inode = *(void **)(bytes + IN_LINK(d_inode));
	link->name = *(void **)(bytes + IN_LINK(d_name.name));
}

/*
 * Appends the components of a path, the last one first, from the dentry up through the mounts.
 * With s->is_watching every step is looked up among the watched places. Leaves the form in s->form.
 * Not static, so that the verifier goes through it once and not once for each call.
 */
__noinline int walk(struct scratch *s, u64 at_dentry, u64 at_mount)
{
	struct dentry *dentry = (void *)at_dentry;
	struct mount *mount = (void *)at_mount;
	struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root);
	u64 device = BPF_CORE_READ(mount, mnt.mnt_sb, s_dev);

	if (!s)
		return 0;
	s->form = PART_PATH | PART_CUT;
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		struct inode *inode;
		struct link link;

		read_link(&link, dentry);
		inode = link.inode;
		if (*(volatile u32 *)&s->is_watching)
			s->watched |= bits_of(BPF_CORE_READ(inode, i_ino), device) &
				      (WATCHED_PLACE | WATCHED_NEAR | WATCHED_BUSY);
		if (dentry == root) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount) {
				s->form = PART_PATH;
				break;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			root = BPF_CORE_READ(mount, mnt.mnt_root);
			device = BPF_CORE_READ(mount, mnt.mnt_sb, s_dev);
			continue;
		}
		if (!append_component(s, link.name))
			break;
		if (dentry == link.parent) {
			s->form = PART_LONE;
			break;
		}
		dentry = link.parent;
	}
	return 0;
}

/* The same for a dentry that the kernel's check knows, up to the root of its mount. */
static __noinline int walk_known(struct scratch *s, struct dentry *dentry, struct vfsmount *mnt)
{
	struct dentry *root = mnt->mnt_root;
	struct mount *mount = mount_of(mnt), *above;

	s->form = PART_PATH | PART_CUT;
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		struct dentry *parent = dentry->d_parent;

		if (dentry == root) {
			above = BPF_CORE_READ(mount, mnt_parent);
			if (above != mount)
				return walk(s, (u64)BPF_CORE_READ(mount, mnt_mountpoint), (u64)above);
			s->form = PART_PATH;
			break;
		}
		if (!append_component(s, dentry->d_name.name))
			break;
		if (dentry == parent) {
			s->form = PART_LONE;
			break;
		}
		dentry = parent;
	}
	return 0;
}

static __always_inline void append_path(struct scratch *s, struct part *part, struct path *path,
					bool watch)
{
	u32 from = place_now(s);

	s->is_watching = watch;
	walk(s, (u64)path->dentry, (u64)mount_of(path->mnt));
	part->form = s->form;
	part->bytes = place_now(s) - from;
}

static __always_inline void append_known_path(struct scratch *s, struct part *part,
					      struct dentry *dentry, struct vfsmount *mnt)
{
	u32 from = place_now(s);

	walk_known(s, dentry, mnt);
	part->form = s->form;
	part->bytes = place_now(s) - from;
}

/* Appends a string; `user` tells whose. */
static __always_inline void append_text(struct scratch *s, struct part *part, const void *text,
					bool user)
{
	u32 at = place_now(s);
	long n;

	part->form = PART_TEXT;
	part->bytes = 0;
	if (at > RECORD_BYTES_MAX - TEXT_BYTES_MAX) {
		part->form = PART_TEXT | PART_CUT;
		return;
	}
	n = user ? bpf_probe_read_user_str(s->bytes + at, TEXT_BYTES_MAX, text)
		 : bpf_probe_read_kernel_str(s->bytes + at, TEXT_BYTES_MAX, text);
	if (n < 0)
		return;
	if (n >= TEXT_BYTES_MAX)
		part->form = PART_TEXT | PART_CUT;
	part->bytes = n;
	*(volatile u32 *)&s->at = at + (n & (2 * TEXT_BYTES_MAX - 1));
}

static __always_inline struct file *file_of(struct task_struct *task, u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd);
	return file;
}

static __always_inline void describe_socket(struct descriptor *d, struct file *file)
{
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sk = BPF_CORE_READ(socket, sk);

	d->kind = DESCRIPTOR_SOCKET;
	d->type = BPF_CORE_READ(socket, type);
	d->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (d->family == FAMILY_INET) {
		BPF_CORE_READ_INTO((u32 *)d->local, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((u32 *)d->peer, sk, __sk_common.skc_daddr);
	} else if (d->family == FAMILY_INET6) {
		bpf_core_read(&d->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(&d->peer, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		return;
	}
	d->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	d->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

static __always_inline u8 kind_of_device(u32 device)
{
	u32 major = device >> 20;

	/* Consoles and serial lines, /dev/tty and its like, pseudo terminals. */
	return major == 4 || major == 5 || (major >= 136 && major <= 143) ? DESCRIPTOR_TERMINAL
									  : DESCRIPTOR_DEVICE;
}

static __noinline int describe(struct descriptor *d, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	u32 mode = BPF_CORE_READ(inode, i_mode) & IF_MASK;

	if (!file || !d)
		return 0;
	d->inode = BPF_CORE_READ(inode, i_ino);
	if (mode == IF_SOCKET)
		describe_socket(d, file);
	else if (mode == IF_FIFO)
		d->kind = BPF_CORE_READ(inode, i_sb, s_magic) == PIPEFS_MAGIC ? DESCRIPTOR_PIPE
									      : DESCRIPTOR_NAMED_PIPE;
	else if (mode == IF_CHARACTER)
		d->kind = kind_of_device(BPF_CORE_READ(inode, i_rdev));
	else if (mode == IF_REGULAR)
		d->kind = DESCRIPTOR_FILE;
	else
		d->kind = DESCRIPTOR_OTHER;
	return 0;
}
