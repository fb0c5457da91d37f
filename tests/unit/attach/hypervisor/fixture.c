#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct unit fixture_unit(const char *addresses)
{
	struct unit unit = { .n = 0 };
	char text[1024], *rest = NULL;
	snprintf(text, sizeof(text), "%s", addresses);
	for (char *address = strtok_r(text, " ", &rest); address;
	     address = strtok_r(NULL, " ", &rest))
		assert_int_equal(pci_address_parse(address, &unit.functions[unit.n++]), 0);
	return unit;
}

struct hypervisor *fixture_hypervisor(const char *kind, const char *target)
{
	struct hypervisor *hypervisor = NULL;
	cleanup(buf_deinit) struct buf error = { 0 };
	if (hypervisor_new(kind, target, &hypervisor, &error))
		fail_msg("%s %s: %s", kind, target, error.data);
	assert_string_equal(hypervisor->ops->name, kind);
	return hypervisor;
}

/* A positive outcome has a reason for people. */
static void take_reason(struct answer *answer, struct buf *reason, const char *verb)
{
	snprintf(answer->reason, sizeof(answer->reason), "%s", reason->data ? reason->data : "");
	if (answer->r)
		print_message("             %s: %d, %s\n", verb, answer->r, answer->reason);
	assert_true(answer->r >= 0);
	assert_true((answer->r != 0) == (answer->reason[0] != '\0'));
	buf_deinit(reason);
}

struct answer fixture_look(struct hypervisor *hypervisor, const char *vm_id, const char *addresses,
			   int64_t deadline_ms)
{
	struct answer answer = { .vm = VM_UNKNOWN, .n_plugged = 99 };
	struct unit unit = fixture_unit(addresses);
	struct buf reason = { 0 };
	answer.r = hypervisor->ops->look(hypervisor, vm_id, &unit, deadline_ms, &answer.vm,
					 &answer.n_plugged, &reason);
	take_reason(&answer, &reason, "look");
	if (answer.r)
		assert_true(answer.vm == VM_UNKNOWN && answer.n_plugged == 99);
	return answer;
}

struct answer fixture_plug(struct hypervisor *hypervisor, const char *vm_id, const char *addresses,
			   int64_t deadline_ms)
{
	struct answer answer = { .vm = VM_UNKNOWN };
	struct unit unit = fixture_unit(addresses);
	struct buf reason = { 0 };
	answer.r = hypervisor->ops->plug(hypervisor, vm_id, &unit, deadline_ms, &reason);
	take_reason(&answer, &reason, "plug");
	return answer;
}

struct answer fixture_unplug(struct hypervisor *hypervisor, const char *vm_id,
			     const char *addresses, int64_t deadline_ms)
{
	struct answer answer = { .vm = VM_UNKNOWN };
	struct unit unit = fixture_unit(addresses);
	struct buf reason = { 0 };
	answer.r = hypervisor->ops->unplug(hypervisor, vm_id, &unit, deadline_ms, &reason);
	take_reason(&answer, &reason, "unplug");
	return answer;
}

void fixture_says(const struct answer *answer, const char *words)
{
	if (!strstr(answer->reason, words))
		fail_msg("\"%s\" does not say \"%s\"", answer->reason, words);
}
