/* Units, and calls to a hypervisor whose reasons are kept and shown. */
#pragma once

#include "attach/hypervisor/hypervisor.h"

enum {
	SOON_MS = 300, /* what is not to succeed */
	A_WHILE_MS =
		2000, /* what is not to succeed, and is to get so far on a loaded machine, too */
	IN_TIME_MS = 20000, /* far more than a loaded machine needs */
};

/* "0000:01:00.0 0000:01:00.1" */
struct unit fixture_unit(const char *addresses);

struct answer {
	int r;
	enum vm_presence vm;
	size_t n_plugged;
	char reason[1024];
};

struct hypervisor *fixture_hypervisor(const char *kind, const char *target);
struct answer fixture_look(struct hypervisor *hypervisor, const char *vm_id, const char *addresses,
			   int64_t deadline_ms);
struct answer fixture_plug(struct hypervisor *hypervisor, const char *vm_id, const char *addresses,
			   int64_t deadline_ms);
struct answer fixture_unplug(struct hypervisor *hypervisor, const char *vm_id,
			     const char *addresses, int64_t deadline_ms);

/* The reason has these words. */
void fixture_says(const struct answer *answer, const char *words);
