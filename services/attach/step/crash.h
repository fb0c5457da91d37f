/*
 * Named moments at which a test kills agent and step, to see that the next agent makes it good: with
 * GPUBUS_CRASH_AT=NAME in the environment, crash_point("NAME") ends the parent process (when it is
 * the agent: in a step) and this one with SIGKILL. Only in builds with the CMake option
 * GPUBUS_CRASH_POINTS (presets dev and asan); elsewhere it is nothing.
 *
 * The names of a step's moments stand here, those of the agent's in attach/crash_points.h;
 * `gpubus-attach-step --crash-points` prints the step's, one a line. Those of one function are passed for
 * each function of the unit; the first time counts.
 */
#pragma once

/* Before and after each step, and between any two of its writes that leave the host in another state. */
#define STEP_CRASH_POINTS(X)                                                                       \
	X("bind-before", "nothing is done")                                                        \
	X("bind-override-set", "a function's override is vfio-pci, its old driver still bound")    \
	X("bind-unbound", "a function has no driver")                                              \
	X("bind-function-bound", "one function is on vfio-pci, the next one not")                  \
	X("bind-one-put-back", "in a bind that failed, the last function is put back")             \
	X("bind-after", "all are bound; the agent does not know")                                  \
	X("plug-before", "the hypervisor was not asked")                                           \
	X("plug-after", "the VM has it; the agent does not know")                                  \
	X("unplug-before", "the hypervisor was not asked")                                         \
	X("unplug-after", "the VM has let go; the agent does not know")                            \
	X("clean-before", "nothing is done")                                                       \
	X("clean-function-reset", "one function is reset, the next one not")                       \
	X("clean-reset", "all are reset, none was looked at")                                      \
	X("clean-after", "all is clean; the agent does not know")                                  \
	X("give-back-before", "nothing is done")                                                   \
	X("give-back-unbound", "a function has no driver, its override is vfio-pci")               \
	X("give-back-bound", "its old driver is bound, and its name still in the override")        \
	X("give-back-override-cleared", "one function is back, the next one not")                  \
	X("give-back-after", "all are back; the agent does not know")

/* The n-th of them, or NULL behind the last; none in a build without crash points. */
const char *step_crash_point(unsigned int n);

#ifdef GPUBUS_CRASH_POINTS
void crash_point(const char *name);
#else
#define crash_point(name) ((void)0)
#endif
