/*
 * VMs of libvirt. What a domain has is read from its XML, the live and the persistent one, so nothing has to
 * be remembered. Libvirt does not care for the other functions of a group: they are functions of the unit,
 * and each gets its own <hostdev>.
 *
 * "qemu:///embed?root=DIR" works, too: libvirt's QEMU driver in this process. One process at a time can have
 * a root, so opening it is tried until the deadline; it finds domains that other processes have started.
 *
 * Calls of libvirt have no deadline. A daemon that is dead is noticed by keepalive; what hangs nevertheless
 * ends with the step process.
 */
#include <poll.h>
#include <string.h>

#include "attach/hypervisor/deadline.h"
#include "attach/hypervisor/domain_xml.h"
#include "attach/hypervisor/kinds.h"
#include "attach/hypervisor/libvirt_api.h"
#include "attach/hypervisor/words.h"
#include "base/memory.h"

enum {
	KEEPALIVE_SECONDS = 3,
	KEEPALIVE_MISSES = 2,
	RETRY_MS = 100, /* between two looks at what somebody else changes */
};

struct libvirt {
	struct hypervisor base;
	const struct libvirt_api *api;
	char *uri; /* owned */
};

/* One domain during one call. */
struct session {
	const struct libvirt_api *api;
	const char *vm_id;
	const struct unit *unit;
	int64_t deadline_us;
	struct buf *reason;
	virConnectPtr connection;
	virDomainPtr domain;
	bool is_active, is_persistent;
	struct domain_devices live, config;
};

static void session_close(struct session *session)
{
	if (session->domain)
		session->api->virDomainFree(session->domain);
	if (session->connection)
		session->api->virConnectClose(session->connection);
}

static int silent(struct session *session, const char *what)
{
	buf_printf(session->reason, "libvirt cannot %s: %.300s", what, libvirt_words(session->api));
	return HYPERVISOR_SILENT;
}

static bool is_embedded(const char *uri)
{
	return strstr(uri, ":///embed") != NULL;
}

static int open_connection(struct session *session, const char *uri)
{
	while (!(session->connection = session->api->virConnectOpen(uri))) {
		if (!is_embedded(uri) || !deadline_left_ms(session->deadline_us))
			return silent(session, "connect");
		poll(NULL, 0, RETRY_MS);
	}
	/* Not every driver has it. */
	(void)session->api->virConnectSetKeepAlive(session->connection, KEEPALIVE_SECONDS,
						   KEEPALIVE_MISSES);
	return 0;
}

static int absent(struct session *session, const char *how)
{
	buf_printf(session->reason, "VM %.255s %s", session->vm_id, how);
	return HYPERVISOR_VM_ABSENT;
}

/* By UUID if the id looks like one, else by name. */
static int find_domain(struct session *session)
{
	session->domain =
		session->api->virDomainLookupByUUIDString(session->connection, session->vm_id);
	if (!session->domain)
		session->domain =
			session->api->virDomainLookupByName(session->connection, session->vm_id);
	if (session->domain)
		return 0;
	if (libvirt_error_code(session->api) == VIR_ERR_NO_DOMAIN)
		return absent(session, "is not known to libvirt");
	return silent(session, "look for the VM");
}

static int read_devices(struct session *session, unsigned int flags,
			struct domain_devices *ret_devices)
{
	cleanup(freep) char *xml = session->api->virDomainGetXMLDesc(session->domain, flags);
	if (!xml)
		return silent(session, "describe the VM");
	if (domain_xml_find(xml, session->unit, ret_devices)) {
		buf_puts(session->reason, "libvirt describes the VM in something that is no XML");
		return HYPERVISOR_SILENT;
	}
	return 0;
}

/* What the domain is and has now. */
static int view(struct session *session)
{
	const struct libvirt_api *api = session->api;
	int is_active = api->virDomainIsActive(session->domain);
	int is_persistent = api->virDomainIsPersistent(session->domain);
	/* It may vanish at any moment. */
	if (is_active < 0 || is_persistent < 0)
		return libvirt_error_code(api) == VIR_ERR_NO_DOMAIN
			       ? absent(session, "is not known to libvirt any more")
			       : silent(session, "say whether the VM runs");
	session->is_active = is_active;
	session->is_persistent = is_persistent;
	session->live = session->config = (struct domain_devices){ .n = 0 };
	int r = 0;
	if (is_active)
		r = read_devices(session, 0, &session->live);
	if (r == 0 && is_persistent)
		r = read_devices(session, VIR_DOMAIN_XML_INACTIVE, &session->config);
	return r;
}

