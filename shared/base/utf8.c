#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Eight bytes of ASCII without a NUL: no byte has its top bit set, and none borrows when 1 is taken. */
static bool is_plain(uint64_t word)
{
	const uint64_t tops = 0x8080808080808080u, ones = 0x0101010101010101u;
	return ((word | (word - ones)) & tops) == 0;
}

size_t utf8_sequence(const void *data, size_t left)
{
	const unsigned char *s = data;
	unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
	size_t len;

	if (s[0] < 0x80)
		return s[0] != 0;
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		len = 2;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		len = 3;
		if (s[0] == 0xe0)
			low = 0xa0;
		else if (s[0] == 0xed)
			high = 0x9f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		len = 4;
		if (s[0] == 0xf0)
			low = 0x90;
		else if (s[0] == 0xf4)
			high = 0x8f;
	} else {
		return 0;
	}

	if (left < len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return len;
}

bool utf8_is_text(const void *data, size_t len)
{
	const unsigned char *s = data;
	while (len) {
		uint64_t word;
		if (len >= sizeof(word)) {
			memcpy(&word, s, sizeof(word));
			if (is_plain(word)) {
				s += sizeof(word);
				len -= sizeof(word);
				continue;
			}
		}
		size_t taken = utf8_sequence(s, len);
		if (taken == 0)
			return false;
		s += taken;
		len -= taken;
	}
	return true;
}
