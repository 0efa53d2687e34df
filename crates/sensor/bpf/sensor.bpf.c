// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/*
 * The sensor's programs: three tracepoints of the scheduler, one of modules where there are any,
 * and the end of every system call. They only look and tell; nothing here changes what happens.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "record.h"
#include "common.h"
#include "walk.h"
#include "process.h"
#include "calls.h"
#include "calls_process.h"
#include "calls_network.h"
#include "calls_file.h"

/* The kernel lends some helpers only to programs under the GPL. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
