/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Connections, sockets in the place of terminals, names asked for. */
#pragma once

#define DNS_PORT 53
#define SOCK_TYPE_MASK 0xf
#define SOCK_RAW 3

/* `struct sockaddr_in` has 16 bytes, `struct sockaddr_in6` 28. */
#define IPV4_BYTES 16

struct address {
	u16 family;
	__be16 port;
	u8 rest[24];
};

/* Puts an address of user space into `peer`; false if it is not of the Internet. */
static __always_inline bool take_peer(struct descriptor *d, const void *user, u32 bytes)
{
	struct address address = {};

	/* The kernel takes no shorter ones. */
	if (!user || bytes < IPV4_BYTES)
		return 0;
	if (bytes < sizeof(address) ? bpf_probe_read_user(&address, IPV4_BYTES, user)
				    : bpf_probe_read_user(&address, sizeof(address), user))
		return 0;
	if (address.family == FAMILY_INET) {
		__builtin_memset(d->peer, 0, 16);
		__builtin_memcpy(d->peer, address.rest, 4);
		/* A socket of both kinds may speak to either. */
		if (d->family == FAMILY_INET6) {
			__builtin_memset(d->peer, 0, 10);
			d->peer[10] = d->peer[11] = 0xff;
			__builtin_memcpy(d->peer + 12, address.rest, 4);
		}
	} else if (address.family == FAMILY_INET6) {
		/* Behind the flow label. */
		__builtin_memcpy(d->peer, address.rest + 4, 16);
	} else {
		return 0;
	}
	d->peer_port = bpf_ntohs(address.port);
	return 1;
}

static __always_inline bool is_internet(const struct descriptor *d)
{
	return d->kind == DESCRIPTOR_SOCKET &&
	       (d->family == FAMILY_INET || d->family == FAMILY_INET6);
}

SEC("tp_btf/sys_exit")
int on_connect(u64 *ctx)
{
	struct call *record;

	BEGIN_HANDLER;
	record = begin(s, task, KIND_CONNECT);
	describe(&record->descriptor, file_of(task, s->arguments[0]));
	if (!is_internet(&record->descriptor) ||
	    !take_peer(&record->descriptor, (void *)s->arguments[1], s->arguments[2]))
		return 0;
	check_rights(task, 0);
	return finish(s, record, 0);
}

SEC("tp_btf/sys_exit")
int on_accept(u64 *ctx)
{
	struct call *record;

	BEGIN_HANDLER;
	if (s->result < 0)
		return 0;
	record = begin(s, task, KIND_ACCEPT);
	describe(&record->descriptor, file_of(task, s->result));
	return is_internet(&record->descriptor) ? finish(s, record, 0) : 0;
}

/* bind and listen; the port is read from the socket, where 0 has become one. */
SEC("tp_btf/sys_exit")
int on_bind(u64 *ctx)
{
	struct call *record;

	BEGIN_HANDLER;
	if (s->call == NR_listen && s->result < 0)
		return 0;
	record = begin(s, task, KIND_BIND);
	describe(&record->descriptor, file_of(task, s->arguments[0]));
	if (!is_internet(&record->descriptor))
		return 0;
	if (s->call == NR_bind && s->result < 0) {
		/* Nothing was bound: what was asked for. */
		struct descriptor *d = &record->descriptor;

		if (take_peer(d, (void *)s->arguments[1], s->arguments[2])) {
			__builtin_memcpy(d->local, d->peer, 16);
			d->local_port = d->peer_port;
		}
		__builtin_memset(d->peer, 0, 16);
		d->peer_port = 0;
	}
	return finish(s, record, 0);
}

/* dup, dup2, dup3 and fcntl that end at 0, 1 or 2. */
SEC("tp_btf/sys_exit")
int on_dup(u64 *ctx)
{
	struct call *record;
	u8 kind;

	BEGIN_HANDLER;
	if (s->result < 0 || s->result > 2)
		return 0;
	if (s->call == NR_fcntl && s->arguments[1] != F_DUPFD && s->arguments[1] != F_DUPFD_CLOEXEC)
		return 0;
	record = begin(s, task, KIND_DUP);
	describe(&record->descriptor, file_of(task, s->result));
	kind = record->descriptor.kind;
	if (kind != DESCRIPTOR_SOCKET && kind != DESCRIPTOR_PIPE && kind != DESCRIPTOR_NAMED_PIPE)
		return 0;
	return finish(s, record, is_internet(&record->descriptor));
}

