/*
 * gpubus-attach-step: does one step of handing a GPU over (step.h), and ends. The table of contents: its
 * parent's death is its own, options, the step from the standard input, its unit for this process alone, the
 * step, its result.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "attach/step/crash.h"
#include "attach/step/options.h"
#include "attach/step/perform.h"
#include "attach/step/step_json.h"
#include "attach/step/unit_lock.h"
#include "pci/device.h"

enum {
	EXIT_NO_STEP = 2, /* what was asked for cannot be understood: nothing was done */
	LOCK_WAIT_MS =
		1000, /* a process that is killed and not in the kernel's hands ends sooner */
};

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "gpubus-attach-step: %s%s\n", what, why ? why : "");
	return EXIT_NO_STEP;
}

/*
 * A step must not outlive its agent: the next one may have other plans for the unit. When the agent dies,
 * so does this process (main()); that it has died before is to be seen at its end of our output.
 */
static int check_that_somebody_waits(void)
{
	struct pollfd output = { .fd = STDOUT_FILENO };
	if (poll(&output, 1, 0) < 0 || !(output.revents & (POLLERR | POLLHUP | POLLNVAL)))
		return 0;
	return complain("nobody waits for the result", NULL);
}

static int read_step(struct arena *arena, struct step *ret_step)
{
	cleanup(buf_deinit) struct buf text = { 0 }, error = { 0 };
	ssize_t n;
	do {
		n = read(STDIN_FILENO, buf_reserve(&text, 4096), 4096);
		if (n > 0)
			text.len += (size_t)n;
	} while ((n > 0 && text.len <= LIMIT_VALUE_BYTES) || (n < 0 && errno == EINTR));
	if (n < 0)
		return complain("the step cannot be read: ", strerror(errno));
	if (text.len > LIMIT_VALUE_BYTES)
		return complain("the step on the standard input is too long", NULL);
	if (step_from_json(text.data ? text.data : "", text.len, arena, ret_step, &error))
		return complain("the step on the standard input cannot be understood: ",
				error.data);
	return 0;
}

/* Looking changes nothing, and waits for nobody. */
static bool has_unit(const struct step_options *options, const struct step *step,
		     struct step_result *result)
{
	cleanup(buf_deinit) struct buf reason = { 0 };
	if (step->verb == STEP_LOOK ||
	    unit_lock_take(&options->host, &step->unit, LOCK_WAIT_MS, &reason) == 0)
		return true;
	*result = (struct step_result){ .outcome = STEP_WAIT, .code = ATTACH_STEP_PENDING };
	pci_copy_text(result->reason, sizeof(result->reason), reason.data);
	return false;
}

static int write_result(const struct step_result *result)
{
	cleanup(buf_deinit) struct buf line = { 0 };
	step_result_to_json(result, &line);
	if (fwrite(line.data, 1, line.len, stdout) == line.len && fflush(stdout) == 0)
		return EXIT_SUCCESS;
	complain("the result cannot be written: ", strerror(errno));
	return EXIT_FAILURE;
}

static int run(const struct step_options *options)
{
	cleanup(buf_deinit) struct buf error = { 0 };
	cleanup(hypervisor_freep) struct hypervisor *hypervisor = NULL;
	cleanup(arena_deinit) struct arena arena;
	arena_init(&arena);
	struct step step;
	struct step_result result;

	int r = read_step(&arena, &step);
	if (r == 0)
		r = check_that_somebody_waits();
	if (r)
		return r;
	if (step.vm_id) /* only then is it asked */
		r = hypervisor_new(options->hypervisor, options->target, &hypervisor, &error);
	if (r)
		return complain("--hypervisor: ", r < 0 ? strerror(-r) : error.data);
	const struct step_means means = {
		.host = &options->host,
		.hypervisor = hypervisor,
		.hypervisor_deadline_ms = options->hypervisor_deadline_ms,
	};
	if (has_unit(options, &step, &result))
		step_perform(&means, &step, &result);
	return write_result(&result);
}

int main(int argc, char **argv)
{
	struct step_options options;
	int status = EXIT_SUCCESS;
	if (step_options_parse(&options, argc, argv, &status))
		return status;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return run(&options);
}
