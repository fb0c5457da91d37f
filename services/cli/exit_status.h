/*
 * What the exit status of `gpubus` says, for all verbs. Scripts rely on it.
 */
#pragma once

/* What each means is in STATUS_TEXT, which all --help pages show (those of scan and doctor, which ask nobody,
 * have words of their own). */
enum exit_status {
	STATUS_OK = 0,
	STATUS_ERROR = 1,
	STATUS_USAGE = 2,
	STATUS_REFUSED = 3,
	STATUS_NO_ANSWER = 4,
};

#define STATUS_TEXT                                                                                \
	"Exit status:\n"                                                                           \
	"  0  done; with --wait: granted, released, marked or allowed; audit: clean\n"             \
	"  1  an error, which was printed; get: there is no such ID; audit: not clean\n"           \
	"  2  the command line, or an event given to it, is wrong\n"                               \
	"  3  with --wait: refused\n"                                                              \
	"  4  with --wait: no answer in time; the request stands and may still be answered\n"
