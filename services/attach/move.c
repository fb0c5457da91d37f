#include "attach/move.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/agent/agent.h"
#include "attach/agent_file.h"
#include "service/state_dir.h"

/* What the agent of the old pool would have to do. It is asked, and does nothing. */
static int describe_memory(const struct attach_options *options, const char *old_pool,
			   struct buf *ret_text)
{
	const struct agent_options agent_options = { .host = options->host,
						     .pool_id = old_pool,
						     .boot_id = "unknown",
						     .has_hypervisor = true };
	const struct agent_io none = { 0 };
	cleanup(agent_freep) struct agent *agent = agent_new(&agent_options, &none);
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/agent.json", options->state_dir);
	int r = agent_file_load(path, agent);
	if (r)
		return r;
	agent_on_caught_up(agent, 0);
	agent_describe(agent, ret_text);
	/* Put aside now or by an earlier start: what stood there nobody knows. */
	snprintf(path, sizeof(path), "%s/agent.json.unusable", options->state_dir);
	if (access(path, F_OK) == 0)
		buf_printf(ret_text,
			   "the memory in %s could not be used: look at the host's GPUs and VMs, "
			   "then remove that file",
			   path);
	return 0;
}

int move_check(const struct attach_options *options, struct buf *error)
{
	cleanup(freep) char *old_pool = NULL;
	cleanup(buf_deinit) struct buf text = { 0 };
	int r = options->move_pool ? pool_claimed(options->state_dir, &old_pool) : 0;
	if (r == 0 && old_pool && strcmp(old_pool, options->pool_id) != 0)
		r = describe_memory(options, old_pool, &text);
	if (r < 0) {
		buf_printf(error, "%s cannot be read: %s", options->state_dir, strerror(-r));
		return 1;
	}
	if (!text.len)
		return 0;
	buf_printf(error,
		   "host %s is not empty: release these first, or free them by force and look at "
		   "the GPUs: %s",
		   options->host, text.data);
	return 1;
}
