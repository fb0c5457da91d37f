#include "attach/step_command.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "gpubus-attach-step"

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
	const char *const words[] = {
		options->step_program ? options->step_program : beside_this_program(arena),
		"--hypervisor",
		options->hypervisor,
		"--target",
		options->target,
		"--sysfs",
		options->sysfs_dir,
		"--proc",
		options->proc_dir,
		"--dev",
		options->dev_dir,
		options->allow_no_interrupt_remapping ? "--allow-no-interrupt-remapping" : NULL,
		NULL,
	};
	const char **argv = arena_array(arena, 1, sizeof(words));
	memcpy(argv, words, sizeof(words));
	return argv;
}
