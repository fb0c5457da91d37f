/*
 * Everything an outsider controls has a limit, and all the limits stand here. Units are in the names.
 */
#pragma once

enum {
	LIMIT_VALUE_BYTES = 64 * 1024,	    /* one record on the bus, framing included */
	LIMIT_ID_BYTES = 255,		    /* request, VM, pool, type and host ids */
	LIMIT_TEXT_BYTES = 1024,	    /* names, reasons and other text in a request */
	LIMIT_CODE_BYTES = 64,		    /* a code in an agent's report */
	LIMIT_ATTACH_ATTEMPTS = 16,	    /* hosts on which one request is tried */
	LIMIT_ASKS = 16,		    /* models in one request or VM type */
	LIMIT_GPUS_PER_REQUEST = 64,	    /* GPUs in one request, all models together */
	LIMIT_GPUS_PER_HOST = 256,	    /* GPUs that one host may announce */
	LIMIT_FUNCTIONS_PER_UNIT = 64,	    /* PCI functions of one passthrough unit */
	LIMIT_REJECTION_HOSTS = 16,	    /* hosts listed one by one in a rejection or verdict */
	LIMIT_REJECTION_NAMES = 32,	    /* model names listed in "the pool has: ..." */
	LIMIT_PARTITIONS = 1024,	    /* shards of one installation */
	LIMIT_PCI_DEVICES = 16384,	    /* PCI functions read of one host */
	LIMIT_ATTRIBUTE_BYTES = 4096,	    /* one file of a device in sysfs: a page */
	LIMIT_MONITOR_LINE_BYTES = 4 << 20, /* one message of a QEMU monitor */
	LIMIT_DOMAIN_XML_BYTES = 16 << 20,  /* what libvirt says of one VM */
	LIMIT_LIST_ITEMS = 1024,	    /* items of one list in a record on the bus */
	LIMIT_NESTING = 16,	       /* records, lists and unions within each other in a record */
	LIMIT_CPU_CORES = 1000000,     /* of a VM type or a host */
	LIMIT_RAM_GB = 100000000,      /* of a VM type or a host */
	LIMIT_MODELS_PER_POOL = 4096,  /* GPU models registered in one pool */
	LIMIT_HOSTS_PER_POOL = 262144, /* hosts of one pool */
	LIMIT_STEP_RESULT_BYTES = 256 << 10, /* what a step process writes */
	LIMIT_AGENT_FILE_BYTES = 16 << 20,   /* an agent's memory on disk */
	LIMIT_META_BYTES = 64 * 1024,	     /* key and headers of a message on the bus, together */
	LIMIT_DEAD_VALUE_BYTES =
		512 * 1024, /* value of a dead letter: fits into message.max.bytes */
};
