/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Paths by their dentries, strings of user space, and what stands behind a descriptor. */
#pragma once

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

static __always_inline u32 place_bits(struct inode *inode)
{
	struct place place = {
		.inode = BPF_CORE_READ(inode, i_ino),
		.device = BPF_CORE_READ(inode, i_sb, s_dev),
	};
	u32 *found = bpf_map_lookup_elem(&places, &place);

	return found ? *found : 0;
}

/*
 * Appends the components of a path, the last one first, from the dentry up through the mounts.
 * With `watch` every step is looked up among the watched places. Leaves the form in s->form.
 */
static __noinline int walk(struct scratch *s, struct dentry *dentry, struct vfsmount *mnt, bool watch)
{
	struct mount *mount = mount_of(mnt);
	u32 form = PART_PATH | PART_CUT;

	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		struct dentry *root = BPF_CORE_READ(mount, mnt.mnt_root);
		u32 at;
		long n;

		if (watch)
			s->watched |= place_bits(BPF_CORE_READ(dentry, d_inode)) &
				      (WATCHED_PLACE | WATCHED_NEAR);
		if (dentry == root) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);

			if (above == mount) {
				form = PART_PATH;
				break;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		at = place_now(s);
		if (at > RECORD_BYTES_MAX - NAME_BYTES_MAX)
			break;
		n = bpf_probe_read_kernel_str(s->bytes + at, NAME_BYTES_MAX,
					      BPF_CORE_READ(dentry, d_name.name));
		if (n < 0)
			break;
		*(volatile u32 *)&s->at = at + (n & (2 * NAME_BYTES_MAX - 1));
		if (dentry == parent) {
			form = PART_LONE;
			break;
		}
		dentry = parent;
	}
	s->form = form;
	return 0;
}

static __always_inline void append_path(struct scratch *s, struct part *part, struct path *path,
					bool watch)
{
	u32 from = place_now(s);

	walk(s, BPF_CORE_READ(path, dentry), BPF_CORE_READ(path, mnt), watch);
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
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
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
