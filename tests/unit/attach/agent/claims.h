/* Claims made by hand, for the tables of plan and status. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attach/agent/book.h"
#include "base/memory.h"
#include "fake_host.h"

/* What a claim of two functions is like: a letter for each thing that is so.
 *   t touched, l lent, s suspect, u unclean, g let go, c cleaned, D dirty, S stuck, r a step runs
 *   f the facts are fresh, v on vfio-pci, p plugged, h plugged by half, w waits for the guest
 *   R its VM runs, A its VM is absent
 */
static inline void make_claim(struct claim *claim, int gpu, const char *letters)
{
	char id[32];
	snprintf(id, sizeof(id), "h1/%d", gpu);
	claim->gpu_id = memory_strdup(id);
	claim->unit = fake_unit(gpu);
	claim_reset_drivers(claim);
	claim->touched = strchr(letters, 't');
	claim->lent = strchr(letters, 'l');
	claim->suspect = strchr(letters, 's');
	claim->unclean = strchr(letters, 'u');
	claim->let_go = strchr(letters, 'g');
	claim->cleaned = strchr(letters, 'c');
	if (strchr(letters, 'D'))
		claim_set_mark(claim, MARK_DIRTY, ATTACH_RESET_FAILED, "dirty");
	if (strchr(letters, 'S'))
		claim_set_mark(claim, MARK_STUCK, ATTACH_STUCK, "stuck");
	claim->running = strchr(letters, 'r');
	claim->fresh = strchr(letters, 'f');
	claim->looked = strpbrk(letters, "fvph");
	claim->n_vfio = strchr(letters, 'v') ? FAKE_FUNCTIONS : 0;
	claim->n_plugged = strchr(letters, 'p') ? FAKE_FUNCTIONS : strchr(letters, 'h') ? 1 : 0;
	if (strchr(letters, 'w'))
		claim_wait(claim, ATTACH_UNPLUG_PENDING, "the guest");
	if (strchr(letters, 'A'))
		claim_wait(claim, ATTACH_VM_ABSENT, "no VM");
	claim->vm = strchr(letters, 'R') ? VM_RUNNING : VM_ABSENT;
}

/* "W" wanted, "F" wanted and failed, "R" releasing, "E" ended; "G" after it: gives back. */
static inline struct assignment *make_assignment(struct book *book, const char *letters,
						 size_t n_claims)
{
	struct assignment *assignment = book_add(book, "r-1/1", "vm1", n_claims);
	if (*letters == 'R')
		assignment->state = ASSIGNMENT_RELEASING;
	if (*letters == 'E')
		assignment->state = ASSIGNMENT_ENDED;
	if (*letters == 'F')
		assignment_fail(assignment, ATTACH_IN_USE, "in use");
	assignment->gives_back = strchr(letters, 'G');
	return assignment;
}
