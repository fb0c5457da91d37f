#include "service/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

struct part {
	char *name;   /* owned */
	char *reason; /* owned; NULL: ready */
};

struct health {
	struct part *parts; /* owned */
	size_t n;
	bool was_ready; /* as it was last logged */
};

struct health *health_new(void)
{
	return memory_zeroed(1, sizeof(struct health));
}

static void part_deinit(struct part *part)
{
	free(part->name);
	free(part->reason);
}

void health_free(struct health *health)
{
	if (!health)
		return;
	for (size_t i = 0; i < health->n; i++)
		part_deinit(&health->parts[i]);
	free(health->parts);
	free(health);
}

static struct part *find(struct health *health, const char *name)
{
	for (size_t i = 0; i < health->n; i++)
		if (!strcmp(health->parts[i].name, name))
			return &health->parts[i];
	return NULL;
}

static struct part *find_or_add(struct health *health, const char *name)
{
	struct part *part = find(health, name);

	if (part)
		return part;
	health->parts = memory_resize(health->parts, health->n + 1, sizeof(*health->parts));
	part = &health->parts[health->n++];
	*part = (struct part){ .name = memory_strdup(name) };
	return part;
}

bool health_is_ready(const struct health *health)
{
	for (size_t i = 0; i < health->n; i++)
		if (health->parts[i].reason)
			return false;
	return true;
}

static void log_readiness(struct health *health)
{
	bool ready = health_is_ready(health);

	if (ready && !health->was_ready)
		log_info("ready");
	health->was_ready = ready;
}

void health_wait(struct health *health, const char *name, const char *format, ...)
{
	struct part *part = find_or_add(health, name);
	cleanup(freep) char *reason = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&reason, format, arguments) < 0)
		memory_exhausted();
	va_end(arguments);
	if (part->reason && !strcmp(part->reason, reason))
		return;
	log_info("waiting: %s: %s", name, reason);
	free(part->reason);
	part->reason = steal(&reason);
	log_readiness(health);
}

void health_ready(struct health *health, const char *name)
{
	struct part *part = find_or_add(health, name);

	if (part->reason)
		log_info("no longer waiting: %s", name);
	free(part->reason);
	part->reason = NULL;
	log_readiness(health);
}

void health_forget(struct health *health, const char *name)
{
	struct part *part = find(health, name);

	if (!part)
		return;
	part_deinit(part);
	*part = health->parts[--health->n];
	log_readiness(health);
}

void health_describe(const struct health *health, struct buf *out)
{
	const char *separator = "";

	for (size_t i = 0; i < health->n; i++) {
		if (!health->parts[i].reason)
			continue;
		buf_printf(out, "%s%s: %s", separator, health->parts[i].name,
			   health->parts[i].reason);
		separator = "; ";
	}
}
