/*
 * A reader process that hangs, crashes or talks nonsense costs one device at most. The reader here is
 * this program in another role: it plays through a bus of three GPUs and misbehaves at the second.
 */

#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/gpu_state.h"
#include "pci/frame.h"

static const char *const bus[] = { "0000:01:00.0", "0000:02:00.0", "0000:03:00.0" };

/* ---- the reader ---------------------------------------------------------------------------- */

static void put(const struct frame *frame)
{
	if (frame_write(STDOUT_FILENO, frame) < 0)
		_exit(1);
}

static void misbehave(const char *how, struct frame *frame)
{
	if (strcmp(how, "hang") == 0) {
		for (;;)
			pause();
	} else if (strcmp(how, "crash") == 0) {
		/* Not even the sanitizers' handlers get it, and no core is written. */
		kill(getpid(), SIGKILL);
	} else if (strcmp(how, "exit") == 0) {
		_exit(7);
	} else if (strcmp(how, "truncate") == 0) {
		if (write(STDOUT_FILENO, frame, sizeof(*frame) / 2) < 0)
			_exit(1);
		_exit(0);
	} else if (strcmp(how, "magic") == 0) {
		frame->magic++;
		put(frame);
	} else if (strcmp(how, "endless-text") == 0) {
		memset(frame->device.device_name, 'x', sizeof(frame->device.device_name));
		put(frame);
	} else if (strcmp(how, "other-device") == 0) {
		frame->device.address.bus = 9;
		put(frame);
	}
}

static int play(const char *how, const char *after)
{
	struct frame frame;
	if (strcmp(how, "silent") == 0)
		return 0;
	frame_init(&frame, FRAME_BEGIN_LIST);
	put(&frame);
	if (strcmp(how, "hang-in-list") == 0)
		misbehave("hang", NULL);
	for (size_t i = 0; i < 3; i++) {
		struct pci_address address;
		if (strcmp(bus[i], after) <= 0 || pci_address_parse(bus[i], &address))
			continue;
		frame_init(&frame, FRAME_BEGIN_DEVICE);
		frame.address = address;
		put(&frame);
		frame_init(&frame, FRAME_DEVICE);
		pci_device_init(&frame.device, address);
		frame.device.class_id = 0x030200;
		frame.device.vendor_id = 0x10de;
		frame.device.device_id = 0x1bb3;
		frame.device.iommu_group = (int32_t)i;
		if (i == 1)
			misbehave(how, &frame);
		put(&frame);
	}
	frame_init(&frame, FRAME_END);
	put(&frame);
	return 0;
}

/* ---- the tests ----------------------------------------------------------------------------- */

static int scan_with(struct fixture *fixture, const char *how, int device_deadline_ms,
		     struct pci_scan *ret_scan, const char **ret_error)
{
	const char *args[] = { "--play", how, NULL };
	struct pci_scan_options options = fixture_options(fixture, "/nonexistent");
	options.reader_args = args;
	options.device_deadline_ms = device_deadline_ms;
	return pci_scan(&options, &fixture->arena, ret_scan, ret_error);
}

static void assert_second_is_unreadable(struct fixture *fixture, const char *how, int deadline_ms,
					const char *reason)
{
	struct pci_scan scan;
	const char *error = NULL;
	assert_int_equal(scan_with(fixture, how, deadline_ms, &scan, &error), 0);
	assert_true(scan.complete);
	assert_int_equal(scan.n_gpus, 3);
	assert_string_equal(scan.gpus[0].state, GPU_STATE_AVAILABLE);
	assert_string_equal(scan.gpus[2].state, GPU_STATE_AVAILABLE);
	assert_string_equal(scan.gpus[1].pci_address, bus[1]);
	assert_string_equal(scan.gpus[1].state, GPU_STATE_UNREADABLE);
	if (!strstr(scan.gpus[1].reason, reason))
		fail_msg("%s: \"%s\" does not say \"%s\"", how, scan.gpus[1].reason, reason);
}

static void well_behaved(void **state)
{
	struct pci_scan scan;
	const char *error = NULL;
	assert_int_equal(scan_with(*state, "well", 20000, &scan, &error), 0);
	assert_int_equal(scan.n_gpus, 3);
	assert_string_equal(scan.gpus[1].state, GPU_STATE_AVAILABLE);
}

