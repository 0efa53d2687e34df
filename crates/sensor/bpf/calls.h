/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * System calls, seen when they end: by then the arguments are still there, the result is known,
 * and what a path or a descriptor led to is open or changed. One small program sees every call
 * and jumps to the one that understands it.
 */
#pragma once

#include "numbers.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} call_scratch SEC(".maps");

enum handler {
	HANDLER_NONE,
	HANDLER_RIGHTS,
	HANDLER_CONNECT,
	HANDLER_ACCEPT,
	HANDLER_BIND,
	HANDLER_DUP,
	HANDLER_TRACE,
	HANDLER_MEMFD,
	HANDLER_MODULE,
	HANDLER_BPF,
	HANDLER_MOUNT,
	HANDLER_NAMESPACE,
	HANDLER_RENAME,
	HANDLER_OPEN,
	HANDLER_PATH,
	HANDLER_DESCRIPTOR,
	HANDLER_SIGNAL,
	HANDLER_SEND,
	HANDLER_SOCKET,
	HANDLER_WRITE,
	HANDLER_IO_URING,
	HANDLER_HANDLE,
	HANDLERS,
};

int on_rights(u64 *ctx);
int on_connect(u64 *ctx);
int on_accept(u64 *ctx);
int on_bind(u64 *ctx);
int on_dup(u64 *ctx);
int on_trace(u64 *ctx);
int on_memfd(u64 *ctx);
int on_module(u64 *ctx);
int on_bpf(u64 *ctx);
int on_mount(u64 *ctx);
int on_namespace(u64 *ctx);
int on_rename(u64 *ctx);
int on_open(u64 *ctx);
int on_path(u64 *ctx);
int on_descriptor(u64 *ctx);
int on_signal(u64 *ctx);
int on_send(u64 *ctx);
int on_socket(u64 *ctx);
int on_write(u64 *ctx);
int on_io_uring(u64 *ctx);
int on_handle(u64 *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, HANDLERS);
	__uint(key_size, sizeof(u32));
	__array(values, int(u64 *));
} handlers SEC(".maps") = {
	.values = {
		[HANDLER_RIGHTS] = (void *)&on_rights,
		[HANDLER_CONNECT] = (void *)&on_connect,
		[HANDLER_ACCEPT] = (void *)&on_accept,
		[HANDLER_BIND] = (void *)&on_bind,
		[HANDLER_DUP] = (void *)&on_dup,
		[HANDLER_TRACE] = (void *)&on_trace,
		[HANDLER_MEMFD] = (void *)&on_memfd,
		[HANDLER_MODULE] = (void *)&on_module,
		[HANDLER_BPF] = (void *)&on_bpf,
		[HANDLER_MOUNT] = (void *)&on_mount,
		[HANDLER_NAMESPACE] = (void *)&on_namespace,
		[HANDLER_RENAME] = (void *)&on_rename,
		[HANDLER_OPEN] = (void *)&on_open,
		[HANDLER_PATH] = (void *)&on_path,
		[HANDLER_DESCRIPTOR] = (void *)&on_descriptor,
		[HANDLER_SIGNAL] = (void *)&on_signal,
		[HANDLER_SEND] = (void *)&on_send,
		[HANDLER_SOCKET] = (void *)&on_socket,
		[HANDLER_WRITE] = (void *)&on_write,
		[HANDLER_IO_URING] = (void *)&on_io_uring,
		[HANDLER_HANDLE] = (void *)&on_handle,
	},
};

#define CALLS_MAX 512

