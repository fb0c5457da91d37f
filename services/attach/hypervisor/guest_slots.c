#include "attach/hypervisor/guest_slots.h"

static bool listed_before(const struct unit *unit, size_t i)
{
	for (size_t earlier = 0; earlier < i; earlier++)
		if (pci_address_compare(unit->functions[earlier], unit->functions[i]) == 0)
			return true;
	return false;
}

/* Highest number first, so that function 0 comes last. */
static void insert(struct guest_slot *slot, const struct unit *unit, size_t function)
{
	size_t at = slot->n++;
	while (at && unit->functions[slot->functions[at - 1]].function <
			     unit->functions[function].function) {
		slot->functions[at] = slot->functions[at - 1];
		at--;
	}
	slot->functions[at] = function;
}

static struct guest_slot *slot_of(struct guest_slots *slots, const struct unit *unit,
				  size_t function)
{
	for (size_t i = 0; i < slots->n; i++)
		if (pci_address_same_slot(unit->functions[slots->slots[i].functions[0]],
					  unit->functions[function]))
			return &slots->slots[i];
	struct guest_slot *slot = &slots->slots[slots->n++];
	slot->n = 0;
	return slot;
}

void guest_slots_of(const struct unit *unit, struct guest_slots *ret_slots)
{
	ret_slots->n = 0;
	for (size_t i = 0; i < unit->n; i++)
		if (!listed_before(unit, i))
			insert(slot_of(ret_slots, unit, i), unit, i);

	for (size_t i = 0; i < ret_slots->n; i++) {
		struct guest_slot *slot = &ret_slots->slots[i];
		for (size_t j = 0; j < slot->n; j++)
			slot->numbers[j] = unit->functions[slot->functions[j]].function;
		slot->numbers[slot->n - 1] = 0;
	}
}
