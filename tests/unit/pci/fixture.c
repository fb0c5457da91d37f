#include "fixture.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "hostgen/description.h"
#include "hostgen/layout.h"
#include "hostgen/tree.h"
#include "pci/reader.h"

static const char *const reader_args[] = { "--test-reader", NULL };

static void run(const char *const *argv)
{
	pid_t pid;
	int status;
	char *const environment[] = { (char *)"PATH=/usr/bin:/bin", NULL };
	assert_int_equal(posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environment),
			 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int fixture_setup(void **state)
{
	struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));
	snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/gpubus-pci.XXXXXX");
	if (!mkdtemp(fixture->dir))
		return -1;
	arena_init(&fixture->arena);
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;
	run((const char *const[]){ "chmod", "-R", "u+rwX", fixture->dir, NULL });
	run((const char *const[]){ "rm", "-rf", fixture->dir, NULL });
	arena_deinit(&fixture->arena);
	free(fixture);
	return 0;
}

bool fixture_is_reader(int argc, char **argv, int *ret_status)
{
	if (argc < 2 || strcmp(argv[1], reader_args[0]) != 0)
		return false;
	*ret_status = pci_reader_main(argc - 2, argv + 2);
	return true;
}

const char *fixture_host(struct fixture *fixture, const char *name, const char *description)
{
	struct arena *arena = &fixture->arena;
	struct host *hosts;
	struct function *functions;
	size_t n_hosts, n;
	const char *error;
	if (description_parse(arena_strdup(arena, description), arena, &hosts, &n_hosts, &error) ||
	    layout_host(&hosts[0], arena, &functions, &n, &error))
		fail_msg("%s", error);
	const char *dir = arena_printf(arena, "%s/%s", fixture->dir, name);
	assert_int_equal(tree_write(dir, hosts->name, hosts, functions, n), 0);
	return arena_printf(arena, "%s/sys", dir);
}

const char *fixture_describe(struct fixture *fixture, const char *cards)
{
	return fixture_host(fixture, "h", arena_printf(&fixture->arena, "host h\n%s", cards));
}

static const char *test_data(void)
{
	const char *data = getenv("TEST_DATA");
	assert_non_null(data);
	return data;
}

const char *fixture_recorded(struct fixture *fixture, const char *host)
{
	run((const char *const[]){ "bash",
				   arena_printf(&fixture->arena, "%s/hosts/unpack.sh", test_data()),
				   fixture->dir, host, NULL });
	return arena_printf(&fixture->arena, "%s/%s/sys", fixture->dir, host);
}

struct pci_scan_options fixture_options(struct fixture *fixture, const char *sysfs_dir)
{
	return (struct pci_scan_options){
		.sysfs_dir = sysfs_dir,
		.pci_ids_path = arena_printf(&fixture->arena, "%s/pci.ids", test_data()),
		.host = "h",
		.pool_id = "1",
		.boot_id = "b",
		.now_us = 1000000,
		.reader_args = reader_args,
		/* Far more than a loaded machine needs, so that only what really hangs is cut off. */
		.device_deadline_ms = 20000,
		.deadline_ms = 50000,
	};
}

struct pci_scan fixture_scan(struct fixture *fixture, const char *sysfs_dir)
{
	struct pci_scan_options options = fixture_options(fixture, sysfs_dir);
	struct pci_scan scan;
	const char *error = NULL;
	if (pci_scan(&options, &fixture->arena, &scan, &error))
		fail_msg("%s: %s", sysfs_dir, error ? error : "no reader");
	assert_true(scan.complete);
	return scan;
}

const struct gpu_discovered *fixture_gpu(const struct pci_scan *scan, const char *address)
{
	for (size_t i = 0; i < scan->n_gpus; i++)
		if (strcmp(scan->gpus[i].pci_address, address) == 0)
			return &scan->gpus[i];
	fail_msg("%s is not listed", address);
	return NULL;
}

const char *fixture_path(const char *sysfs_dir, const char *address, const char *file)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", sysfs_dir, address, file);
	return path;
}

void fixture_remove(const char *sysfs_dir, const char *address, const char *file)
{
	if (unlink(fixture_path(sysfs_dir, address, file)) < 0)
		assert_int_equal(errno, ENOENT);
}

void fixture_put(const char *sysfs_dir, const char *address, const char *file, const char *text)
{
	fixture_remove(sysfs_dir, address, file);
	FILE *out = fopen(fixture_path(sysfs_dir, address, file), "we");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}
