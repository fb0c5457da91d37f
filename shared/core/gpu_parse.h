/*
 * A GpuDiscovered in numbers, checked against the limits. Pure; internal to the core.
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "core/gpu_model.h"
#include "model/record.h"

struct parsed_gpu {
	uint64_t address;
	struct model_identity model; /* strings of the record */
	enum gpu_condition state;    /* GPU_FREE or from GPU_UNREADABLE on */
};

/* Positive: *ret_error (static text) says what is wrong. The functions are not looked at: see
 * fleet_parse_functions(). */
int gpu_parse(const struct gpu_discovered *gpu, struct parsed_gpu *ret_parsed,
	      const char **ret_error) MUST_CHECK;

/* HOST/ADDRESS, as ids of GPUs are; the address is pci_address_pack(). Positive: not of this form. */
int gpu_id_parse(const char *gpu_id, char host[LIMIT_ID_BYTES + 1],
		 uint64_t *ret_address) MUST_CHECK;
