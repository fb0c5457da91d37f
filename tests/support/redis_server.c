#include "support/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"

enum { EXTRA_MAX = 32, START_DEADLINE_MS = 10000 };

struct redis_server {
	char dir[64];
	char socket[96];
	char url[128];
	bool aof;
	char *extra[EXTRA_MAX + 1];
	pid_t pid; /* 0: not running */
	redisContext *admin;
};

_Noreturn static void die(const struct redis_server *server, const char *what)
{
	fprintf(stderr, "redis_server %s: %s: %s\n", server->dir, what, strerror(errno));
	if (server->pid > 0)
		kill(server->pid, SIGKILL);
	abort();
}

static void launch(struct redis_server *server)
{
	char *args[EXTRA_MAX + 24];
	size_t n = 0;
	char log[128];
	snprintf(log, sizeof(log), "%s/redis.log", server->dir);
	char *fixed[] = { "redis-server",
			  "--port",
			  "0",
			  "--unixsocket",
			  server->socket,
			  "--dir",
			  server->dir,
			  "--logfile",
			  log,
			  "--save",
			  "",
			  "--daemonize",
			  "no",
			  "--enable-debug-command",
			  "yes",
			  "--appendonly",
			  server->aof ? "yes" : "no",
			  "--appendfsync",
			  "always" };
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		args[n++] = fixed[i];
	for (size_t i = 0; server->extra[i]; i++)
		args[n++] = server->extra[i];
	args[n] = NULL;

	unlink(server->socket);
	pid_t parent = getpid();
	server->pid = fork();
	if (server->pid < 0)
		die(server, "fork");
	if (server->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		int null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		execvp(args[0], args);
		_exit(127);
	}
}

static void forget_admin(struct redis_server *server)
{
	if (server->admin)
		redisFree(server->admin);
	server->admin = NULL;
}

static bool answers(struct redis_server *server)
{
	forget_admin(server);
	server->admin = redisConnectUnix(server->socket);
	if (!server->admin || server->admin->err)
		return false;
	redisReply *reply = redisCommand(server->admin, "PING");
	/* NOAUTH is an answer too; LOADING is not yet one. */
	bool ready = reply &&
		     (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "LOADING", 7) != 0);
	freeReplyObject(reply);
	return ready;
}

static void wait_until_it_answers(struct redis_server *server)
{
	struct timespec pause = { .tv_nsec = 5000000 };
	for (int waited_ms = 0; !answers(server); waited_ms += 5) {
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid ||
		    waited_ms > START_DEADLINE_MS)
			die(server, "redis-server does not start (is it installed?)");
		nanosleep(&pause, NULL); /* lint: may sleep (it polls for a condition) */
	}
}

struct redis_server *redis_server_start(const struct redis_server_options *options)
{
	struct redis_server *server = memory_zeroed(1, sizeof(*server));
	snprintf(server->dir, sizeof(server->dir), "/tmp/gpubus-redis-XXXXXX");
	if (!mkdtemp(server->dir))
		die(server, "mkdtemp");
	snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->dir);
	snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
	if (options) {
		server->aof = options->aof;
		for (size_t i = 0; options->extra && options->extra[i] && i < EXTRA_MAX; i++)
			server->extra[i] = memory_strdup(options->extra[i]);
	}
	launch(server);
	wait_until_it_answers(server);
	return server;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

void redis_server_stop(struct redis_server *server)
{
	if (!server)
		return;
	redis_server_kill(server);
	nftw(server->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; server->extra[i]; i++)
		free(server->extra[i]);
	free(server);
}

const char *redis_server_url(const struct redis_server *server)
{
	return server->url;
}

const char *redis_server_socket(const struct redis_server *server)
{
	return server->socket;
}

const char *redis_server_dir(const struct redis_server *server)
{
	return server->dir;
}

void redis_server_kill(struct redis_server *server)
{
	forget_admin(server);
	if (server->pid == 0)
		return;
	kill(server->pid, SIGKILL);
	while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
		;
	server->pid = 0;
}

void redis_server_restart(struct redis_server *server)
{
	redis_server_kill(server);
	launch(server);
	wait_until_it_answers(server);
}

void redis_server_pause(struct redis_server *server)
{
	kill(server->pid, SIGSTOP);
}

void redis_server_continue(struct redis_server *server)
{
	kill(server->pid, SIGCONT);
}

/* ---- commands ------------------------------------------------------------------------------- */

static redisReply *ask(struct redis_server *server, const char *format, va_list args)
{
	if (!server->admin)
		wait_until_it_answers(server);
	redisReply *reply = redisvCommand(server->admin, format, args);
	if (!reply)
		die(server, server->admin->errstr);
	return reply;
}

static void print(const redisReply *reply, struct buf *text)
{
	if (reply->type == REDIS_REPLY_INTEGER)
		buf_printf(text, "%lld", reply->integer);
	else if (reply->type != REDIS_REPLY_ARRAY && reply->type != REDIS_REPLY_NIL)
		buf_append(text, reply->str, reply->len);
	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		if (i)
			buf_putc(text, '\n');
		print(reply->element[i], text);
	}
}

char *redis_server_command(struct redis_server *server, const char *format, ...)
{
	struct buf text = { 0 };
	va_list args;
	va_start(args, format);
	redisReply *reply = ask(server, format, args);
	va_end(args);
	print(reply, &text);
	freeReplyObject(reply);
	return buf_steal(&text);
}

long long redis_server_number(struct redis_server *server, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	redisReply *reply = ask(server, format, args);
	va_end(args);
	long long number = reply->type == REDIS_REPLY_INTEGER  ? reply->integer
			   : reply->type == REDIS_REPLY_STRING ? atoll(reply->str)
							       : -1;
	freeReplyObject(reply);
	return number;
}

/* For commands that answer OK. */
static void order(struct redis_server *server, const char *command)
{
	char *answer = redis_server_command(server, command);
	if (strcmp(answer, "OK") != 0) {
		errno = 0;
		die(server, answer);
	}
	free(answer);
}

void redis_server_wipe(struct redis_server *server)
{
	order(server, "FLUSHALL");
}

static void copy(const struct redis_server *server, const char *from, const char *to)
{
	char from_path[128], to_path[128], block[65536];
	snprintf(from_path, sizeof(from_path), "%s/%s", server->dir, from);
	snprintf(to_path, sizeof(to_path), "%s/%s", server->dir, to);
	FILE *in = fopen(from_path, "r"), *out = fopen(to_path, "w");
	if (!in || !out)
		die(server, from);
	for (size_t n; (n = fread(block, 1, sizeof(block), in)) > 0;)
		if (fwrite(block, 1, n, out) != n)
			die(server, to);
	fclose(in);
	if (fclose(out) != 0)
		die(server, to);
}

void redis_server_snapshot(struct redis_server *server)
{
	order(server, "SAVE");
	copy(server, "dump.rdb", "snapshot.rdb");
}

void redis_server_roll_back(struct redis_server *server)
{
	redis_server_kill(server);
	copy(server, "snapshot.rdb", "dump.rdb");
	redis_server_restart(server);
}
