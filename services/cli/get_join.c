/*
 * What `get` puts together from several tables: owners of GPUs, answers that are a VM's assignment,
 * totals of pools.
 */
#include <string.h>

#include "base/memory.h"
#include "cli/get_rows.h"

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

/* An object "POOL \t VM" -> the VM. */
static json_t *index_vms(const json_t *vms)
{
	json_t *by_id = json_object();
	size_t i;
	json_t *vm;

	json_array_foreach(vms, i, vm)
	{
		struct buf key = { 0 };
		buf_printf(&key, "%s\t%s", text_of(vm, "pool_id"), text_of(vm, "vm_id"));
		json_object_set(by_id, key.data, vm);
		buf_deinit(&key);
	}
	return by_id;
}

json_t *get_owners(const json_t *vms)
{
	json_t *owners = json_object();
	size_t i, g;
	json_t *vm, *gpu;

	json_array_foreach(vms, i, vm) json_array_foreach(json_object_get(vm, "gpus"), g, gpu)
		json_object_set(owners, text_of(gpu, "gpu_id"), vm);
	return owners;
}

void get_set_owner(json_t *gpu, const json_t *owners)
{
	static const struct {
		const char *name, *of_vm;
	} members[] = {
		{ "vm_id", "vm_id" },
		{ "assignment_id", "assignment_id" },
		{ "assignment_state", "state" },
		{ "attach_state", "attach_state" },
		{ "attach_code", "attach_code" },
		{ "attach_reason", "attach_reason" },
	};
	json_t *vm = json_object_get(owners, text_of(gpu, "gpu_id"));
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
		json_object_set_new(gpu, members[i].name,
				    vm ? json_incref(json_object_get(vm, members[i].of_vm))
				       : json_null());
}

void get_resolve_answers(json_t *requests, const json_t *vms)
{
	json_t *by_id = index_vms(vms);
	size_t i;
	json_t *request;

	json_array_foreach(requests, i, request)
	{
		if (json_object_get(request, "answer"))
			continue;
		struct buf key = { 0 };
		buf_printf(&key, "%s\t%s", text_of(request, "pool_id"), text_of(request, "vm_id"));
		json_t *vm = json_object_get(by_id, key.data);
		buf_deinit(&key);
		json_object_set_new(request, "answer_event",
				    vm ? json_string("GpuAssigned") : json_null());
		json_object_set_new(request, "revision",
				    vm ? json_incref(json_object_get(vm, "revision"))
				       : json_null());
		json_object_set_new(request, "answer", vm ? json_incref(vm) : json_null());
	}
	json_decref(by_id);
}

/* ---- totals ------------------------------------------------------------------------------------ */

static json_t *need_pool(json_t *by_id, json_t *pools, const char *pool_id)
{
	json_t *pool = json_object_get(by_id, pool_id);
	if (pool)
		return pool;
	/* Nobody has defined it: the default policies hold. */
	pool = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:b}", "pool_id", pool_id, "name", "",
			 "attach", "agent", "policy", "pack", "on_attach_failure", "reschedule",
			 "attach_attempts", 3, "after_release", "keep-vfio", "defined", 0);
	json_object_set(by_id, pool_id, pool);
	json_array_append_new(pools, pool);
	return pool;
}

static void count(json_t *pool, const char *name, bool one)
{
	json_int_t n = json_integer_value(json_object_get(pool, name));
	json_object_set_new(pool, name, json_integer(n + one));
}

/* ---- hosts ------------------------------------------------------------------------------------- */

static bool is_no(const json_t *object, const char *name)
{
	return json_is_false(json_object_get(object, name));
}

/* In the order in which the scheduler looks; what a host does not say speaks for it. */
void get_set_host_state(json_t *host, int64_t now_us, int64_t host_timeout_us)
{
	const json_t *seen = json_object_get(host, "seen_at");
	const char *state = "READY";
	if (json_is_object(json_object_get(host, "cordon")))
		state = "CORDONED";
	else if (!json_is_integer(seen) || json_integer_value(seen) < now_us - host_timeout_us)
		state = "SILENT";
	else if (is_no(host, "iommu"))
		state = "NO_IOMMU";
	else if (is_no(host, "vfio"))
		state = "NO_VFIO";
	else if (is_no(host, "interrupt_remapping"))
		state = "NO_REMAPPING";
	json_object_set_new(host, "state", json_string(state));
}

/* Hosts by pool and name. */
static json_t *index_hosts(const json_t *hosts)
{
	json_t *by_id = json_object(), *host;
	size_t i;

	json_array_foreach(hosts, i, host)
	{
		cleanup(buf_deinit) struct buf key = { 0 };
		buf_printf(&key, "%s\t%s", text_of(host, "pool_id"), text_of(host, "host"));
		json_object_set(by_id, key.data, host);
	}
	return by_id;
}

static json_t *host_of(const json_t *gpu, const json_t *hosts_by_id)
{
	cleanup(buf_deinit) struct buf key = { 0 };
	buf_printf(&key, "%s\t%s", text_of(gpu, "pool_id"), text_of(gpu, "host"));
	return json_object_get(hosts_by_id, key.data);
}

void get_count_gpus(json_t *hosts, const json_t *gpus)
{
	json_t *by_id = index_hosts(hosts), *item;
	size_t i;

	json_array_foreach(hosts, i, item)
	{
		count(item, "gpus", false);
		count(item, "gpus_assigned", false);
	}
	json_array_foreach(gpus, i, item)
	{
		json_t *host = host_of(item, by_id);
		if (!host)
			continue;
		count(host, "gpus", true);
		count(host, "gpus_assigned", *text_of(item, "vm_id"));
	}
	json_decref(by_id);
}

/* ---- pools ------------------------------------------------------------------------------------- */

static void count_gpu(json_t *pool, const json_t *gpu, const json_t *host)
{
	bool assigned = *text_of(gpu, "vm_id");
	bool quarantined = json_is_object(json_object_get(gpu, "quarantine"));
	bool available = strcmp(text_of(gpu, "state"), "AVAILABLE") == 0 &&
			 strcmp(text_of(host, "state"), "READY") == 0;
	count(pool, "gpus", true);
	count(pool, "gpus_assigned", assigned);
	count(pool, "gpus_quarantined", quarantined);
	count(pool, "gpus_free", !assigned && !quarantined && available);
}

json_t *get_pools(const json_t *definitions, const json_t *hosts, const json_t *gpus)
{
	static const char *const totals[] = { "hosts", "gpus", "gpus_assigned", "gpus_quarantined",
					      "gpus_free" };
	json_t *by_id = json_object(), *pools = json_array(), *hosts_by_id = index_hosts(hosts);
	json_t *item;
	size_t i;

	json_array_foreach(definitions, i, item)
	{
		json_t *pool = json_copy(item);
		json_object_set_new(pool, "defined", json_true());
		json_object_set(by_id, text_of(pool, "pool_id"), pool);
		json_array_append_new(pools, pool);
	}
	json_array_foreach(hosts, i, item)
		count(need_pool(by_id, pools, text_of(item, "pool_id")), "hosts", true);
	json_array_foreach(gpus, i, item)
		count_gpu(need_pool(by_id, pools, text_of(item, "pool_id")), item,
			  host_of(item, hosts_by_id));
	json_array_foreach(pools, i, item)
	{
		for (size_t t = 0; t < sizeof(totals) / sizeof(*totals); t++)
			count(item, totals[t], false);
	}
	json_decref(hosts_by_id);
	json_decref(by_id);
	return pools;
}
