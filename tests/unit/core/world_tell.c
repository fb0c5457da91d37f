/* Records as one line of text each. */
#include <string.h>

#include "base/buf.h"
#include "world.h"

static void put_gpus(struct buf *text, const char *host, const struct assigned_gpu *gpus, size_t n)
{
	buf_puts(text, host);
	for (size_t i = 0; i < n; i++) {
		assert_true(strncmp(gpus[i].gpu_id, host, strlen(host)) == 0);
		buf_printf(text, " %.2s", gpus[i].pci_address + 5);
	}
}

static void put_quarantined(struct buf *text, const struct quarantined_gpu *gpus, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(gpus[i].reason && *gpus[i].reason);
		buf_printf(text, "%s %.2s %s", i ? "," : ", quarantined",
			   strchr(gpus[i].gpu_id, '/') + 6, gpus[i].code);
	}
}

static void put_assigned(struct buf *text, const struct gpu_assigned *a)
{
	buf_printf(text, "%s%s: ", strcmp(a->state, "RELEASING") == 0 ? "releasing " : "",
		   a->vm_id);
	put_gpus(text, a->host, a->gpus, a->n_gpus);
	if (a->attach_state)
		buf_printf(text, ", %s%s%s", a->attach_state, a->attach_code ? " " : "",
			   a->attach_code ? a->attach_code : "");
	if (a->replaces)
		buf_printf(text, ", not %s", a->replaces);
	put_quarantined(text, a->quarantined, a->n_quarantined);
}

static void put_released(struct buf *text, const struct gpu_released *r)
{
	bool failed = strcmp(r->code, "ATTACH_FAILED") == 0;
	buf_printf(text, "%s %s: ", failed ? "failed" : "released", r->vm_id);
	put_gpus(text, r->host, r->gpus, r->n_gpus);
	if (failed)
		buf_printf(text, " (%s)", r->reason);
	put_quarantined(text, r->quarantined, r->n_quarantined);
}

const char *world_tell(struct world *w, const struct record *record)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	switch (record->type) {
	case RECORD_GPU_ASSIGNED:
		put_assigned(&text, &record->gpu_assigned);
		break;
	case RECORD_GPU_RELEASED:
		put_released(&text, &record->gpu_released);
		break;
	case RECORD_HOST_MARKED:
		buf_printf(&text, "%s %s", record->host_marked.host, record->host_marked.mark);
		break;
	case RECORD_GPU_MARKED:
		buf_printf(&text, "%s %s", record->gpu_marked.gpu_id, record->gpu_marked.mark);
		break;
	case RECORD_REQUEST_REJECTED:
		buf_printf(&text, "%s: %s", record->request_rejected.code,
			   record->request_rejected.message);
		break;
	case RECORD_REQUEST_COMPLETED:
		buf_printf(&text, "%s: %s", record->request_completed.code,
			   record->request_completed.message);
		break;
	case RECORD_MIGRATION_VERDICT: {
		const struct migration_verdict *v = &record->migration_verdict;
		if (v->allowed)
			put_gpus(&text, v->target_host, v->gpus, v->n_gpus);
		else
			buf_puts(&text, "no");
		for (size_t i = 0; i < v->n_hosts; i++) {
			buf_printf(&text, " | %s %s", v->hosts[i].host, v->hosts[i].code);
			assert_int_equal(v->hosts[i].allowed,
					 strcmp(v->hosts[i].code, "FITS") == 0);
		}
		break;
	}
	default:
		fail();
	}
	return arena_strdup(&w->arena, text.data);
}

const char *world_reasons(struct world *w)
{
	cleanup(buf_deinit) struct buf text = { 0 };
	const struct request_rejected *rejected = &w->log[w->n_log - 1].record.request_rejected;
	assert_int_equal(w->log[w->n_log - 1].record.type, RECORD_REQUEST_REJECTED);
	buf_puts(&text, "");
	for (size_t i = 0; i < rejected->n_hosts; i++) {
		assert_true(strlen(rejected->hosts[i].message) > 0);
		buf_printf(&text, "%s%s %s", i ? ", " : "", rejected->hosts[i].host,
			   rejected->hosts[i].code);
	}
	return arena_strdup(&w->arena, text.data);
}