/* The embedded driver calls a domain active until it has found its QEMU dead, which it does beside. A
 * question that it has to put to the VM waits for that. */
static void await_reconnection(struct session *session)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	(void)session->api->virDomainMemoryStats(session->domain, stats, VIR_DOMAIN_MEMORY_STAT_NR,
						 0);
}

static int session_open(const struct libvirt *libvirt, struct session *session)
{
	int r = open_connection(session, libvirt->uri);
	if (r == 0)
		r = find_domain(session);
	if (r == 0 && is_embedded(libvirt->uri))
		await_reconnection(session);
	return r ? r : view(session);
}

#define SESSION(hypervisor)                                                                        \
	{                                                                                          \
		.api = libvirt_of(hypervisor)->api, .vm_id = vm_id, .unit = unit,                  \
		.reason = reason, .deadline_us = deadline_in_ms(deadline_ms)                       \
	}

static const struct libvirt *libvirt_of(const struct hypervisor *hypervisor)
{
	return (const struct libvirt *)hypervisor;
}

static int look(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		int64_t deadline_ms, enum vm_presence *ret_vm, size_t *ret_n_plugged,
		struct buf *reason)
{
	cleanup(session_close) struct session session = SESSION(hypervisor);
	int r = session_open(libvirt_of(hypervisor), &session);
	if (r != 0 && r != HYPERVISOR_VM_ABSENT)
		return r;
	*ret_vm = r == 0 && session.is_active ? VM_RUNNING : VM_ABSENT;
	*ret_n_plugged = session.live.n;
	buf_clear(reason);
	return 0;
}

/* ---- plug ------------------------------------------------------------------------------------ */

static unsigned int missing(const struct session *session, size_t function)
{
	unsigned int flags = 0;
	if (!session->live.has[function])
		flags |= VIR_DOMAIN_AFFECT_LIVE;
	if (session->is_persistent && !session->config.has[function])
		flags |= VIR_DOMAIN_AFFECT_CONFIG;
	return flags;
}

/* One that is free in all that is to be changed, and then is no more. 0: there is none. */
static unsigned int take_port(struct session *session, unsigned int flags)
{
	for (unsigned int bus = 1; bus < DOMAIN_BUSES; bus++) {
		bool live = session->live.has_free_port[bus];
		bool config = session->config.has_free_port[bus];
		if (((flags & VIR_DOMAIN_AFFECT_LIVE) && !live) ||
		    ((flags & VIR_DOMAIN_AFFECT_CONFIG) && !config))
			continue;
		session->live.has_free_port[bus] = false;
		session->config.has_free_port[bus] = false;
		return bus;
	}
	return 0;
}

/* Where there is no port (a machine without PCI Express), libvirt may still know a place. */
static int attach(struct session *session, size_t function, unsigned int flags)
{
	cleanup(buf_deinit) struct buf xml = { 0 };
	domain_xml_hostdev(session->unit->functions[function], take_port(session, flags), &xml);
	if (session->api->virDomainAttachDeviceFlags(session->domain, xml.data, flags) == 0)
		return 0;
	return words_explain("libvirt", libvirt_words(session->api),
			     session->unit->functions[function], session->reason);
}

static int detach_all(struct session *session, const unsigned int *flags_of);

/* The first failure is what counts; what cannot be taken back is said with it. */
static void take_back(struct session *session, const unsigned int *added)
{
	struct buf *reason = session->reason;
	cleanup(buf_deinit) struct buf why = { 0 };
	session->reason = &why;
	int r = detach_all(session, added);
	session->reason = reason;
	if (r)
		buf_printf(reason, "; functions attached before could not be taken back yet: %s",
			   why.data);
}

static int plug(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		int64_t deadline_ms, struct buf *reason)
{
	cleanup(session_close) struct session session = SESSION(hypervisor);
	int r = session_open(libvirt_of(hypervisor), &session);
	if (r)
		return r;
	if (!session.is_active)
		return absent(&session, "is shut off");
	unsigned int added[LIMIT_FUNCTIONS_PER_UNIT] = { 0 };
	for (size_t i = 0; i < unit->n; i++) {
		unsigned int flags = missing(&session, i);
		r = flags ? attach(&session, i, flags) : 0;
		if (r) {
			take_back(&session, added);
			return r;
		}
		added[i] = flags;
	}
	return 0;
}

/* ---- unplug ---------------------------------------------------------------------------------- */

