/* gpubus-hostgen: makes host trees from a description, as DIR/HOST/sys. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "description.h"
#include "layout.h"
#include "tree.h"

static const char usage[] =
	"usage: gpubus-hostgen --output DIR [FILE]\n\n"
	"Makes PCI hosts to test and play with, for gpubus scan --sysfs DIR/HOST/sys and\n"
	"gpubus-inventory --hosts-dir DIR. FILE, or standard input, describes them:\n\n"
	"  host h count=100 pool=1 cores=64 ram-gb=512         100 hosts h1 ... h100\n"
	"  gpu 10de:1bb3 count=4 audio driver=vfio-pci numa=0 switch=1\n"
	"  gpu 1a03:2000 driver=ast boot-vga\n"
	"  device 8086:1521 class=020000 driver=igb\n\n"
	"host: count= pool= cores= ram-gb= iommu=off vfio=off remapping=off\n"
	"gpu, device: count= slot=[DDDD:]BB:DD class= audio usb usb-c driver= companion-driver=\n"
	"  group=N|none port-in-group numa= switch= boot-vga vfs= vf-driver= without=FILE\n"
	"tests/support/hostgen/description.h says what each of them means.\n";

struct settings {
	const char *output;
	const char *file; /* NULL: standard input */
};

static int read_file(FILE *file, struct buf *text)
{
	char *end;
	size_t n;
	do {
		end = buf_reserve(text, 65536);
		n = fread(end, 1, 65536, file);
		text->len += n;
	} while (n > 0);
	buf_putc(text, '\0');
	return ferror(file) ? 1 : 0;
}

/* Hosts of one description are alike: laid out once. Positive: the mistake was printed. */
static int write_hosts(const char *dir, const struct host *host, struct arena *arena)
{
	struct function *functions;
	size_t n;
	const char *error;
	if (layout_host(host, arena, &functions, &n, &error)) {
		fprintf(stderr, "gpubus-hostgen: %s\n", error);
		return 1;
	}
	int count = host->count ? host->count : 1;
	for (int i = 1; i <= count; i++) {
		char name[256], path[4096];
		if (host->count)
			snprintf(name, sizeof(name), "%s%d", host->name, i);
		else
			snprintf(name, sizeof(name), "%s", host->name);
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		int r = tree_write(path, name, host, functions, n);
		if (r < 0) {
			fprintf(stderr, "gpubus-hostgen: %s: %s\n", path, strerror(-r));
			return 1;
		}
	}
	return 0;
}

/* Positive: wrong usage. */
static int parse(int argc, char **argv, struct settings *settings)
{
	for (int i = 1; i < argc; i++) {
		bool last = i + 1 == argc;
		if (strcmp(argv[i], "--output") == 0 && !last)
			settings->output = argv[++i];
		else if (argv[i][0] != '-' && !settings->file)
			settings->file = argv[i];
		else
			return 1;
	}
	return !settings->output;
}

static int read_description(const struct settings *settings, struct buf *text)
{
	FILE *file = settings->file ? fopen(settings->file, "re") : stdin;
	if (!file || read_file(file, text)) {
		fprintf(stderr, "gpubus-hostgen: %s: %s\n",
			settings->file ? settings->file : "standard input", strerror(errno));
		return 1;
	}
	if (file != stdin)
		fclose(file);
	return 0;
}

int main(int argc, char **argv)
{
	struct settings settings = { 0 };
	bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
	if (help || parse(argc, argv, &settings)) {
		fputs(usage, help ? stdout : stderr);
		return help ? EXIT_SUCCESS : 2;
	}
	cleanup(buf_deinit) struct buf text = { 0 };
	if (read_description(&settings, &text))
		return EXIT_FAILURE;
	if (mkdir(settings.output, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr, "gpubus-hostgen: %s: %s\n", settings.output, strerror(errno));
		return EXIT_FAILURE;
	}

	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	struct host *hosts;
	size_t n;
	const char *error;
	if (description_parse(text.data, &arena, &hosts, &n, &error)) {
		fprintf(stderr, "gpubus-hostgen: %s\n", error);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < n; i++)
		if (write_hosts(settings.output, &hosts[i], &arena))
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
