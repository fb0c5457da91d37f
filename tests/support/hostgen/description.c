#include "description.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOSTS_MAX = 1024, CARDS_MAX = 256, COUNT_MAX = 100000 };

struct parser {
	struct arena *arena;
	struct host *hosts;
	size_t n_hosts;
	int line;
	const char *error;
};

static int mistake(struct parser *parser, const char *what, const char *word)
{
	parser->error = arena_printf(parser->arena, "line %d: %s: %s", parser->line, what, word);
	return 1;
}

static int parse_number(struct parser *parser, const char *text, int base, long min, long max,
			int *ret_number)
{
	char *end;
	long number = strtol(text, &end, base);
	if (!*text || *end || number < min || number > max)
		return mistake(parser, "not a number it can be", text);
	*ret_number = (int)number;
	return 0;
}

static int parse_switch(struct parser *parser, const char *text, bool *ret_on)
{
	if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
		return mistake(parser, "neither on nor off", text);
	*ret_on = strcmp(text, "on") == 0;
	return 0;
}

static int parse_ids(struct parser *parser, const char *text, struct card *card)
{
	int used = 0;
	unsigned vendor, device, sub_vendor, sub_device;
	int n = sscanf(text, "%4x:%4x%n:%4x:%4x%n", &vendor, &device, &used, &sub_vendor,
		       &sub_device, &used);
	if ((n != 2 && n != 4) || text[used])
		return mistake(parser, "not VENDOR:DEVICE[:SUBVENDOR:SUBDEVICE]", text);
	card->vendor = (uint16_t)vendor;
	card->device = (uint16_t)device;
	card->sub_vendor = (uint16_t)(n == 4 ? sub_vendor : vendor);
	card->sub_device = (uint16_t)(n == 4 ? sub_device : 0);
	return 0;
}

static int parse_slot(struct parser *parser, const char *text, struct card *card)
{
	char address[48];
	size_t colons = 0;
	for (const char *c = text; *c; c++)
		colons += *c == ':';
	snprintf(address, sizeof(address), "%s%s.0", colons == 1 ? "0000:" : "", text);
	if (pci_address_parse(address, &card->slot))
		return mistake(parser, "not [DDDD:]BB:DD", text);
	card->has_slot = true;
	return 0;
}

static int set_card_option(struct parser *parser, const char *name, const char *value,
			   struct card *card)
{
	int number, r = 0;
	if (strcmp(name, "count") == 0)
		return parse_number(parser, value, 10, 1, 255, &card->count);
	if (strcmp(name, "slot") == 0)
		return parse_slot(parser, value, card);
	if (strcmp(name, "class") == 0) {
		r = parse_number(parser, value, 16, 0, 0xffffff, &number);
		card->class_id = r ? 0 : (uint32_t)number;
		return r;
	}
	if (strcmp(name, "driver") == 0)
		card->driver = value;
	else if (strcmp(name, "companion-driver") == 0)
		card->companion_driver = value;
	else if (strcmp(name, "vf-driver") == 0)
		card->vf_driver = value;
	else if (strcmp(name, "without") == 0)
		card->without = value;
	else if (strcmp(name, "group") == 0 && strcmp(value, "none") == 0)
		card->group = GROUP_NONE;
	else if (strcmp(name, "group") == 0)
		return parse_number(parser, value, 10, 0, 9999, &card->group);
	else if (strcmp(name, "numa") == 0)
		return parse_number(parser, value, 10, NUMA_UNKNOWN, 3, &card->numa);
	else if (strcmp(name, "switch") == 0)
		return parse_number(parser, value, 10, 1, 16, &card->switch_number);
	else if (strcmp(name, "vfs") == 0)
		return parse_number(parser, value, 10, 0, 64, &card->vfs);
	else
		return mistake(parser, "no such option", name);
	return 0;
}

static int set_card_flag(struct parser *parser, const char *name, struct card *card)
{
	if (strcmp(name, "audio") == 0)
		card->audio = true;
	else if (strcmp(name, "usb") == 0)
		card->usb = true;
	else if (strcmp(name, "usb-c") == 0)
		card->usb_c = true;
	else if (strcmp(name, "port-in-group") == 0)
		card->port_in_group = true;
	else if (strcmp(name, "boot-vga") == 0)
		card->boot_vga = true;
	else
		return mistake(parser, "no such option", name);
	return 0;
}

