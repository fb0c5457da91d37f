/* What a step's result is, by what host and hypervisor say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "attach/step/perform.h"
#include "fake_host.h"

/* A hypervisor that says what it is told to. */
struct fake_hypervisor {
	struct hypervisor base;
	int says;
	const char *reason;
	unsigned n_calls;
};

static int answer(struct hypervisor *hypervisor, struct buf *reason)
{
	struct fake_hypervisor *fake = (struct fake_hypervisor *)hypervisor;
	fake->n_calls++;
	if (fake->says && fake->reason)
		buf_puts(reason, fake->reason);
	return fake->says;
}

static int fake_look(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		     int64_t deadline_ms, enum vm_presence *ret_vm, size_t *ret_n_plugged,
		     struct buf *reason)
{
	assert_string_equal(vm_id, "vm-1");
	assert_int_equal(deadline_ms, 500);
	int r = answer(hypervisor, reason);
	if (r)
		return r;
	*ret_vm = VM_RUNNING;
	*ret_n_plugged = unit->n;
	return 0;
}

static int fake_change(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		       int64_t deadline_ms, struct buf *reason)
{
	assert_string_equal(vm_id, "vm-1");
	assert_int_equal(unit->n, 2);
	assert_int_equal(deadline_ms, 500);
	return answer(hypervisor, reason);
}

static const struct hypervisor_ops fake_ops = {
	.name = "fake",
	.look = fake_look,
	.plug = fake_change,
	.unplug = fake_change,
};

static void perform(struct fake_host *fake, struct fake_hypervisor *hypervisor, enum step_verb verb,
		    const struct unit *unit, struct step_result *ret_result)
{
	struct step step = { .verb = verb, .unit = *unit, .vm_id = "vm-1" };
	hypervisor->base.ops = &fake_ops;
	const struct step_means means = { .host = &fake->host,
					  .hypervisor = &hypervisor->base,
					  .hypervisor_deadline_ms = 500 };
	memcpy(step.drivers[0], "nouveau", sizeof("nouveau"));
	step_perform(&means, &step, ret_result);
}

static void bind_all(struct fake_host *fake, struct unit *unit)
{
	*unit = fake_gpu_unit(fake);
	fake_bind(fake, GPU, "vfio-pci");
	fake_bind(fake, AUDIO, "vfio-pci");
}

static void test_what_the_hypervisor_says(void **state)
{
	static const struct {
		int says;
		enum step_outcome plug;
		enum attach_code plug_code;
		enum step_outcome unplug;
		enum attach_code unplug_code;
	} cases[] = {
		{ 0, STEP_DONE, 0, STEP_DONE, 0 },
		{ HYPERVISOR_VM_ABSENT, STEP_WAIT, ATTACH_VM_ABSENT, STEP_DONE, 0 },
		{ HYPERVISOR_SILENT, STEP_WAIT, ATTACH_HYPERVISOR_SILENT, STEP_WAIT,
		  ATTACH_HYPERVISOR_SILENT },
		{ HYPERVISOR_PENDING, STEP_WAIT, ATTACH_UNPLUG_PENDING, STEP_WAIT,
		  ATTACH_UNPLUG_PENDING },
		{ HYPERVISOR_NO_PORT, STEP_FAILED, ATTACH_NO_FREE_PORT, STEP_WAIT,
		  ATTACH_UNPLUG_PENDING },
		{ HYPERVISOR_REFUSED, STEP_FAILED, ATTACH_ATTACH_REFUSED, STEP_WAIT,
		  ATTACH_UNPLUG_PENDING },
		{ HYPERVISOR_HELD, STEP_FAILED, ATTACH_HELD_BY_VM, STEP_FAILED, ATTACH_HELD_BY_VM },
		{ 99, STEP_WAIT, ATTACH_HYPERVISOR_SILENT, STEP_WAIT, ATTACH_HYPERVISOR_SILENT },
		{ -EMFILE, STEP_WAIT, ATTACH_HYPERVISOR_SILENT, STEP_WAIT,
		  ATTACH_HYPERVISOR_SILENT },
	};
	struct fake_host *fake = *state;
	struct unit unit;
	bind_all(fake, &unit);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fake_hypervisor hypervisor = { .says = cases[i].says,
						      .reason = "its words" };
		struct step_result result;
		perform(fake, &hypervisor, STEP_PLUG, &unit, &result);
		assert_int_equal(result.outcome, cases[i].plug);
		assert_int_equal(result.code, cases[i].plug_code);
		assert_int_equal(result.facts.n, 0);
		assert_true(result.outcome == STEP_DONE || strstr(result.reason, "its words"));
		perform(fake, &hypervisor, STEP_UNPLUG, &unit, &result);
		assert_int_equal(result.outcome, cases[i].unplug);
		assert_int_equal(result.code, cases[i].unplug_code);
		assert_true(result.outcome == STEP_DONE || strstr(result.reason, "its words"));
	}
}

