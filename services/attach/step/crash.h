/*
 * Named moments at which a test kills agent and step, to see that the next agent makes it good: with
 * GPUBUS_CRASH_AT=NAME in the environment, crash_point("NAME") ends the parent process (when it is
 * the agent: in a step) and this one with SIGKILL. Only in builds with the CMake option
 * GPUBUS_CRASH_POINTS (presets dev and asan); elsewhere it is nothing.
 */
#pragma once

#ifdef GPUBUS_CRASH_POINTS
void crash_point(const char *name);
#else
#define crash_point(name) ((void)0)
#endif