const u8 handler_of[CALLS_MAX] = {
	[NR_setuid] = HANDLER_RIGHTS,
	[NR_setgid] = HANDLER_RIGHTS,
	[NR_setreuid] = HANDLER_RIGHTS,
	[NR_setregid] = HANDLER_RIGHTS,
	[NR_setresuid] = HANDLER_RIGHTS,
	[NR_setresgid] = HANDLER_RIGHTS,
	[NR_setfsuid] = HANDLER_RIGHTS,
	[NR_setfsgid] = HANDLER_RIGHTS,
	[NR_capset] = HANDLER_RIGHTS,
	[NR_connect] = HANDLER_CONNECT,
	[NR_accept] = HANDLER_ACCEPT,
	[NR_accept4] = HANDLER_ACCEPT,
	[NR_bind] = HANDLER_BIND,
	[NR_listen] = HANDLER_BIND,
	[NR_dup] = HANDLER_DUP,
	[NR_dup2] = HANDLER_DUP,
	[NR_dup3] = HANDLER_DUP,
	[NR_fcntl] = HANDLER_DUP,
	[NR_ptrace] = HANDLER_TRACE,
	[NR_process_vm_writev] = HANDLER_TRACE,
	[NR_memfd_create] = HANDLER_MEMFD,
	[NR_init_module] = HANDLER_MODULE,
	[NR_finit_module] = HANDLER_MODULE,
	[NR_delete_module] = HANDLER_MODULE,
	[NR_bpf] = HANDLER_BPF,
	[NR_mount] = HANDLER_MOUNT,
	[NR_umount2] = HANDLER_MOUNT,
	[NR_move_mount] = HANDLER_MOUNT,
	[NR_pivot_root] = HANDLER_MOUNT,
	[NR_unshare] = HANDLER_NAMESPACE,
	[NR_setns] = HANDLER_NAMESPACE,
	[NR_clone] = HANDLER_NAMESPACE,
	[NR_clone3] = HANDLER_NAMESPACE,
	[NR_prctl] = HANDLER_RENAME,
	[NR_open] = HANDLER_OPEN,
	[NR_creat] = HANDLER_OPEN,
	[NR_openat] = HANDLER_OPEN,
	[NR_openat2] = HANDLER_OPEN,
	[NR_open_by_handle_at] = HANDLER_HANDLE,
	[NR_truncate] = HANDLER_PATH,
	[NR_rename] = HANDLER_PATH,
	[NR_renameat] = HANDLER_PATH,
	[NR_renameat2] = HANDLER_PATH,
	[NR_unlink] = HANDLER_PATH,
	[NR_rmdir] = HANDLER_PATH,
	[NR_unlinkat] = HANDLER_PATH,
	[NR_link] = HANDLER_PATH,
	[NR_linkat] = HANDLER_PATH,
	[NR_symlink] = HANDLER_PATH,
	[NR_symlinkat] = HANDLER_PATH,
	[NR_chmod] = HANDLER_PATH,
	[NR_fchmodat] = HANDLER_PATH,
	[NR_fchmodat2] = HANDLER_PATH,
	[NR_chown] = HANDLER_PATH,
	[NR_lchown] = HANDLER_PATH,
	[NR_fchownat] = HANDLER_PATH,
	[NR_setxattr] = HANDLER_PATH,
	[NR_lsetxattr] = HANDLER_PATH,
	[NR_utime] = HANDLER_PATH,
	[NR_utimes] = HANDLER_PATH,
	[NR_futimesat] = HANDLER_PATH,
	[NR_utimensat] = HANDLER_PATH,
	[NR_fchmod] = HANDLER_DESCRIPTOR,
	[NR_fchown] = HANDLER_DESCRIPTOR,
	[NR_fsetxattr] = HANDLER_DESCRIPTOR,
	[NR_ioctl] = HANDLER_DESCRIPTOR,
	[NR_kill] = HANDLER_SIGNAL,
	[NR_tkill] = HANDLER_SIGNAL,
	[NR_tgkill] = HANDLER_SIGNAL,
	[NR_rt_sigqueueinfo] = HANDLER_SIGNAL,
	[NR_rt_tgsigqueueinfo] = HANDLER_SIGNAL,
	[NR_pidfd_send_signal] = HANDLER_SIGNAL,
	[NR_sendto] = HANDLER_SEND,
	[NR_sendmsg] = HANDLER_SEND,
	[NR_sendmmsg] = HANDLER_SEND,
	[NR_socket] = HANDLER_SOCKET,
	[NR_write] = HANDLER_WRITE,
	[NR_writev] = HANDLER_WRITE,
	[NR_io_uring_setup] = HANDLER_IO_URING,
};

