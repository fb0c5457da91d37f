#include "store/redis_url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"

enum { DEFAULT_PORT = 6379, DB_MAX = 1 << 20 };

void redis_url_free(struct redis_url *url)
{
	if (!url)
		return;
	free(url->host);
	free(url->path);
	free(url->user);
	if (url->password)
		explicit_bzero(url->password, strlen(url->password));
	free(url->password);
	free(url->cacert);
	free(url->cert);
	free(url->key);
	free(url->shown);
	free(url);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: a broken escape, or one of a NUL. */
static char *decode(const char *text, size_t len)
{
	cleanup(freep) char *decoded = memory_alloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '%') {
			decoded[n++] = text[i];
			continue;
		}
		if (i + 2 >= len)
			return NULL;
		int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
		if (high < 0 || low < 0 || high + low == 0)
			return NULL;
		decoded[n++] = (char)(high * 16 + low);
		i += 2;
	}
	decoded[n] = '\0';
	return steal(&decoded);
}

static int parse_number(const char *text, size_t len, int max, int *ret)
{
	int value = 0;
	if (len == 0 || len > 7)
		return 1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 1;
		value = value * 10 + (text[i] - '0');
	}
	if (value > max)
		return 1;
	*ret = value;
	return 0;
}

static const char *parse_credentials(struct redis_url *url, const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);
	if (!colon)
		return "before the @ it takes USER:PASSWORD or :PASSWORD";
	if (colon > text) {
		url->user = decode(text, (size_t)(colon - text));
		if (!url->user)
			return "a broken percent escape in the user";
	}
	url->password = decode(colon + 1, (size_t)(text + len - colon - 1));
	if (!url->password)
		return "a broken percent escape in the password";
	return NULL;
}

static const char *parse_host(struct redis_url *url, const char *text, size_t len)
{
	const char *port = NULL, *end = text + len;

	if (len && *text == '[') {
		const char *bracket = memchr(text, ']', len);
		if (!bracket)
			return "no ] after the IPv6 address";
		url->host = decode(text + 1, (size_t)(bracket - text - 1));
		if (bracket + 1 < end) {
			if (bracket[1] != ':')
				return "after the IPv6 address comes :PORT";
			port = bracket + 2;
		}
	} else {
		const char *colon = memchr(text, ':', len);
		url->host = decode(text, colon ? (size_t)(colon - text) : len);
		port = colon ? colon + 1 : NULL;
	}
	if (!url->host || !*url->host)
		return "no host";
	url->port = DEFAULT_PORT;
	if (port && (parse_number(port, (size_t)(end - port), 65535, &url->port) || !url->port))
		return "the port is not a number from 1 to 65535";
	return NULL;
}

static const char *parse_option(struct redis_url *url, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals ? (size_t)(equals - text) : len;
	const char *value = equals ? equals + 1 : text + len;
	size_t value_len = (size_t)(text + len - value);
	struct {
		const char *name;
		char **target;
	} files[] = { { "cacert", &url->cacert }, { "cert", &url->cert }, { "key", &url->key } };

	if (name_len == 2 && memcmp(text, "db", 2) == 0)
		return parse_number(value, value_len, DB_MAX, &url->db) ? "db is not a number"
									: NULL;
	for (size_t i = 0; url->tls && i < sizeof(files) / sizeof(files[0]); i++) {
		if (name_len != strlen(files[i].name) || memcmp(text, files[i].name, name_len) != 0)
			continue;
		free(*files[i].target);
		*files[i].target = decode(value, value_len);
		return *files[i].target ? NULL : "a broken percent escape in a file name";
	}
	return "an option it does not know after the ? (db; for rediss also cacert, cert, key)";
}

static const char *parse(struct redis_url *url, const char *text)
{
	bool unix_socket = false;
	if (strncmp(text, "redis://", 8) == 0) {
		text += 8;
	} else if (strncmp(text, "rediss://", 9) == 0) {
		text += 9;
		url->tls = true;
	} else if (strncmp(text, "unix://", 7) == 0) {
		text += 7;
		unix_socket = true;
	} else {
		return "it starts with redis://, rediss:// or unix://";
	}

	size_t len = strcspn(text, "?");
	const char *options = text[len] ? text + len + 1 : text + len;
	/* The last @, and before the path: a password with a bare @ is still understood. */
	size_t authority = strcspn(text, "/?");
	const char *at = memrchr(text, '@', authority);
	const char *error = NULL;
	if (at) {
		error = parse_credentials(url, text, (size_t)(at - text));
		if (error)
			return error;
		len -= (size_t)(at + 1 - text);
		text = at + 1;
	}

	if (unix_socket) {
		if (len < 2 || *text != '/')
			return "unix:// takes an absolute path";
		url->path = decode(text, len);
		if (!url->path)
			return "a broken percent escape in the path";
	} else {
		const char *slash = memchr(text, '/', len);
		error = parse_host(url, text, slash ? (size_t)(slash - text) : len);
		if (error)
			return error;
		if (slash && slash + 1 < text + len &&
		    parse_number(slash + 1, (size_t)(text + len - slash - 1), DB_MAX, &url->db))
			return "the database after the / is not a number";
	}

	while (*options) {
		size_t option_len = strcspn(options, "&");
		error = parse_option(url, options, option_len);
		if (error)
			return error;
		options += option_len + (options[option_len] == '&');
	}
	return NULL;
}

static char *show(const struct redis_url *url)
{
	struct buf shown = { 0 };
	buf_puts(&shown, url->path ? "unix://" : url->tls ? "rediss://" : "redis://");
	if (url->user)
		buf_printf(&shown, "%s@", url->user);
	if (url->path)
		buf_printf(&shown, "%s?db=%d", url->path, url->db);
	else
		buf_printf(&shown, strchr(url->host, ':') ? "[%s]:%d/%d" : "%s:%d/%d", url->host,
			   url->port, url->db);
	return buf_steal(&shown);
}

int redis_url_parse(const char *text, struct redis_url **ret_url, const char **ret_error)
{
	cleanup(redis_url_freep) struct redis_url *url = memory_zeroed(1, sizeof(*url));
	const char *error = parse(url, text);
	if (error) {
		*ret_error = error;
		return 1;
	}
	url->shown = show(url);
	*ret_url = steal(&url);
	return 0;
}
