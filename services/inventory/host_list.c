#include "inventory/host_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "pci/driver_list.h"

enum { HOSTS_MAX = 10000 };

bool host_name_is_valid(const char *name)
{
	size_t len = strlen(name);
	if (len == 0 || len > LIMIT_ID_BYTES || name[0] == '.')
		return false;
	for (const char *c = name; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '/')
			return false;
	return true;
}

/* As the scheduler takes them; and it is remembered as one line of a file. */
static bool pool_id_is_valid(const char *pool_id)
{
	size_t len = strlen(pool_id);
	for (const char *c = pool_id; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return len > 0 && len <= LIMIT_ID_BYTES && utf8_is_text(pool_id, len);
}

static bool has_bus(struct arena *arena, const char *sysfs_dir)
{
	return access(arena_printf(arena, "%s/bus/pci/devices", sysfs_dir), R_OK) == 0;
}

/* What every host has in common. Positive: its name or pool will not do. */
static int complete(const struct inventory_options *options, struct arena *arena,
		    struct host_place *host, struct buf *error)
{
	if (!host_name_is_valid(host->name)) {
		buf_printf(
			error,
			"host name \"%s\": up to %d letters, digits and signs, no blank or slash, "
			"no dot in front",
			host->name, LIMIT_ID_BYTES);
		return 1;
	}
	if (!host->pool_id || !pool_id_is_valid(host->pool_id)) {
		buf_printf(error,
			   "host %s: its pool (--pool) is missing, longer than %d bytes, not UTF-8 "
			   "or has "
			   "control characters",
			   host->name, LIMIT_ID_BYTES);
		return 1;
	}
	if (!host->passthrough_drivers)
		host->passthrough_drivers = options->passthrough_drivers;
	if (host->passthrough_drivers && *host->passthrough_drivers) {
		cleanup(buf_deinit) struct buf why = { 0 };
		if (driver_list_check(host->passthrough_drivers, &why)) {
			buf_printf(error, "host %s: --passthrough-drivers %s", host->name,
				   why.data);
			return 1;
		}
	}
	host->state_dir = arena_printf(arena, "%s/%s", options->state_dir, host->name);
	host->pci_ids_path = options->pci_ids_path;
	host->boot_id = options->boot_id;
	host->cpu_cores = options->cpu_cores;
	host->ram_gb = options->ram_gb;
	return 0;
}

static int one_host(const struct inventory_options *options, struct arena *arena,
		    struct host_place *host, struct buf *error)
{
	char name[LIMIT_ID_BYTES + 1] = "";
	if (!options->host && gethostname(name, sizeof(name) - 1) < 0) {
		buf_puts(error, "this machine has no host name: give it one with --host");
		return 1;
	}
	*host = (struct host_place){
		.name = options->host ? options->host : arena_strdup(arena, name),
		.pool_id = options->pool_id,
		.sysfs_dir = options->sysfs_dir ? options->sysfs_dir : "/sys",
		.proc_dir = options->proc_dir,
		.is_this_machine = !options->sysfs_dir || strcmp(options->sysfs_dir, "/sys") == 0,
	};
	if (!host->proc_dir)
		host->proc_dir = host->is_this_machine
					 ? "/proc"
					 : arena_printf(arena, "%s/../proc", host->sysfs_dir);
	if (!has_bus(arena, host->sysfs_dir)) {
		buf_printf(error, "%s has no bus/pci/devices", host->sysfs_dir);
		return 1;
	}
	return complete(options, arena, host, error);
}

/* name=value lines; of other names, nothing is taken. */
static void read_conf(struct arena *arena, const char *path, struct host_place *host)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	char line[1024];
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (strncmp(line, "host=", 5) == 0)
			host->name = arena_strdup(arena, line + 5);
		else if (strncmp(line, "pool=", 5) == 0)
			host->pool_id = arena_strdup(arena, line + 5);
		else if (strncmp(line, "passthrough-drivers=", 20) == 0)
			host->passthrough_drivers = arena_strdup(arena, line + 20);
	}
	fclose(file);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct host_place *)a)->name, ((const struct host_place *)b)->name);
}

static int all_hosts(const struct inventory_options *options, struct arena *arena, DIR *dir,
		     struct host_place *hosts, size_t *ret_n, struct buf *error)
{
	size_t n = 0;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		const char *path = arena_printf(arena, "%s/%s", options->hosts_dir, entry->d_name);
		const char *sysfs = arena_printf(arena, "%s/sys", path);
		if (entry->d_name[0] == '.' || !has_bus(arena, sysfs))
			continue;
		if (n == HOSTS_MAX) {
			buf_printf(error, "%s has more than %d hosts", options->hosts_dir,
				   HOSTS_MAX);
			return 1;
		}
		hosts[n] = (struct host_place){
			.name = arena_strdup(arena, entry->d_name),
			.pool_id = options->pool_id,
			.sysfs_dir = sysfs,
			.proc_dir = arena_printf(arena, "%s/proc", path),
		};
		read_conf(arena, arena_printf(arena, "%s/host.conf", path), &hosts[n]);
		if (complete(options, arena, &hosts[n], error))
			return 1;
		n++;
	}
	qsort(hosts, n, sizeof(*hosts), compare_names);
	for (size_t i = 1; i < n; i++)
		if (strcmp(hosts[i - 1].name, hosts[i].name) == 0) {
			buf_printf(error, "%s has two hosts called %s", options->hosts_dir,
				   hosts[i].name);
			return 1;
		}
	if (n == 0) {
		buf_printf(error, "%s has no HOST/sys/bus/pci/devices", options->hosts_dir);
		return 1;
	}
	*ret_n = n;
	return 0;
}

int host_list(const struct inventory_options *options, struct arena *arena,
	      struct host_place **ret_hosts, size_t *ret_n, struct buf *error)
{
	if (!options->hosts_dir) {
		struct host_place *host = arena_alloc(arena, sizeof(*host));
		int r = one_host(options, arena, host, error);
		if (r)
			return r;
		*ret_hosts = host;
		*ret_n = 1;
		return 0;
	}

	DIR *dir = opendir(options->hosts_dir);
	if (!dir) {
		buf_printf(error, "%s: %s", options->hosts_dir, strerror(errno));
		return 1;
	}
	struct host_place *hosts = arena_array(arena, HOSTS_MAX, sizeof(*hosts));
	size_t n = 0;
	int r = all_hosts(options, arena, dir, hosts, &n, error);
	closedir(dir);
	if (r)
		return r;
	*ret_hosts = hosts;
	*ret_n = n;
	return 0;
}