/* Else QEMU would say "failed to open /dev/vfio/7: No such file or directory", or "group 7 is not viable". */
static void test_plug_of_what_is_not_ready(void **state)
{
	struct fake_host *fake = *state;
	struct fake_hypervisor hypervisor = { 0 };
	struct step_result result;
	struct unit unit;
	bind_all(fake, &unit);
	fake_bind(fake, AUDIO, "snd_hda_intel");
	perform(fake, &hypervisor, STEP_PLUG, &unit, &result);
	assert_int_equal(result.outcome, STEP_FAILED);
	assert_int_equal(result.code, ATTACH_BIND_FAILED);
	assert_string_equal(result.reason,
			    AUDIO " is not on vfio-pci any more but has driver snd_hda_intel");

	fake_bind(fake, AUDIO, "vfio-pci");
	fake_function(fake, "0000:01:00.2", "xhci_hcd", 7);
	perform(fake, &hypervisor, STEP_PLUG, &unit, &result);
	assert_int_equal(result.code, ATTACH_GROUP_NOT_VIABLE);
	assert_int_equal(hypervisor.n_calls, 0);
}

static void test_who_holds_it(void **state)
{
	struct fake_host *fake = *state;
	struct fake_hypervisor hypervisor = { .says = HYPERVISOR_HELD, .reason = "busy" };
	struct step_result result;
	struct unit unit;
	bind_all(fake, &unit);
	fake_node(fake, "class/vfio/7", "/dev/null");
	fake_process(fake, 88, "qemu-system-x86", "/dev/null", false);
	perform(fake, &hypervisor, STEP_PLUG, &unit, &result);
	assert_string_equal(result.reason, "busy; it is open in qemu-system-x86 (pid 88, vfio/7)");
	/* Let go of, but not by this process yet. */
	perform(fake, &hypervisor, STEP_CLEAN, &unit, &result);
	assert_int_equal(result.outcome, STEP_WAIT);
	assert_int_equal(result.code, ATTACH_UNPLUG_PENDING);
}

static void test_look(void **state)
{
	struct fake_host *fake = *state;
	struct fake_hypervisor hypervisor = { 0 };
	struct step_result result;
	struct unit unit = fake_gpu_unit(fake);
	perform(fake, &hypervisor, STEP_LOOK, &unit, &result);
	assert_int_equal(result.outcome, STEP_DONE);
	assert_int_equal(result.facts.vm, VM_RUNNING);
	assert_int_equal(result.facts.n_plugged, 2);
	assert_string_equal(result.facts.functions[1].driver, "snd_hda_intel");

	hypervisor = (struct fake_hypervisor){ .says = HYPERVISOR_SILENT, .reason = "no socket" };
	perform(fake, &hypervisor, STEP_LOOK, &unit, &result);
	assert_int_equal(result.outcome, STEP_DONE);
	assert_int_equal(result.facts.vm, VM_UNKNOWN);
	assert_string_equal(result.facts.vm_reason, "no socket");
	assert_string_equal(result.facts.functions[1].driver, "snd_hda_intel");
	hypervisor.says = HYPERVISOR_VM_ABSENT;
	perform(fake, &hypervisor, STEP_LOOK, &unit, &result);
	assert_int_equal(result.facts.vm, VM_ABSENT);
}

static void test_the_host_s_side(void **state)
{
	struct fake_host *fake = *state;
	struct fake_hypervisor hypervisor = { 0 };
	struct step_result result;
	struct unit unit = fake_gpu_unit(fake);
	perform(fake, &hypervisor, STEP_BIND, &unit, &result);
	assert_int_equal(result.outcome, STEP_DONE);
	perform(fake, &hypervisor, STEP_CLEAN, &unit, &result);
	assert_int_equal(result.outcome, STEP_DONE);
	perform(fake, &hypervisor, STEP_GIVE_BACK, &unit, &result);
	assert_int_equal(result.outcome, STEP_DONE);
	assert_string_equal(fake_driver(fake, GPU), "nouveau");
	assert_string_equal(fake_driver(fake, AUDIO), "");

	fake_fault(fake, "/drivers_probe", FAKE_IGNORE, 0, 0);
	perform(fake, &hypervisor, STEP_BIND, &unit, &result);
	assert_int_equal(result.outcome, STEP_FAILED);
	assert_int_equal(result.code, ATTACH_BIND_FAILED);
	assert_true(result.not_put_back);
	assert_int_equal(hypervisor.n_calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_host_setup, fake_host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_the_hypervisor_says),
		TEST(test_plug_of_what_is_not_ready),
		TEST(test_who_holds_it),
		TEST(test_look),
		TEST(test_the_host_s_side),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
