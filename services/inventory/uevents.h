/*
 * The kernel's events about PCI devices: added, removed, bound to another driver. Only this machine's,
 * and only in the network namespace that gets them (the periodic scan is for all others). Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "loop/loop.h"

struct uevents;

/* Calls `fn` a moment after the last of a burst of events. Positive: the kernel gives no events here. */
int uevents_new(struct loop *loop, loop_fn fn, void *context,
		struct uevents **ret_uevents) MUST_CHECK;
void uevents_free(struct uevents *uevents);
DEFINE_CLEANUP(struct uevents *, uevents_free);

/* Is this message about a PCI device? Source: Linux, lib/kobject_uevent.c: "ACTION@DEVPATH" and KEY=VALUE,
 * each ended by NUL. */
bool uevent_is_about_pci(const char *message, size_t len);