static int parse_card(struct parser *parser, bool is_gpu, char **rest)
{
	if (parser->n_hosts == 0)
		return mistake(parser, "a card before the first host", is_gpu ? "gpu" : "device");
	struct host *host = &parser->hosts[parser->n_hosts - 1];
	if (host->n_cards == CARDS_MAX)
		return mistake(parser, "too many lines for one host", host->name);

	struct card card = { .count = 1,
			     .driver = "",
			     .vf_driver = "",
			     .group = GROUP_OWN,
			     .numa = NUMA_UNKNOWN,
			     .class_id = UINT32_MAX };
	char *word = strtok_r(NULL, " \t", rest);
	if (!word)
		return mistake(parser, "the ids are missing", "VENDOR:DEVICE");
	if (parse_ids(parser, word, &card))
		return 1;
	while ((word = strtok_r(NULL, " \t", rest))) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		int r = value ? set_card_option(parser, word, value, &card)
			      : set_card_flag(parser, word, &card);
		if (r)
			return r;
	}
	if (card.class_id == UINT32_MAX && !is_gpu)
		return mistake(parser, "a device needs its class", "class=CCCCCC");
	if (card.class_id == UINT32_MAX)
		card.class_id = card.boot_vga ? 0x030000 : 0x030200;
	if (!card.companion_driver)
		card.companion_driver = strcmp(card.driver, "vfio-pci") == 0 ? "vfio-pci" : "";
	host->cards[host->n_cards++] = card;
	return 0;
}

static int set_host_option(struct parser *parser, const char *name, const char *value,
			   struct host *host)
{
	if (strcmp(name, "pool") == 0)
		host->pool = value;
	else if (strcmp(name, "count") == 0)
		return parse_number(parser, value, 10, 0, COUNT_MAX, &host->count);
	else if (strcmp(name, "cores") == 0)
		return parse_number(parser, value, 10, 1, 8192, &host->cores);
	else if (strcmp(name, "ram-gb") == 0)
		return parse_number(parser, value, 10, 1, 1 << 20, &host->ram_gb);
	else if (strcmp(name, "iommu") == 0)
		return parse_switch(parser, value, &host->iommu);
	else if (strcmp(name, "vfio") == 0)
		return parse_switch(parser, value, &host->vfio);
	else if (strcmp(name, "remapping") == 0)
		return parse_switch(parser, value, &host->remapping);
	else
		return mistake(parser, "no such option", name);
	return 0;
}

static int parse_host(struct parser *parser, char **rest)
{
	char *word = strtok_r(NULL, " \t", rest);
	if (!word || strchr(word, '/') || strchr(word, '='))
		return mistake(parser, "not a host's name", word ? word : "");
	if (parser->n_hosts == HOSTS_MAX)
		return mistake(parser, "too many hosts; use count=N", word);

	struct host *host = &parser->hosts[parser->n_hosts++];
	*host = (struct host){ .name = word,
			       .pool = "1",
			       .cores = 64,
			       .ram_gb = 512,
			       .iommu = true,
			       .vfio = true,
			       .remapping = true,
			       .cards =
				       arena_array(parser->arena, CARDS_MAX, sizeof(struct card)) };
	while ((word = strtok_r(NULL, " \t", rest))) {
		char *value = strchr(word, '=');
		if (!value)
			return mistake(parser, "not NAME=VALUE", word);
		*value++ = '\0';
		if (set_host_option(parser, word, value, host))
			return 1;
	}
	return 0;
}

static int parse_line(struct parser *parser, char *line)
{
	char *comment = strstr(line, "# ");
	if (comment)
		*comment = '\0';
	if (strcmp(line, "#") == 0)
		return 0;
	char *rest = NULL;
	char *word = strtok_r(line, " \t", &rest);
	if (!word)
		return 0;
	if (strcmp(word, "host") == 0)
		return parse_host(parser, &rest);
	if (strcmp(word, "gpu") == 0 || strcmp(word, "device") == 0)
		return parse_card(parser, *word == 'g', &rest);
	return mistake(parser, "neither host, gpu nor device", word);
}

int description_parse(char *text, struct arena *arena, struct host **ret_hosts, size_t *ret_n,
		      const char **ret_error)
{
	struct parser parser = { .arena = arena };
	parser.hosts = arena_array(arena, HOSTS_MAX, sizeof(*parser.hosts));
	for (char *line = text; line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		parser.line++;
		if (parse_line(&parser, line)) {
			*ret_error = parser.error;
			return 1;
		}
		line = end;
	}
	*ret_hosts = parser.hosts;
	*ret_n = parser.n_hosts;
	return 0;
}
