#include "store/library.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/redis_command.h"
#include "store/redis_link.h"

struct check {
	struct redis_link *link;
	void (*on_done)(void *context, const char *problem);
	void *context;
};

/* Frees the check. */
static void done(struct check *check, const char *problem)
{
	struct check ended = *check;
	free(check);
	ended.on_done(ended.context, problem);
}

static void on_loaded(void *context, const redisReply *reply)
{
	struct check *check = context;
	if (!reply) {
		free(check);
	} else if (reply->type == REDIS_REPLY_ERROR) {
		char problem[256];
		snprintf(problem, sizeof(problem), "the function library cannot be loaded: %.160s",
			 reply->str);
		done(check, problem);
	} else {
		log_info("redis has the function library now version=%d", store_library_version);
		done(check, NULL);
	}
}

static void load(struct check *check)
{
	cleanup(buf_deinit) struct buf command = { 0 };
	redis_command_begin(&command, 4);
	redis_command_text(&command, "FUNCTION");
	redis_command_text(&command, "LOAD");
	/* Also when it is missing: another scheduler may be loading it at the same moment. */
	redis_command_text(&command, "REPLACE");
	redis_command_bytes(&command, store_library_source, store_library_source_len);
	redis_link_send(check->link, command.data, command.len, on_loaded, check);
}

static void on_version(void *context, const redisReply *reply)
{
	struct check *check = context;
	char problem[256];
	if (!reply) {
		free(check);
	} else if (reply->type == REDIS_REPLY_INTEGER && reply->integer == store_library_version) {
		done(check, NULL);
	} else if (reply->type == REDIS_REPLY_INTEGER && reply->integer > store_library_version) {
		snprintf(problem, sizeof(problem),
			 "its function library is version %lld, this program's %d: upgrade this "
			 "program",
			 reply->integer, store_library_version);
		done(check, problem);
	} else if (reply->type == REDIS_REPLY_INTEGER ||
		   (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "unction not found"))) {
		load(check);
	} else if (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "unknown command")) {
		done(check, "it has no functions: Redis 7.0 or newer is needed");
	} else {
		snprintf(problem, sizeof(problem), "%.160s",
			 reply->type == REDIS_REPLY_ERROR ? reply->str
							  : "an answer of an unexpected type");
		done(check, problem);
	}
}

void store_library_check(struct redis_link *link,
			 void (*on_done)(void *context, const char *problem), void *context)
{
	struct check *check = memory_alloc(sizeof(*check));
	*check = (struct check){ .link = link, .on_done = on_done, .context = context };
	cleanup(buf_deinit) struct buf command = { 0 };
	redis_command_words(&command, "FCALL", "gpubus_version", "0", NULL);
	redis_link_send(link, command.data, command.len, on_version, check);
}
