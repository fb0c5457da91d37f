/*
 * What stands between a host and giving its GPUs to VMs, and what to change: a list of findings, made of facts.
 * Pure but for the names of modules and the files about resets, which are looked up in sysfs.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "cli/doctor_facts.h"
#include "pci/scan.h"

enum severity {
	SEVERITY_OK,
	SEVERITY_WARN, /* works without; or one GPU of several is not to be had */
	SEVERITY_STOP, /* no GPU of this host reaches a VM before that is changed */
};

struct finding {
	enum severity severity;
	const char *code;    /* for programs, static: a GPU's state, or e.g. "KERNEL_ARGUMENT" */
	const char *address; /* NULL: about the host */
	const char *model;
	const char *text; /* what it is and what to do, in one line */
};

struct findings {
	struct finding *items; /* owned */
	size_t n, size;
	struct arena *arena; /* borrowed: of the texts */
	size_t n_gpus, n_ready;
};

void findings_init(struct findings *findings, struct arena *arena);
void findings_deinit(struct findings *findings);
void findings_add(struct findings *findings, enum severity severity, const char *code,
		  const char *format, ...) PRINTF_LIKE(4, 5);
void findings_add_gpu(struct findings *findings, const struct gpu_discovered *gpu,
		      enum severity severity, const char *code, const char *format, ...)
	PRINTF_LIKE(5, 6);

/* CPU, IOMMU, interrupts, modules. */
void doctor_look_at_host(const struct doctor_facts *facts, struct findings *findings);

/* `options` as the scan was made with them. */
void doctor_look_at_gpus(const struct pci_scan_options *options, const struct pci_scan *scan,
			 const struct doctor_facts *facts, struct findings *findings);

/* Does anything stop passthrough? */
bool findings_stop(const struct findings *findings);
/* A line each, those about the host first, and a last one with the totals. */
void findings_print(const struct findings *findings, struct buf *out);
json_t *findings_to_json(const struct findings *findings);
