// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * What processes ask the kernel for: the end of every system call, and the tracepoint of modules
 * where there are any. Loaded after `starts.bpf.c`, whose maps it shares. It only looks and tells.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "record.h"
#include "common.h"
#include "walk.h"
#include "rights.h"
#include "calls.h"
#include "calls_process.h"
#include "calls_network.h"
#include "calls_file.h"

/* The kernel lends some helpers only to programs under the GPL. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