SEC("tp_btf/sys_exit")
int on_socket(u64 *ctx)
{
	u32 family, type;
	struct call *record;

	BEGIN_HANDLER;
	family = s->arguments[0];
	type = s->arguments[1] & SOCK_TYPE_MASK;
	if (s->result < 0)
		return 0;
	if (family != FAMILY_PACKET &&
	    !(type == SOCK_RAW && (family == FAMILY_INET || family == FAMILY_INET6)))
		return 0;
	record = begin(s, task, KIND_SOCKET);
	record->arguments[0] = family;
	record->arguments[1] = type;
	record->arguments[2] = s->arguments[2];
	return finish(s, record, 0);
}

struct message {
	u64 name;
	u32 name_bytes;
	u32 spare;
	u64 parts;
	u64 part_count;
};

/* sendmmsg takes an array of messages, each followed by its control data, flags and result. */
#define MESSAGE_STRIDE 64
#define MESSAGES_MAX 2

/* One of the pieces that a payload is gathered from. */
struct piece {
	u64 base;
	u64 bytes;
};

/* Appends a piece to the first part. */
static __always_inline void append_piece(struct scratch *s, struct call *record, struct piece *piece)
{
	u32 at = place_now(s);
	u32 bytes = piece->bytes > PAYLOAD_BYTES_MAX ? PAYLOAD_BYTES_MAX : piece->bytes;

	bytes &= PAYLOAD_BYTES_MAX;
	if (at > RECORD_BYTES_MAX - TEXT_BYTES_MAX ||
	    bpf_probe_read_user(s->bytes + at, bytes, (void *)piece->base))
		return;
	record->parts[0].bytes += bytes;
	*(volatile u32 *)&s->at = at + bytes;
}

/* A request to port 53, by this payload; the question is understood in user space. The length
 * that goes before it by TCP may be a piece of its own. */
static __noinline int tell_dns(struct scratch *s, struct task_struct *task, struct message *message)
{
	struct piece pieces[2] = {};
	struct call *record;

	if (!message)
		return 0;
	record = begin(s, task, KIND_DNS);
	describe(&record->descriptor, file_of(task, s->arguments[0]));
	if (!is_internet(&record->descriptor))
		return 0;
	take_peer(&record->descriptor, (void *)message->name, message->name_bytes);
	if (record->descriptor.peer_port != DNS_PORT)
		return 0;
	if (message->part_count > 1)
		bpf_probe_read_user(pieces, sizeof(pieces), (void *)message->parts);
	else if (message->part_count)
		bpf_probe_read_user(pieces, sizeof(pieces[0]), (void *)message->parts);
	else
		pieces[0].base = message->parts, pieces[0].bytes = message->spare;
	append_piece(s, record, &pieces[0]);
	append_piece(s, record, &pieces[1]);
	return finish(s, record, 0);
}

/* sendto(fd, bytes, length, flags, address, length), sendmsg(fd, message), sendmmsg. */
SEC("tp_btf/sys_exit")
int on_send(u64 *ctx)
{
	struct message message = {};

	BEGIN_HANDLER;
	if (s->result <= 0)
		return 0;
	if (s->call == NR_sendto) {
		message.name = s->arguments[4];
		message.name_bytes = s->arguments[5];
		message.parts = s->arguments[1];
		message.spare = s->arguments[2];
		return tell_dns(s, task, &message);
	}
	for (u32 i = 0; i < MESSAGES_MAX; i++) {
		if (i && (s->call != NR_sendmmsg || i >= s->result))
			break;
		if (bpf_probe_read_user(&message, sizeof(message),
					(void *)s->arguments[1] + i * MESSAGE_STRIDE))
			break;
		if (message.part_count)
			tell_dns(s, task, &message);
	}
	return 0;
}

/* write(fd, bytes, length), writev(fd, pieces, count): a request on a connected socket, or a new name for a process. */
SEC("tp_btf/sys_exit")
int on_write(u64 *ctx)
{
	struct message message = {};
	struct file *file;
	struct inode *inode;
	struct dentry *dentry;
	u32 mode;
	char name[8] = {};

	BEGIN_HANDLER;
	file = file_of(task, s->arguments[0]);
	inode = BPF_CORE_READ(file, f_inode);
	mode = BPF_CORE_READ(inode, i_mode) & IF_MASK;
	if (mode == IF_SOCKET && s->result >= DNS_BYTES_MIN) {
		message.parts = s->arguments[1];
		if (s->call == NR_writev)
			message.part_count = s->arguments[2];
		else
			message.spare = s->arguments[2];
		return tell_dns(s, task, &message);
	}
	if (mode != IF_REGULAR || BPF_CORE_READ(inode, i_sb, s_magic) != PROC_MAGIC)
		return 0;
	dentry = BPF_CORE_READ(file, f_path.dentry);
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
	if (name[0] == 'c' && name[1] == 'o' && name[2] == 'm' && name[3] == 'm' && !name[4])
		return tell_name(s, task);
	return 0;
}
