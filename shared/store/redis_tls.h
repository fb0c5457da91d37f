/*
 * TLS on a hiredis context, where the build has hiredis_ssl (GPUBUS_REDIS_TLS). The server's
 * certificate must be signed by `cacert` of the URL or by the system's authorities. hiredis does not
 * compare the certificate's name with the host, so give the `cacert` of your own Redis.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"

struct redisContext;
struct redis_tls;
struct redis_url;

/* Positive: not built in, or a file cannot be used; `ret_error` (heap, the caller's) says which.
 * For a URL without TLS `ret_tls` becomes NULL. */
int redis_tls_new(const struct redis_url *url, struct redis_tls **ret_tls,
		  char **ret_error) MUST_CHECK;
void redis_tls_free(struct redis_tls *tls);
DEFINE_CLEANUP(struct redis_tls *, redis_tls_free);
/* Right after the context was made. NULL does nothing. Positive: see the context's error. */
int redis_tls_start(struct redis_tls *tls, struct redisContext *context) MUST_CHECK;
