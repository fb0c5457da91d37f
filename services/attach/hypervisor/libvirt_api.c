#include "attach/hypervisor/libvirt_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "attach/hypervisor/hypervisor.h"

/* The default handler prints to the standard error. */
static void keep_silent(void *context, virErrorPtr error)
{
	(void)context, (void)error;
}

static int load(struct libvirt_api *api, struct buf *error)
{
	void *library = dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		buf_printf(error, "libvirt is not installed (%s)", dlerror());
		return 1;
	}
	const struct {
		const char *name;
		void *member;
	} functions[] = {
#define LIBVIRT_ENTRY(name) { #name, &api->name },
		LIBVIRT_FUNCTIONS(LIBVIRT_ENTRY)
#undef LIBVIRT_ENTRY
	};
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *symbol = dlsym(library, functions[i].name);
		if (!symbol) {
			buf_printf(error, "this libvirt is too old: it has no %s",
				   functions[i].name);
			dlclose(library);
			return 1;
		}
		/* C does not convert pointers to objects and to functions into each other; POSIX says
		 * that they have the same representation. */
		memcpy(functions[i].member, &symbol, sizeof(symbol));
	}
	return 0;
}

int libvirt_api_load(const struct libvirt_api **ret_api, struct buf *error)
{
	/* Never unloaded: libvirt has threads and atexit handlers. */
	static struct libvirt_api api;
	static bool is_loaded;
	if (!is_loaded) {
		int r = load(&api, error);
		if (r)
			return r;
		is_loaded = true;
		api.virSetErrorFunc(NULL, keep_silent);
		/* Keepalive and the embedded driver want one to be there; it need not run. */
		if (api.virEventRegisterDefaultImpl() < 0)
			buf_puts(error, libvirt_words(&api));
	}
	*ret_api = &api;
	return 0;
}

const char *libvirt_words(const struct libvirt_api *api)
{
	virErrorPtr error = api->virGetLastError();
	return error && error->message ? error->message : "no reason given";
}

int libvirt_error_code(const struct libvirt_api *api)
{
	virErrorPtr error = api->virGetLastError();
	return error ? error->code : VIR_ERR_OK;
}

const char *hypervisor_libvirt_status(void)
{
	static char status[256];
	const struct libvirt_api *api;
	cleanup(buf_deinit) struct buf error = { 0 };
	unsigned long version = 0;
	if (libvirt_api_load(&api, &error))
		snprintf(status, sizeof(status), "%s", error.data);
	else if (api->virGetVersion(&version, NULL, NULL) < 0)
		snprintf(status, sizeof(status), "libvirt of unknown version");
	else
		snprintf(status, sizeof(status), "libvirt %lu.%lu.%lu", version / 1000000,
			 version / 1000 % 1000, version % 1000);
	return status;
}