/* The devices that are meant and still there. */
static size_t remaining(const struct session *session, const unsigned int *flags_of)
{
	size_t n = 0;
	for (size_t i = 0; i < session->unit->n; i++)
		n += (session->live.has[i] && (flags_of[i] & VIR_DOMAIN_AFFECT_LIVE)) ||
		     (session->config.has[i] && (flags_of[i] & VIR_DOMAIN_AFFECT_CONFIG));
	return n;
}

/* Gone in the meantime, or asked for before. */
static bool is_harmless(const struct libvirt_api *api)
{
	int code = libvirt_error_code(api);
	return code == VIR_ERR_DEVICE_MISSING || code == VIR_ERR_NO_DOMAIN ||
	       strstr(libvirt_words(api), "in the process of unplug") ||
	       strstr(libvirt_words(api), "guest is busy") ||
	       strstr(libvirt_words(api), "not running");
}

static int detach_config(struct session *session, size_t function)
{
	cleanup(buf_deinit) struct buf xml = { 0 };
	domain_xml_hostdev(session->unit->functions[function], 0, &xml);
	return session->api->virDomainDetachDeviceFlags(session->domain, xml.data,
							VIR_DOMAIN_AFFECT_CONFIG);
}

/* By alias, because that only asks, and leaves the waiting to us. */
static int detach_live(struct session *session, size_t function)
{
	return session->api->virDomainDetachDeviceAlias(
		session->domain, session->live.aliases[function], VIR_DOMAIN_AFFECT_LIVE);
}

static int ask(struct session *session, size_t function, const unsigned int *flags_of)
{
	unsigned int flags = flags_of[function];
	int r = 0;
	if (session->config.has[function] && (flags & VIR_DOMAIN_AFFECT_CONFIG))
		r = detach_config(session, function);
	if (r == 0 && session->live.has[function] && (flags & VIR_DOMAIN_AFFECT_LIVE))
		r = detach_live(session, function);
	if (r == 0 || is_harmless(session->api))
		return 0;
	char address[PCI_ADDRESS_TEXT_BYTES];
	pci_address_format(session->unit->functions[function], address);
	buf_printf(session->reason, "libvirt does not take %s from the VM: \"%.300s\"", address,
		   libvirt_words(session->api));
	return HYPERVISOR_REFUSED;
}

/* Takes from the VM what `flags_of` each function says, and waits until it is gone. */
static int detach_all(struct session *session, const unsigned int *flags_of)
{
	int r = view(session);
	for (size_t i = 0; r == 0 && i < session->unit->n; i++)
		r = ask(session, i, flags_of);
	while (r == 0) {
		r = view(session);
		size_t n = remaining(session, flags_of);
		if (r || !n)
			break;
		if (!deadline_left_ms(session->deadline_us)) {
			buf_printf(session->reason,
				   "the guest has not yet let go of %zu function%s", n,
				   n == 1 ? "" : "s");
			return HYPERVISOR_PENDING;
		}
		poll(NULL, 0, RETRY_MS);
	}
	return r;
}

static int unplug(struct hypervisor *hypervisor, const char *vm_id, const struct unit *unit,
		  int64_t deadline_ms, struct buf *reason)
{
	cleanup(session_close) struct session session = SESSION(hypervisor);
	int r = session_open(libvirt_of(hypervisor), &session);
	unsigned int all[LIMIT_FUNCTIONS_PER_UNIT];
	for (size_t i = 0; i < unit->n; i++)
		all[i] = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;
	if (r == 0)
		r = detach_all(&session, all);
	if (r != HYPERVISOR_VM_ABSENT)
		return r;
	buf_clear(reason);
	return 0;
}

/* ---------------------------------------------------------------------------------------------- */

static void libvirt_free(struct hypervisor *hypervisor)
{
	free(((struct libvirt *)hypervisor)->uri);
	free(hypervisor);
}

static const struct hypervisor_ops libvirt_ops = {
	.name = "libvirt",
	.look = look,
	.plug = plug,
	.unplug = unplug,
	.free = libvirt_free,
};

int libvirt_new(const char *target, struct hypervisor **ret_hypervisor, struct buf *error)
{
	if (!strstr(target, ":/")) {
		buf_printf(error,
			   "\"%.256s\" is not a connection URI of libvirt, like qemu:///system",
			   target);
		return 1;
	}
	const struct libvirt_api *api;
	int r = libvirt_api_load(&api, error);
	if (r)
		return r;
	struct libvirt *libvirt = memory_zeroed(1, sizeof(*libvirt));
	libvirt->base.ops = &libvirt_ops;
	libvirt->api = api;
	libvirt->uri = memory_strdup(target);
	*ret_hypervisor = &libvirt->base;
	return 0;
}
