#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/doctor.h"

static const char *const severity_names[] = {
	[SEVERITY_OK] = "ok", [SEVERITY_WARN] = "warn", [SEVERITY_STOP] = "stop"
};

void findings_init(struct findings *findings, struct arena *arena)
{
	*findings = (struct findings){ .arena = arena };
}

void findings_deinit(struct findings *findings)
{
	free(findings->items);
}

static void add(struct findings *findings, struct finding finding, const char *format, va_list args)
{
	cleanup(freep) char *text = NULL;
	if (vasprintf(&text, format, args) < 0)
		memory_exhausted();
	if (findings->n == findings->size) {
		findings->size = findings->size ? 2 * findings->size : 32;
		findings->items =
			memory_resize(findings->items, findings->size, sizeof(*findings->items));
	}
	finding.text = arena_strdup(findings->arena, text);
	findings->items[findings->n++] = finding;
}

void findings_add(struct findings *findings, enum severity severity, const char *code,
		  const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add(findings, (struct finding){ .severity = severity, .code = code }, format, args);
	va_end(args);
}

void findings_add_gpu(struct findings *findings, const struct gpu_discovered *gpu,
		      enum severity severity, const char *code, const char *format, ...)
{
	const struct finding finding = {
		.severity = severity, .code = code, .address = gpu->pci_address, .model = gpu->model
	};
	va_list args;
	va_start(args, format);
	add(findings, finding, format, args);
	va_end(args);
}

bool findings_stop(const struct findings *findings)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->items[i].severity == SEVERITY_STOP)
			return true;
	return false;
}

void findings_print(const struct findings *findings, struct buf *out)
{
	for (size_t i = 0; i < findings->n; i++) {
		const struct finding *finding = &findings->items[i];
		buf_printf(out, "%-4s  ", severity_names[finding->severity]);
		if (finding->address)
			buf_printf(out, "%s %s: ", finding->address, finding->model);
		buf_printf(out, "%s\n", finding->text);
	}
	if (findings_stop(findings))
		buf_printf(
			out,
			"stop  no GPU of this host reaches a VM until what says stop is changed\n");
	else
		buf_printf(out, "ok    %zu GPU%s ready for VMs, %zu not\n", findings->n_ready,
			   findings->n_ready == 1 ? "" : "s", findings->n_gpus - findings->n_ready);
}

json_t *findings_to_json(const struct findings *findings)
{
	json_t *list = json_array();
	for (size_t i = 0; i < findings->n; i++) {
		const struct finding *finding = &findings->items[i];
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s?, s:s?, s:s}", "severity",
						severity_names[finding->severity], "code",
						finding->code, "pci_address", finding->address,
						"model", finding->model, "text", finding->text));
	}
	return json_pack("{s:b, s:I, s:I, s:o}", "stopped", findings_stop(findings), "gpus",
			 (json_int_t)findings->n_gpus, "gpus_ready", (json_int_t)findings->n_ready,
			 "findings", list);
}
