/*
 * Where Redis is and who we are there:
 *
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?db=N]      rediss:// the same over TLS, with
 *   unix://[[USER]:PASSWORD@]/PATH[?db=N]                  ?cacert=FILE, &cert=FILE, &key=FILE
 *
 * USER, PASSWORD and FILE may be percent-encoded. Without a user the password is that of "default".
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

struct redis_url {
	char *host; /* NULL: unix socket */
	int port;
	char *path; /* of the unix socket */
	char *user; /* NULL: none */
	char *password;
	int db;
	bool tls;
	char *cacert; /* NULL: the system's */
	char *cert;
	char *key;
	char *shown; /* for logs and status: no password */
};

/* Positive: not such a URL; `ret_error` says why (a constant), without any part of the text. */
int redis_url_parse(const char *text, struct redis_url **ret_url,
		    const char **ret_error) MUST_CHECK;
void redis_url_free(struct redis_url *url);
DEFINE_CLEANUP(struct redis_url *, redis_url_free);
