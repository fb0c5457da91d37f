/*
 * A real QEMU (q35, software emulation), and an interpreter in front of its monitor: this machine has no
 * IOMMU, so a vfio-pci device that is to be plugged becomes one that QEMU emulates (pci-testdev), with all
 * else as it was asked for. Devices of host bus 0f are left as they are: QEMU refuses them.
 *
 *   dir/real/vm-1.qmp        QEMU's monitor
 *   dir/interpreted/vm-1.qmp the interpreter's
 *   dir/second.qmp           a monitor for somebody else
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "attach/hypervisor/hypervisor.h"

struct real_qemu {
	const char *kills_at; /* set before: QEMU is killed instead of getting this command */

	char dir[64];
	pid_t pid;
	int listener, stop[2];
	pthread_t interpreter;
	struct hypervisor *real, *interpreted;
};

/* `arguments`: more for the command line, up to NULL. Waits until the monitor is there. */
void real_qemu_start(struct real_qemu *qemu, const char *const *arguments);
/* SIGKILL, and waits for the end. */
void real_qemu_kill(struct real_qemu *qemu);
void real_qemu_stop(struct real_qemu *qemu);
/* Connects to a monitor as any client does; returns the socket. */
int real_qemu_connect(const struct real_qemu *qemu, const char *monitor);
/* Until the guest has written `text` to its serial line (dir/serial). */
void real_qemu_await_serial(const struct real_qemu *qemu, const char *text);
