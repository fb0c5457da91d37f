#include "attach/step/crash.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef GPUBUS_CRASH_POINTS

#define NAME(name, meaning) name,
static const char *const names[] = { STEP_CRASH_POINTS(NAME) };
#undef NAME

enum { N_NAMES = sizeof(names) / sizeof(*names) };

const char *step_crash_point(unsigned int n)
{
	return n < N_NAMES ? names[n] : NULL;
}

static bool is_name(const char *text)
{
	for (unsigned int i = 0; i < N_NAMES; i++)
		if (strcmp(text, names[i]) == 0)
			return true;
	return false;
}

/* A step done by hand has a shell for its parent, and a test's unit tests the test: neither is killed. */
static void kill_agent(void)
{
	char path[32], comm[32] = "";
	pid_t parent = getppid();
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)parent);
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(comm, sizeof(comm), file) && strcmp(comm, "gpubus-attach\n") == 0)
		kill(parent, SIGKILL);
	fclose(file);
}

void crash_point(const char *name)
{
	/* One that is in no list would never be tested. The agent's are in a list of its own. */
	if (!is_name(name) && strncmp(name, "agent-", strlen("agent-")) != 0)
		abort();
	const char *wanted = getenv("GPUBUS_CRASH_AT");
	if (!wanted || strcmp(wanted, name) != 0)
		return;
	kill_agent();
	raise(SIGKILL);
}

#else

const char *step_crash_point(unsigned int n)
{
	(void)n;
	return NULL;
}

#endif
