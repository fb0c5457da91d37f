#include "fake_qemu.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *member(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static bool is_port(const struct fake_device *device)
{
	return strstr(device->type, "port") || strstr(device->type, "downstream");
}

struct fake_device *fake_qemu_device(struct fake_qemu *fake, const char *path, const char *type,
				     const char *bus, const char *host)
{
	for (size_t i = 0; i < FAKE_DEVICES; i++) {
		struct fake_device *device = &fake->devices[i];
		if (device->path[0])
			continue;
		*device = (struct fake_device){ .no_hotplug = false };
		snprintf(device->path, sizeof(device->path), "%s", path);
		snprintf(device->type, sizeof(device->type), "%s", type);
		snprintf(device->bus, sizeof(device->bus), "%s", bus);
		snprintf(device->host, sizeof(device->host), "%s", host);
		return device;
	}
	abort();
}

void fake_qemu_port(struct fake_qemu *fake, const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "/machine/peripheral/%s", name);
	fake_qemu_device(fake, path, "pcie-root-port", name, "");
}

static struct fake_device *find(struct fake_qemu *fake, const char *path)
{
	for (size_t i = 0; i < FAKE_DEVICES; i++) {
		const char *have = fake->devices[i].path;
		const char *id = strrchr(have, '/');
		if (have[0] && (strcmp(have, path) == 0 || strcmp(id + 1, path) == 0))
			return &fake->devices[i];
	}
	return NULL;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void send_bytes(int fd, const char *data, size_t len, size_t piece)
{
	while (len) {
		ssize_t n = send(fd, data, len < piece ? len : piece, MSG_NOSIGNAL);
		if (n < 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void send_line(const struct fake_qemu *fake, int fd, const char *line)
{
	size_t piece = fake->dribbles ? 7 : 65536;
	send_bytes(fd, line, strlen(line), piece);
	send_bytes(fd, "\r\n", 2, piece);
}

static void send_json(const struct fake_qemu *fake, int fd, json_t *message)
{
	char *text = json_dumps(message, 0);
	send_line(fake, fd, text);
	free(text);
	json_decref(message);
}

/* fake->answer with the id in place of '#'. */
static void send_raw(const struct fake_qemu *fake, int fd, const json_t *id)
{
	struct buf line = { 0 };
	for (const char *c = fake->answer; *c; c++)
		if (*c == '#')
			buf_printf(&line, "%lld", (long long)json_integer_value(id));
		else
			buf_putc(&line, *c);
	send_line(fake, fd, line.data ? line.data : "");
	buf_deinit(&line);
}

static void send_event(const struct fake_qemu *fake, int fd, const char *event, const char *path)
{
	send_json(fake, fd,
		  json_pack("{s:s,s:{s:i,s:i},s:{s:s}}", "event", event, "timestamp", "seconds", 1,
			    "microseconds", 2, "data", "path", path));
}

static json_t *error(const char *class, const char *words)
{
	return json_pack("{s:{s:s,s:s}}", "error", "class", class, "desc", words);
}

static json_t *success(json_t *value)
{
	return json_pack("{s:o}", "return", value);
}

/* ---- the machine ----------------------------------------------------------------------------- */

/* The guest ejects a slot: all functions of it go. */
static void eject(struct fake_qemu *fake, int fd, struct fake_device *device)
{
	char bus[32];
	snprintf(bus, sizeof(bus), "%s", device->bus);
	for (size_t i = 0; i < FAKE_DEVICES; i++) {
		struct fake_device *other = &fake->devices[i];
		if (!other->path[0] || is_port(other) || strcmp(other->bus, bus) != 0)
			continue;
		char path[sizeof(other->path)];
		snprintf(path, sizeof(path), "%s", other->path);
		other->path[0] = '\0';
		send_event(fake, fd, "DEVICE_DELETED", path);
	}
}

static void eject_asked(struct fake_qemu *fake, int fd)
{
	for (size_t i = 0; i < FAKE_DEVICES; i++)
		if (fake->devices[i].path[0] && fake->devices[i].asked)
			eject(fake, fd, &fake->devices[i]);
}

static json_t *entry(const char *name, const char *kind, const char *type)
{
	return json_pack("{s:s,s:o}", "name", name, "type", json_sprintf("%s<%s>", kind, type));
}

static json_t *list_container(const struct fake_qemu *fake, const char *container)
{
	json_t *list = json_array();
	json_array_append_new(list, json_pack("{s:s,s:s}", "name", "type", "type", "string"));
	for (size_t i = 0; i < FAKE_DEVICES; i++) {
		const struct fake_device *device = &fake->devices[i];
		const char *slash = strrchr(device->path, '/');
		if (slash && strlen(container) == (size_t)(slash - device->path) &&
		    strncmp(device->path, container, strlen(container)) == 0)
			json_array_append_new(list, entry(slash + 1, "child", device->type));
	}
	return list;
}

static json_t *list_bus(const struct fake_qemu *fake, const char *bus)
{
	json_t *list = json_array();
	for (size_t i = 0; i < FAKE_DEVICES; i++) {
		const struct fake_device *device = &fake->devices[i];
		char name[32];
		snprintf(name, sizeof(name), "child[%zu]", i);
		if (device->path[0] && !is_port(device) && strcmp(device->bus, bus) == 0)
			json_array_append_new(list, entry(name, "link", device->type));
	}
	return list;
}

static json_t *qom_list(struct fake_qemu *fake, const char *path)
{
	if (strncmp(path, "/machine/peripheral", 19) == 0 && !strchr(path + 9, '/'))
		return success(list_container(fake, path));
	const struct fake_device *device = find(fake, path);
	if (device && is_port(device)) {
		json_t *list = json_array();
		json_array_append_new(list, entry(device->bus, "child", "PCIE"));
		json_array_append_new(list, entry("pci_bridge_io[0]", "child", "memory-region"));
		return success(list);
	}
	for (size_t i = 0; i < FAKE_DEVICES; i++) {
		char bus[256];
		snprintf(bus, sizeof(bus), "%s/%s", fake->devices[i].path, fake->devices[i].bus);
		if (is_port(&fake->devices[i]) && strcmp(bus, path) == 0)
			return success(list_bus(fake, fake->devices[i].bus));
	}
	return error("DeviceNotFound", "no such path");
}

static json_t *qom_get(struct fake_qemu *fake, const char *path, const char *property)
{
	const struct fake_device *device = find(fake, path);
	if (device && strcmp(property, "hotplug") == 0 && is_port(device))
		return success(json_boolean(!device->no_hotplug));
	if (device && strcmp(property, "parent_bus") == 0)
		return success(json_sprintf("/machine/peripheral/%s/%s", device->bus, device->bus));
	bool is_path = device && device->host[0] == '/';
	if (device && strcmp(property, "host") == 0)
		return success(json_string(is_path ? "0000:00:00.0x" : device->host));
	if (device && strcmp(property, "sysfsdev") == 0 && is_path)
		return success(json_string(device->host));
	return error("GenericError", "Property not found");
}

static json_t *device_add(struct fake_qemu *fake, const json_t *arguments)
{
	const char *id = member(arguments, "id"), *addr = member(arguments, "addr");
	const char *host = member(arguments, "host");
	buf_printf(&fake->log, "add %s host=%s%s bus=%s addr=%s%s\n", id, host,
		   member(arguments, "sysfsdev"), member(arguments, "bus"), addr,
		   json_is_true(json_object_get(arguments, "multifunction")) ? " multifunction"
									     : "");
	size_t len = fake->refuses ? strlen(fake->refuses) : 0;
	if (len && strlen(id) >= len && strcmp(id + strlen(id) - len, fake->refuses) == 0)
		return error("GenericError", fake->words);
	char path[128];
	snprintf(path, sizeof(path), "/machine/peripheral/%s", id);
	fake_qemu_device(fake, path, member(arguments, "driver"), member(arguments, "bus"), host)
		->function = atoi(strchr(addr, '.') + 1);
	return success(json_object());
}

static json_t *device_del(struct fake_qemu *fake, int fd, const char *id)
{
	buf_printf(&fake->log, "del %s\n", id);
	struct fake_device *device = find(fake, id);
	if (!device)
		return error("DeviceNotFound", "Device not found");
	if (device->asked)
		return error("GenericError", "Device is already in the process of unplug");
	device->asked = true;
	fake->n_looks = 0;
	if (fake->guest == GUEST_LETS_GO)
		eject(fake, fd, device);
	if (fake->guest == GUEST_DECLINES) {
		device->asked = false;
		send_event(fake, fd, "DEVICE_UNPLUG_GUEST_ERROR", device->path);
	}
	return success(json_object());
}

static json_t *answer_to(struct fake_qemu *fake, int fd, const char *command,
			 const json_t *arguments)
{
	const char *path = member(arguments, "path");
	if (strcmp(command, "qom-list") == 0) {
		if (fake->guest == GUEST_IS_SLOW && ++fake->n_looks == 3)
			eject_asked(fake, fd);
		return qom_list(fake, path);
	}
	if (strcmp(command, "qom-get") == 0)
		return qom_get(fake, path, member(arguments, "property"));
	if (strcmp(command, "device_add") == 0)
		return device_add(fake, arguments);
	if (strcmp(command, "device_del") == 0)
		return device_del(fake, fd, member(arguments, "id"));
	if (strcmp(command, "query-status") == 0)
		return success(json_pack("{s:b,s:s}", "running", 1, "status",
					 fake->status ? fake->status : "running"));
	if (strcmp(command, "qmp_capabilities") == 0)
		return success(json_object());
	return error("CommandNotFound", "The command has not been found");
}

/* ---- conversations --------------------------------------------------------------------------- */

static bool is_at(const char *command, const char *moment)
{
	return moment && strcmp(command, moment) == 0;
}

/* False: hang up. */
static bool serve_line(struct fake_qemu *fake, int fd, const char *line, bool *hangs)
{
	json_t *message = json_loads(line, 0, NULL);
	const char *command = member(message, "execute");
	*hangs |= is_at(command, fake->hangs_at);
	bool dies = is_at(command, fake->dies_at);
	if (dies) {
		close(fake->listener);
		fake->listener = -1;
	}
	if (!dies && !*hangs) {
		if (fake->dribbles)
			send_event(fake, fd, "RTC_CHANGE", "/machine/rtc");
		if (fake->stale)
			send_line(fake, fd, fake->stale);
		if (is_at(command, fake->answers_at)) {
			send_raw(fake, fd, json_object_get(message, "id"));
		} else {
			json_t *answer =
				answer_to(fake, fd, command, json_object_get(message, "arguments"));
			json_object_set(answer, "id", json_object_get(message, "id"));
			send_json(fake, fd, answer);
		}
	}
	json_decref(message);
	return !dies;
}

/* False: there is something to read (or nothing more to come), true: the test is over. */
static bool is_stopped(const struct fake_qemu *fake, int fd)
{
	struct pollfd fds[] = { { .fd = fake->stop[0], .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };
	while (poll(fds, 2, -1) < 0)
		;
	return fds[0].revents != 0;
}

static void greet(struct fake_qemu *fake, int fd)
{
	switch (fake->greeting) {
	case GREETING:
		send_line(fake, fd, "{\"QMP\":{\"version\":{},\"capabilities\":[\"oob\"]}}");
		break;
	case GREETING_GARBAGE:
		send_line(fake, fd, "SSH-2.0-OpenSSH_9.2");
		break;
	case GREETING_OTHER:
		send_line(fake, fd, "{\"event\":\"RESUME\"}");
		break;
	case GREETING_ENDLESS: {
		char chunk[4096];
		memset(chunk, 'x', sizeof(chunk));
		for (int i = 0; i < 4096; i++)
			send_bytes(fd, chunk, sizeof(chunk), sizeof(chunk));
		break;
	}
	case GREETING_NONE:
	case GREETING_CLOSE:
		break;
	}
}

static void serve(struct fake_qemu *fake, int fd)
{
	struct buf input = { 0 };
	bool goes_on = fake->greeting != GREETING_CLOSE, hangs = false;
	greet(fake, fd);
	while (goes_on && !is_stopped(fake, fd)) {
		ssize_t n = recv(fd, buf_reserve(&input, 4096), 4096, 0);
		if (n <= 0)
			break;
		input.len += (size_t)n;
		input.data[input.len] = '\0';
		char *end;
		while (goes_on && (end = strchr(input.data, '\n'))) {
			*end = '\0';
			goes_on = serve_line(fake, fd, input.data, &hangs);
			input.len -= (size_t)(end + 1 - input.data);
			memmove(input.data, end + 1, input.len + 1);
		}
	}
	buf_deinit(&input);
	close(fd);
}

static void *run(void *context)
{
	struct fake_qemu *fake = context;
	while (fake->listener >= 0 && !is_stopped(fake, fake->listener)) {
		int fd = accept(fake->listener, NULL, NULL);
		if (fd < 0)
			break;
		fake->n_clients++;
		serve(fake, fd);
	}
	return NULL;
}

void fake_qemu_start(struct fake_qemu *fake)
{
	snprintf(fake->dir, sizeof(fake->dir), "/tmp/gpubus-qmp.XXXXXX");
	assert_non_null(mkdtemp(fake->dir));
	snprintf(fake->socket, sizeof(fake->socket), "%s/vm-1.qmp", fake->dir);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fake->socket);
	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)),
			   errno);
	assert_return_code(listen(fake->listener, 1), errno);
	assert_return_code(pipe(fake->stop), errno);
	assert_int_equal(pthread_create(&fake->thread, NULL, run, fake), 0);
}

void fake_qemu_stop(struct fake_qemu *fake)
{
	close(fake->stop[1]);
	pthread_join(fake->thread, NULL);
	close(fake->stop[0]);
	if (fake->listener >= 0)
		close(fake->listener);
	buf_reserve(&fake->log, 0);
}

void fake_qemu_deinit(struct fake_qemu *fake)
{
	unlink(fake->socket);
	rmdir(fake->dir);
	buf_deinit(&fake->log);
}
