#include "attach/step/step.h"

#include <stddef.h>

const char *step_verb_name(enum step_verb verb)
{
	static const char *const names[] = {
		[STEP_LOOK] = "look",	  [STEP_BIND] = "bind",	  [STEP_PLUG] = "plug",
		[STEP_UNPLUG] = "unplug", [STEP_CLEAN] = "clean", [STEP_GIVE_BACK] = "give-back",
	};
	return (size_t)verb < STEP_VERBS ? names[verb] : "?";
}
