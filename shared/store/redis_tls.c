#include "store/redis_tls.h"

#include <hiredis/hiredis.h>
#ifdef GPUBUS_REDIS_TLS
#include <hiredis/hiredis_ssl.h>
#endif

#include "base/buf.h"
#include "base/memory.h"
#include "store/redis_url.h"

#ifdef GPUBUS_REDIS_TLS

struct redis_tls {
	redisSSLContext *context;
};

int redis_tls_new(const struct redis_url *url, struct redis_tls **ret_tls, char **ret_error)
{
	if (!url->tls) {
		*ret_tls = NULL;
		return 0;
	}
	redisInitOpenSSL();
	redisSSLContextError error = REDIS_SSL_CTX_NONE;
	redisSSLContext *context =
		redisCreateSSLContext(url->cacert, url->cacert ? NULL : "/etc/ssl/certs", url->cert,
				      url->key, url->host, &error);
	if (!context) {
		struct buf text = { 0 };
		buf_printf(&text, "TLS: %s", redisSSLContextGetError(error));
		*ret_error = buf_steal(&text);
		return 1;
	}
	struct redis_tls *tls = memory_alloc(sizeof(*tls));
	tls->context = context;
	*ret_tls = tls;
	return 0;
}

void redis_tls_free(struct redis_tls *tls)
{
	if (!tls)
		return;
	redisFreeSSLContext(tls->context);
	free(tls);
}

int redis_tls_start(struct redis_tls *tls, redisContext *context)
{
	return tls && redisInitiateSSLWithContext(context, tls->context) != REDIS_OK;
}

#else

int redis_tls_new(const struct redis_url *url, struct redis_tls **ret_tls, char **ret_error)
{
	if (url->tls) {
		*ret_error = memory_strdup("this build has no TLS for Redis: it needs hiredis_ssl "
					   "(hiredis 1.0 or newer)");
		return 1;
	}
	*ret_tls = NULL;
	return 0;
}

void redis_tls_free(struct redis_tls *tls)
{
	(void)tls;
}

int redis_tls_start(struct redis_tls *tls, redisContext *context)
{
	(void)tls;
	(void)context;
	return 0;
}

#endif
