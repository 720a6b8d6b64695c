/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/* The baseline: an entry and a return probe that do nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe")
int on_entry(void *ctx)
{
	return 0;
}

SEC("uprobe")
int on_return(void *ctx)
{
	return 0;
}