static void hanging_device(void **state)
{
	assert_second_is_unreadable(*state, "hang", 1500, "did not end in time");
}

static void crashing_device(void **state)
{
	assert_second_is_unreadable(*state, "crash", 20000, "signal 9");
	assert_second_is_unreadable(*state, "exit", 20000, "made the reader fail");
}

static void nonsense_is_not_believed(void **state)
{
	assert_second_is_unreadable(*state, "truncate", 20000, "made the reader fail");
	assert_second_is_unreadable(*state, "magic", 20000, "made the reader fail");
	assert_second_is_unreadable(*state, "endless-text", 20000, "made the reader fail");
	assert_second_is_unreadable(*state, "other-device", 20000, "made the reader fail");
}

static void bus_that_cannot_be_listed(void **state)
{
	struct pci_scan scan;
	const char *error = NULL;
	assert_int_equal(scan_with(*state, "hang-in-list", 1500, &scan, &error), 1);
	assert_non_null(strstr(error, "did not end in time"));
	assert_int_equal(scan_with(*state, "silent", 20000, &scan, &error), 1);
	assert_non_null(strstr(error, "made the reader fail"));
}

/* A device that was not reached may be there: the scan says that it is not whole. */
static void out_of_time(void **state)
{
	struct fixture *fixture = *state;
	const char *args[] = { "--play", "hang", NULL };
	struct pci_scan_options options = fixture_options(fixture, "/nonexistent");
	options.reader_args = args;
	options.deadline_ms = 1500;
	struct pci_scan scan;
	const char *error = NULL;
	assert_int_equal(pci_scan(&options, &fixture->arena, &scan, &error), 0);
	assert_false(scan.complete);
	assert_int_equal(scan.n_gpus, 2);
}

static void list_of_names_that_hangs(void **state)
{
	struct fixture *fixture = *state;
	const char *sysfs = fixture_describe(fixture, "gpu 10de:1bb3\n");
	char path[128];
	snprintf(path, sizeof(path), "%s/fifo", fixture->dir);
	assert_int_equal(mkfifo(path, 0644), 0);
	struct pci_scan_options options = fixture_options(fixture, sysfs);
	options.pci_ids_path = path;
	options.device_deadline_ms = 1500;
	struct pci_scan scan;
	const char *error = NULL;
	assert_int_equal(pci_scan(&options, &fixture->arena, &scan, &error), 0);
	assert_true(scan.complete);
	assert_int_equal(scan.n_gpus, 1);
	assert_string_equal(scan.gpus[0].model, "Device 10de:1bb3");
	assert_string_equal(scan.gpus[0].state, GPU_STATE_AVAILABLE);
	assert_int_equal(scan.n_warnings, 1);
}

static size_t open_descriptors(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void nothing_is_left_open(void **state)
{
	struct pci_scan scan;
	const char *error = NULL;
	size_t before = open_descriptors();
	assert_int_equal(scan_with(*state, "hang", 1500, &scan, &error), 0);
	assert_int_equal(scan_with(*state, "crash", 20000, &scan, &error), 0);
	assert_int_equal(open_descriptors(), before);
}

static void program_that_does_not_exist(void **state)
{
	struct fixture *fixture = *state;
	struct pci_scan_options options = fixture_options(fixture, "/nonexistent");
	options.reader_path = "/nonexistent/program";
	struct pci_scan scan;
	const char *error = NULL;
	assert_true(pci_scan(&options, &fixture->arena, &scan, &error) < 0);
}

int main(int argc, char **argv)
{
	int status;
	if (fixture_is_reader(argc, argv, &status))
		return status;
	if (argc == 6 && strcmp(argv[1], "--play") == 0)
		return play(argv[2], argv[5]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(well_behaved),
		TEST(hanging_device),
		TEST(crashing_device),
		TEST(nonsense_is_not_believed),
		TEST(bus_that_cannot_be_listed),
		TEST(out_of_time),
		TEST(list_of_names_that_hangs),
		TEST(nothing_is_left_open),
		TEST(program_that_does_not_exist),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
