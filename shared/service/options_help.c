#include "service/options_help.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { HELP_COLUMN = 30 };

static void print_option(const struct option_spec *spec)
{
	char left[256], environment[128];
	const char *line = spec->help;
	int width;

	snprintf(left, sizeof(left), "  %c%c%s --%s%s%s", spec->letter ? '-' : ' ',
		 spec->letter ? spec->letter : ' ', spec->letter ? "," : " ", spec->name,
		 spec->argument ? " " : "", spec->argument ? spec->argument : "");
	width = (int)strlen(left);
	/* A long left side stands on a line of its own. */
	printf("%s", left);
	if (width >= HELP_COLUMN) {
		printf("\n");
		width = 0;
	}
	while (*line) {
		int len = (int)strcspn(line, "\n");

		printf("%*s%.*s\n", HELP_COLUMN - width, "", len, line);
		width = 0;
		line += len;
		line += *line == '\n';
	}
	option_environment_name(spec, environment, sizeof(environment));
	if (spec->fallback && !spec->no_environment)
		printf("%*s[default: %s; environment: %s]\n", HELP_COLUMN, "", spec->fallback,
		       environment);
	else if (spec->fallback)
		printf("%*s[default: %s]\n", HELP_COLUMN, "", spec->fallback);
	else if (!spec->no_environment)
		printf("%*s[environment: %s]\n", HELP_COLUMN, "", environment);
}

void options_print_help(const struct program *program, const struct option_spec *const *specs,
			size_t n)
{
	printf("usage: %s [OPTION...]%s%s\n\n%s\n\nOptions:\n", program->name,
	       program->usage ? " " : "", program->usage ? program->usage : "", program->summary);
	for (size_t i = 0; i < n; i++)
		print_option(specs[i]);
	if (program->epilog)
		printf("\n%s%s", program->epilog,
		       program->epilog[strlen(program->epilog) - 1] == '\n' ? "" : "\n");
}

void options_print_version(const char *name)
{
	printf("%s %s\n"
	       "librdkafka %s, avro-c %s, hiredis %s, libuv %s\n"
	       "TLS to Redis: %s\n",
	       name, GPUBUS_VERSION, GPUBUS_RDKAFKA_VERSION, GPUBUS_AVRO_VERSION,
	       GPUBUS_HIREDIS_VERSION, uv_version_string(),
	       GPUBUS_HIREDIS_TLS ? "built in" : "not built in (this hiredis has no hiredis_ssl)");
}
