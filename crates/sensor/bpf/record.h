/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/*
 * What goes through the ring: a head, the fixed facts of its kind, then parts of any length.
 * src/ebpf/record.rs reads the same layout; a change here is a change there.
 */
#pragma once

enum kind {
	KIND_EXEC = 1,
	KIND_FORK,
	KIND_EXIT,
	KIND_CREDENTIALS,
	KIND_CONNECT,
	KIND_ACCEPT,
	KIND_BIND,
	KIND_DUP,
	KIND_TRACE,
	KIND_MEMFD,
	KIND_MODULE,
	KIND_BPF,
	KIND_MOUNT,
	KIND_NAMESPACE,
	KIND_NAME,
	/* A file under a watched path, or a change that matters wherever it is. */
	KIND_FILE,
	/* A path that user space has to resolve before it can say whether it is watched. */
	KIND_FILE_UNSURE,
	KIND_SIGNAL,
	KIND_DNS,
	KIND_SOCKET,
	KIND_IO_URING,
	/* A file opened by its handle that no path of its mount is known to lead to. */
	KIND_HANDLE,
	/* A file in a busy place and nowhere else. */
	KIND_FILE_BUSY,
	KINDS,
};

/* Of one record; per-CPU values hold at most 32 KiB. */
#define RECORD_BYTES_MAX 28672
/* Of the arguments of a process. */
#define ARGUMENTS_BYTES_MAX 16384
/* Of one string of user space, and of one component of a path. */
#define TEXT_BYTES_MAX 1024
#define NAME_BYTES_MAX 256
#define DEPTH_MAX 48
#define ANCESTORS_MAX 10
/* Of each of the two pieces of a request that are looked at. */
#define PAYLOAD_BYTES_MAX 511
#define PARTS 4

struct head {
	u16 kind;
	/* The number of the call on x86-64; 0 where no call is told. */
	u16 call;
	u32 bytes;
	u64 at_ns;
	u64 started_ns;
	u64 capabilities;
	u32 pid, tid, parent;
	u32 uid, euid, gid, egid;
	u32 login_uid, session;
	u32 pid_ns, mount_ns, net_ns, user_ns;
	/* For a file: why it is told. */
	u32 spare;
	char name[16];
};

struct rights {
	u32 uid, euid, gid, egid;
	u64 capabilities;
};

enum descriptor_kind {
	DESCRIPTOR_CLOSED,
	DESCRIPTOR_SOCKET,
	DESCRIPTOR_PIPE,
	DESCRIPTOR_NAMED_PIPE,
	DESCRIPTOR_TERMINAL,
	DESCRIPTOR_DEVICE,
	DESCRIPTOR_FILE,
	DESCRIPTOR_OTHER,
};

struct descriptor {
	u8 kind;
	u8 spare;
	u16 family, type;
	/* In the order of this machine. */
	u16 local_port, peer_port;
	u16 spare2;
	u32 spare3;
	u64 inode;
	u8 local[16], peer[16];
};

enum part_form {
	/* As user space wrote it, ended by NUL. */
	PART_TEXT = 0,
	/* Components, the last one first, each ended by NUL. */
	PART_PATH = 1,
	/* One name that hangs in no tree: a memory file. */
	PART_LONE = 2,
	PART_CUT = 0x80,
};

struct part {
	u16 bytes;
	u8 form;
	u8 spare;
};

struct ancestor {
	u64 started_ns;
	u32 pid;
	u32 spare;
	char name[16];
};

/* Every call but exec, and changes of credentials. */
struct call {
	struct head head;
	s64 result;
	u64 arguments[4];
	struct rights before;
	struct descriptor descriptor;
	struct part parts[PARTS];
};

enum exec_part { EXEC_ARGUMENTS, EXEC_CWD, EXEC_EXECUTABLE, EXEC_LOADER, EXEC_SCRIPT, EXEC_PARTS };

struct exec {
	struct head head;
	u64 inode;
	u64 size;
	s64 changed_s;
	u32 changed_ns;
	/* Of the kernel: major in 12 bits, minor in 20. */
	u32 device;
	u32 mode, uid, gid, links;
	u32 has_before;
	u32 ancestor_count;
	struct rights before;
	char terminal[16];
	struct part parts[EXEC_PARTS];
	u32 spare;
	struct descriptor stdio[3];
	struct ancestor ancestors[ANCESTORS_MAX];
};

/* A fork tells the child, an exit the status. */
struct life {
	struct head head;
	u64 child_started_ns;
	u32 child;
	s32 status;
};
