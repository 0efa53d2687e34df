/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* What a file is known by; kernels keep its ctime in three ways. */
#pragma once

static __always_inline void read_changed(struct inode *inode, s64 *s, u32 *ns)
{
	if (bpf_core_field_exists(inode->i_ctime_sec)) {
		*s = BPF_CORE_READ(inode, i_ctime_sec);
		*ns = BPF_CORE_READ(inode, i_ctime_nsec);
	} else if (bpf_core_field_exists(((struct inode___before_6_11 *)0)->__i_ctime)) {
		struct inode___before_6_11 *old = (void *)inode;

		*s = BPF_CORE_READ(old, __i_ctime.tv_sec);
		*ns = BPF_CORE_READ(old, __i_ctime.tv_nsec);
	} else {
		struct inode___before_6_6 *old = (void *)inode;

		*s = BPF_CORE_READ(old, i_ctime.tv_sec);
		*ns = BPF_CORE_READ(old, i_ctime.tv_nsec);
	}
}
