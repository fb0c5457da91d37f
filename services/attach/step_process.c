#include "attach/step_process.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/memory.h"

enum { READ_BYTES = 4096 };

/* It has ended when the kernel says so and its output is read to the end, or was closed by a kill. Freed
 * when the last of its handles is closed. */
struct step_process {
	uv_process_t process;
	uv_pipe_t in, out;
	uv_write_t write;
	struct buf input, output;
	step_process_fn on_end; /* NULL: nobody listens */
	void *context;		/* the owner's */
	struct step_process_end end;
	unsigned n_open; /* handles */
	bool exited;
	bool heard; /* `out` is closed */
};

static void on_closed(uv_handle_t *handle)
{
	struct step_process *process = handle->data;
	if (--process->n_open)
		return;
	buf_deinit(&process->input);
	buf_deinit(&process->output);
	free(process);
}

static void close_handle(void *handle, uv_close_cb fn)
{
	if (!uv_is_closing(handle))
		uv_close(handle, fn);
}

static void end_if_over(struct step_process *process)
{
	if (!process->exited || !process->heard)
		return;
	process->end.output = process->output.data ? process->output.data : "";
	process->end.len = process->output.len;
	if (process->on_end)
		process->on_end(process->context, &process->end);
	process->on_end = NULL;
	close_handle(&process->in, on_closed);
	close_handle(&process->process, on_closed);
}

static void on_out_closed(uv_handle_t *handle)
{
	struct step_process *process = handle->data;
	process->heard = true;
	end_if_over(process);
	on_closed(handle);
}

static void on_exited(uv_process_t *handle, int64_t status, int signal_number)
{
	struct step_process *process = handle->data;
	process->exited = true;
	process->end.status = signal_number ? 0 : (int)status;
	process->end.signal = signal_number;
	end_if_over(process);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
	struct step_process *process = handle->data;
	(void)suggested;
	*ret_buf = uv_buf_init(buf_reserve(&process->output, READ_BYTES), READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *unused)
{
	struct step_process *process = stream->data;
	(void)unused;
	if (n < 0) {
		close_handle(&process->out, on_out_closed);
		return;
	}
	process->output.len += (size_t)n;
	process->output.data[process->output.len] = '\0';
	if (process->output.len > LIMIT_STEP_RESULT_BYTES) {
		process->end.too_much = true;
		step_process_kill(process);
	}
}

/* Also when the process does not want to read it: what it writes will tell. */
static void on_written(uv_write_t *write, int status)
{
	struct step_process *process = write->data;
	(void)status;
	close_handle(&process->in, on_closed);
}

static void open_handles(struct step_process *process, uv_loop_t *uv)
{
	uv_pipe_init(uv, &process->in, 0);
	uv_pipe_init(uv, &process->out, 0);
	process->in.data = process->out.data = process->process.data = process;
	process->write.data = process;
	process->n_open = 3;
}

static int spawn(struct step_process *process, uv_loop_t *uv, char *const *argv)
{
	uv_stdio_container_t stdio[] = {
		{ .flags = UV_CREATE_PIPE | UV_READABLE_PIPE,
		  .data.stream = (uv_stream_t *)&process->in },
		{ .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
		  .data.stream = (uv_stream_t *)&process->out },
		{ .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
	};
	const uv_process_options_t options = {
		.file = argv[0],
		.args = (char **)argv,
		.exit_cb = on_exited,
		.flags = UV_PROCESS_DETACHED,
		.stdio = stdio,
		.stdio_count = 3,
	};
	/* Libraries have opened some without this flag. What a step inherited it could keep for ever: the
	 * host's lock, for one. */
	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	return uv_spawn(uv, &process->process, &options);
}

int step_process_start(struct loop *loop, char *const *argv, const char *input, size_t len,
		       step_process_fn on_end, void *context, struct step_process **ret_process)
{
	struct step_process *process = memory_zeroed(1, sizeof(*process));
	process->on_end = on_end;
	process->context = context;
	buf_append(&process->input, input, len);
	open_handles(process, loop_uv(loop));

	int r = spawn(process, loop_uv(loop), argv);
	if (r < 0) {
		close_handle(&process->in, on_closed);
		close_handle(&process->out, on_closed);
		close_handle(&process->process, on_closed);
		return r;
	}
	uv_buf_t text = uv_buf_init(process->input.data, (unsigned)process->input.len);
	if (uv_write(&process->write, (uv_stream_t *)&process->in, &text, 1, on_written) < 0)
		close_handle(&process->in, on_closed);
	if (uv_read_start((uv_stream_t *)&process->out, allocate, on_read) < 0)
		close_handle(&process->out, on_out_closed);
	*ret_process = process;
	return 0;
}

pid_t step_process_pid(const struct step_process *process)
{
	return process->process.pid;
}

void step_process_kill(struct step_process *process)
{
	/* Its pid is its own as long as nobody has taken its exit status. What it has started may live on
	 * with the output open, and is not listened to any more. */
	if (!process->exited)
		(void)kill(-process->process.pid, SIGKILL);
	close_handle(&process->out, on_out_closed);
}

void step_process_free(struct step_process *process)
{
	if (!process)
		return;
	process->on_end = NULL;
	step_process_kill(process);
	close_handle(&process->in, on_closed);
	close_handle(&process->process, on_closed);
}
