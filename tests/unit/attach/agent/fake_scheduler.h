/*
 * As much of a scheduler as an agent sees: it writes the log of decisions of one host and heeds reports.
 * A GPU is free, an assignment's, or in quarantine; reports of other assignments than the present one change
 * nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "fake_host.h"
#include "model/record.h"

#define FAKE_HOST "h1"
#define FAKE_POOL "7"

enum { FAKE_LOG_MAX = 4000, GPU_FREE = -1, GPU_IN_QUARANTINE = -2 };

struct fake_assignment {
	const char *id;
	int vm;
	int gpus[FAKE_GPUS];
	int n;
	bool here; /* on FAKE_HOST */
	bool releasing;
	bool gives_back;
	bool ended;
	const char *attach_state;
	const char *attach_code;
};

struct fake_scheduler {
	struct arena arena; /* of the whole life */
	const struct record *log[FAKE_LOG_MAX];
	int n_log;
	struct fake_assignment assignments[FAKE_LOG_MAX];
	int n_assignments;
	int gpus[FAKE_GPUS]; /* an assignment, GPU_FREE or GPU_IN_QUARANTINE */
	bool reschedules;    /* what fails goes to another host, instead of ending */
	int n_failed;
	int n_quarantined;
};

void fake_scheduler_init(struct fake_scheduler *scheduler);
void fake_scheduler_deinit(struct fake_scheduler *scheduler);

/* "h1/0000:01:00.0"; of the scheduler's arena. */
const char *fake_gpu_id(struct fake_scheduler *scheduler, int gpu);
int fake_gpu_by_id(const char *gpu_id);
/* The assignment that the VM has, or -1. */
int fake_assignment_of_vm(const struct fake_scheduler *scheduler, int vm);

void fake_write(struct fake_scheduler *scheduler, const struct record *record);
/* GpuAssigned of free GPUs; the assignment's number. */
int fake_assign(struct fake_scheduler *scheduler, int vm, const int *gpus, int n, bool gives_back);
void fake_release(struct fake_scheduler *scheduler, int assignment);
void fake_force(struct fake_scheduler *scheduler, int assignment);
void fake_return(struct fake_scheduler *scheduler, int gpu);
void fake_heed(struct fake_scheduler *scheduler, const struct gpu_attachment *report);
/* The record as it would be written now; for tests that change it. */
struct gpu_assigned fake_assigned_record(struct fake_scheduler *scheduler, int assignment);
