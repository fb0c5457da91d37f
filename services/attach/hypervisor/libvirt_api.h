/*
 * libvirt, loaded when it is needed: a host without it runs the same program. Only its headers are needed
 * for building. Its error messages are had with libvirt_words(); it prints nothing itself.
 */
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "base/buf.h"
#include "base/error.h"

#define LIBVIRT_FUNCTIONS(with)                                                                    \
	with(virConnectClose) with(virConnectOpen) with(virConnectSetKeepAlive)                    \
		with(virDomainAttachDeviceFlags) with(virDomainDetachDeviceAlias) with(            \
			virDomainDetachDeviceFlags) with(virDomainFree) with(virDomainGetXMLDesc)  \
			with(virDomainIsActive) with(virDomainIsPersistent)                        \
				with(virDomainLookupByName) with(virDomainLookupByUUIDString)      \
					with(virDomainMemoryStats)                                 \
						with(virEventRegisterDefaultImpl)                  \
							with(virGetLastError) with(virGetVersion)  \
								with(virSetErrorFunc)

struct libvirt_api {
#define LIBVIRT_MEMBER(name) __typeof__(name) *name;
	LIBVIRT_FUNCTIONS(LIBVIRT_MEMBER)
#undef LIBVIRT_MEMBER
};

/* Static storage, the same each time. Positive: not installed, or too old; `error` says which. */
int libvirt_api_load(const struct libvirt_api **ret_api, struct buf *error) MUST_CHECK;

/* Of the last call that failed. */
const char *libvirt_words(const struct libvirt_api *api);
int libvirt_error_code(const struct libvirt_api *api);
