/*
 * Where the functions of a unit go in the guest: those of one slot of the host become functions of one
 * slot, because a driver looks for its companions (a GPU's audio) beside itself; every slot needs a port of
 * its own. Pure.
 *
 * Functions keep their numbers; if there is no function 0 (virtual functions), the lowest becomes it: a
 * slot without function 0 is empty to the guest.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "attach/unit.h"

enum { GUEST_SLOT_FUNCTIONS = 8 };

struct guest_slot {
	size_t n;
	size_t functions[GUEST_SLOT_FUNCTIONS]; /* index in the unit; function 0 last: it makes the
						 * guest look at the slot */
	uint8_t numbers[GUEST_SLOT_FUNCTIONS];	/* in the guest */
};

struct guest_slots {
	struct guest_slot
		slots[LIMIT_FUNCTIONS_PER_UNIT]; /* in the order of their first functions */
	size_t n;
};

/* A function that is listed twice is taken once. */
void guest_slots_of(const struct unit *unit, struct guest_slots *ret_slots);
