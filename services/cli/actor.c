#include "cli/actor.h"

#include <pwd.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/ask.h"

struct option_spec actor_option(const char **target)
{
	return ask_text("actor", "NAME", "who asks for it; kept in the log (default: USER@HOST)",
			target);
}

/* The environment first: in a container users often have no entry in passwd. */
static const char *user_name(void)
{
	const char *name = getenv("USER");
	if (name && *name)
		return name;
	const struct passwd *entry = getpwuid(geteuid());
	return entry && entry->pw_name ? entry->pw_name : "unknown";
}

const char *actor_default(struct arena *arena)
{
	char host[LIMIT_ID_BYTES + 1] = "";
	if (gethostname(host, sizeof(host) - 1) < 0 || !*host)
		return arena_printf(arena, "%s@localhost", user_name());
	return arena_printf(arena, "%s@%s", user_name(), host);
}