#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define PR_SET_NAME 15
#define SET_FLAGS 0x40086602
#define SET_FLAGS_32 0x40046602
#define SET_XFLAGS 0x401c5820
/* Every CLONE_NEW* but that of time, whose bit is a signal number in clone(2). */
#define CLONE_NAMESPACES 0x7e020000
/* The shortest question: a header, the root, type and class. */
#define DNS_BYTES_MIN 17
/* A DNS request, or a new name for a process. */
#define WRITE_BYTES_MAX 1024

/* Whether a frequent call is worth more than this look. */
static __always_inline bool is_worth_it(u32 call, s64 result, struct pt_regs *regs)
{
	switch (call) {
	case NR_write:
	case NR_writev:
		return result > 0 && result <= WRITE_BYTES_MAX && regs->di > 2;
	case NR_sendto:
		return result >= DNS_BYTES_MIN && result <= WRITE_BYTES_MAX;
	case NR_sendmsg:
	case NR_sendmmsg:
		return result > 0;
	case NR_ioctl:
		return regs->si == SET_FLAGS || regs->si == SET_FLAGS_32 || regs->si == SET_XFLAGS;
	case NR_fcntl:
		return result >= 0 && result <= 2 &&
		       (regs->si == F_DUPFD || regs->si == F_DUPFD_CLOEXEC);
	case NR_dup:
	case NR_dup2:
	case NR_dup3:
		return result >= 0 && result <= 2 && regs->di != (u64)result;
	case NR_clone:
		return result > 0 && regs->di & CLONE_NAMESPACES;
	case NR_prctl:
		return regs->di == PR_SET_NAME && result == 0;
	default:
		return 1;
	}
}

#define TS_COMPAT 2

SEC("tp_btf/sys_exit")
int on_call(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	u64 call = regs->orig_ax;
	struct task_struct *task;
	struct scratch *s;
	s64 result;
	u32 handler;
	bool compat;

	/* Nearly all calls end here. */
	if (call >= CALLS_MAX || !(handler_of[call] | call_of_32bit[call]))
		return 0;
	/* The calls of 32-bit programs have numbers and registers of their own. */
	task = bpf_get_current_task_btf();
	compat = task->thread_info.status & TS_COMPAT;
	if (compat)
		call = call_of_32bit[call];
	result = ctx[1];
	handler = handler_of[call & (CALLS_MAX - 1)];
	if (!handler || (!compat && !is_worth_it(call, result, regs)))
		return 0;
	s = scratch_of(&call_scratch);
	if (!s)
		return 0;
	s->call = call;
	s->result = result;
	s->watched = 0;
	if (compat) {
		s->arguments[0] = (u32)regs->bx;
		s->arguments[1] = (u32)regs->cx;
		s->arguments[2] = (u32)regs->dx;
		s->arguments[3] = (u32)regs->si;
		s->arguments[4] = (u32)regs->di;
		s->arguments[5] = (u32)regs->bp;
	} else {
		s->arguments[0] = regs->di;
		s->arguments[1] = regs->si;
		s->arguments[2] = regs->dx;
		s->arguments[3] = regs->r10;
		s->arguments[4] = regs->r8;
		s->arguments[5] = regs->r9;
	}
	bpf_tail_call(ctx, &handlers, handler);
	return 0;
}

/* Begins a record of this kind for the call that has just ended. */
static __always_inline struct call *begin(struct scratch *s, struct task_struct *task, u32 kind)
{
	struct call *record = (struct call *)s->bytes;

	__builtin_memset(record, 0, sizeof(*record));
	fill_head(&record->head, task, kind, 0);
	record->head.call = s->call;
	record->result = s->result;
	*(volatile u32 *)&s->at = sizeof(struct call);
	return record;
}

static __always_inline int finish(struct scratch *s, struct call *record, bool urgent)
{
	struct flow *flow;

	if (record->head.kind == KIND_FILE && s->watched == WATCHED_BUSY)
		record->head.kind = KIND_FILE_BUSY;
	flow = admit(record->head.kind, record->head.at_ns);
	return flow ? hand_out(s, flow, urgent) : 0;
}
