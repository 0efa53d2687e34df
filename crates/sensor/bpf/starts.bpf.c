// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * Which programs start and which processes there are: three tracepoints of the scheduler. It is an
 * object of its own because the kernel checks it in a part of the time that all programs take, and
 * everything else is told of processes that are known. It only looks and tells.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "record.h"
#include "common.h"
#include "walk.h"
#include "rights.h"
#include "process.h"

/* The kernel lends some helpers only to programs under the GPL. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
