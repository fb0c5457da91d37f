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

static json_t *need_pool(json_t *by_id, json_t *pools, const char *pool_id)
{
	json_t *pool = json_object_get(by_id, pool_id);
	if (pool)
		return pool;
	/* Nobody has defined it: the default policies hold. */
	pool = json_pack("{s:s, s:s, s:s, s:s, s:b}", "pool_id", pool_id, "name", "", "attach",
			 "agent", "policy", "pack", "defined", 0);
	json_object_set(by_id, pool_id, pool);
	json_array_append_new(pools, pool);
	return pool;
}

static void count(json_t *pool, const char *name, bool one)
{
	json_int_t n = json_integer_value(json_object_get(pool, name));
	json_object_set_new(pool, name, json_integer(n + one));
}

void get_count_gpus(json_t *hosts, const json_t *gpus)
{
	json_t *by_id = json_object(), *item;
	size_t i;

	json_array_foreach(hosts, i, item)
	{
		struct buf key = { 0 };
		buf_printf(&key, "%s\t%s", text_of(item, "pool_id"), text_of(item, "host"));
		json_object_set(by_id, key.data, item);
		buf_deinit(&key);
		count(item, "gpus", false);
		count(item, "gpus_assigned", false);
	}
	json_array_foreach(gpus, i, item)
	{
		struct buf key = { 0 };
		buf_printf(&key, "%s\t%s", text_of(item, "pool_id"), text_of(item, "host"));
		json_t *host = json_object_get(by_id, key.data);
		buf_deinit(&key);
		if (!host)
			continue;
		count(host, "gpus", true);
		count(host, "gpus_assigned", *text_of(item, "vm_id"));
	}
	json_decref(by_id);
}

json_t *get_pools(const json_t *definitions, const json_t *hosts, const json_t *gpus)
{
	json_t *by_id = json_object(), *pools = json_array(), *item;
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
	{
		json_t *pool = need_pool(by_id, pools, text_of(item, "pool_id"));
		bool assigned = *text_of(item, "vm_id");
		bool available = strcmp(text_of(item, "state"), "AVAILABLE") == 0;
		count(pool, "gpus", true);
		count(pool, "gpus_assigned", assigned);
		count(pool, "gpus_free", !assigned && available);
	}
	json_array_foreach(pools, i, item)
	{
		count(item, "hosts", false);
		count(item, "gpus", false);
		count(item, "gpus_assigned", false);
		count(item, "gpus_free", false);
	}
	json_decref(by_id);
	return pools;
}
