#include "attach/step_command.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "gpubus-attach-step"

enum { WORDS_MAX = 20 };

/* Where this program is, its steps are, too. */
static const char *beside_this_program(struct arena *arena)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (len < 0)
		return PROGRAM;
	path[len] = '\0';
	char *slash = strrchr(path, '/');
	if (!slash)
		return PROGRAM;
	*slash = '\0';
	return arena_printf(arena, "%s/" PROGRAM, path);
}

const char *const *step_command(const struct attach_options *options, struct arena *arena)
{
	const char **argv = arena_array(arena, WORDS_MAX, sizeof(*argv));
	size_t n = 0;
	argv[n++] = options->step_program ? options->step_program : beside_this_program(arena);
	argv[n++] = "--hypervisor";
	argv[n++] = options->hypervisor;
	argv[n++] = "--target";
	argv[n++] = options->target;
	/* Who does not answer is given up by the step, which can still say so, before the step is. */
	argv[n++] = "--deadline";
	argv[n++] = arena_printf(arena, "%" PRId64, (options->step_deadline_ms + 1) / 2);
	argv[n++] = "--sysfs";
	argv[n++] = options->sysfs_dir;
	argv[n++] = "--proc";
	argv[n++] = options->proc_dir;
	argv[n++] = "--dev";
	argv[n++] = options->dev_dir;
	if (options->allow_no_interrupt_remapping)
		argv[n++] = "--allow-no-interrupt-remapping";
	if (options->allow_no_reset)
		argv[n++] = "--allow-no-reset";
	return argv; /* zeroed */
}
