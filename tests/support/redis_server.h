/*
 * A private redis-server for a test: its own directory, a unix socket, no TCP port, no persistence
 * unless asked for. Every call waits until what it does is done and ends the test program on failure.
 */
#pragma once

#include <stdbool.h>

struct redis_server;

struct redis_server_options {
	bool aof; /* appendonly yes, fsync always */
	const char *const
		*extra; /* further arguments, NULL-terminated: "--requirepass", "x", NULL */
};

/* `options` may be NULL. Returns when it answers. */
struct redis_server *redis_server_start(const struct redis_server_options *options);
/* Kills it and removes the directory. */
void redis_server_stop(struct redis_server *server);

/* "unix:///tmp/.../redis.sock" */
const char *redis_server_url(const struct redis_server *server);
const char *redis_server_socket(const struct redis_server *server);
const char *redis_server_dir(const struct redis_server *server);

void redis_server_kill(struct redis_server *server);	 /* SIGKILL, and waits */
void redis_server_restart(struct redis_server *server);	 /* after a kill: the same directory */
void redis_server_pause(struct redis_server *server);	 /* SIGSTOP */
void redis_server_continue(struct redis_server *server); /* SIGCONT */
void redis_server_wipe(struct redis_server *server);	 /* FLUSHALL */
/* Keeps a copy of the data as it is now; roll_back restarts the server with that copy. */
void redis_server_snapshot(struct redis_server *server);
void redis_server_roll_back(struct redis_server *server);

/* Runs one command and returns its reply as text (arrays: one item per line; an error with "ERR ..."
 * as it came); the caller frees it. printf-like, words split at spaces (hiredis' format). */
char *redis_server_command(struct redis_server *server, const char *format, ...);
/* The same, as a number. */
long long redis_server_number(struct redis_server *server, const char *format, ...);
