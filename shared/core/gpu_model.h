/*
 * The GPU models of one pool, each kept once: identity (vendor:device[:subsystem]), names and class,
 * with counts of the GPUs by condition. Internal to the core.
 *
 * A model's number is stable while something refers to it (GPU entries and holdings of VMs). A model
 * without GPUs keeps its number until another model needs one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/index.h"

/* What is the matter with a GPU, in the order in which it is told: who holds it, then what operators
 * and agents have decided (which heals only by a decision), then its host, then what the inventory
 * says. */
enum gpu_condition {
	GPU_FREE,
	GPU_HELD, /* by a VM */
	GPU_QUARANTINED,
	GPU_HOST_CORDONED,
	GPU_HOST_SILENT,
	GPU_HOST_NO_IOMMU,
	GPU_HOST_NO_VFIO,
	GPU_HOST_NO_INTERRUPT_REMAPPING,
	GPU_UNREADABLE,
	GPU_HAS_VIRTUAL_FUNCTIONS,
	GPU_BOOT_DISPLAY,
	GPU_IN_USE_BY_HOST,
	GPU_NO_IOMMU,
	GPU_GROUP_SHARED,
	GPU_OTHER_STATE, /* a state that this version does not know */
	GPU_CONDITIONS
};

enum { MODEL_NONE = UINT16_MAX };

struct selector;

struct model_identity {
	const char *name;
	const char *vendor;
	uint32_t class_id; /* 0: not known */
	uint16_t vendor_id;
	uint16_t device_id;
	uint16_t subsystem_vendor_id;
	uint16_t subsystem_device_id;
	bool has_subsystem;
};

struct gpu_model {
	struct model_identity identity; /* strings owned (one allocation) */
	uint32_t refs;
	uint32_t total; /* GPU entries */
	uint32_t conditions[GPU_CONDITIONS];
	struct selector **selectors; /* owned array; those whose asks match this model */
	uint32_t n_selectors;
};

struct model_table {
	struct gpu_model *models; /* owned */
	uint16_t n;
	uint32_t size;
	struct index index;
};

void model_table_deinit(struct model_table *table);
/* The number of the model, or MODEL_NONE. */
uint16_t model_table_find(const struct model_table *table, const struct model_identity *identity);
/* The model must not be there. MODEL_NONE: `limit` models are in use. Its selectors are the caller's business;
 * *ret_reused tells that the number belonged to a model that is gone, whose selectors still stand in
 * the entry. */
uint16_t model_table_add(struct model_table *table, const struct model_identity *identity,
			 uint32_t limit, bool *ret_reused);

/* "10de:1bb3" or "10de:1bb3:10de:11d8", hex digits of any case. False: not of this form. */
bool model_parse_id(const char *text, struct model_identity *ret_identity);
enum { MODEL_ID_BYTES = 20 }; /* "10de:1bb3:10de:11d8" and NUL */
void model_format_id(const struct model_identity *identity, bool subsystem,
		     char text[MODEL_ID_BYTES]);
