#include "codec/rfc3339.h"

#include <stdbool.h>

static const int64_t us_per_second = 1000000, us_per_day = INT64_C(86400) * 1000000;

struct date {
	int64_t year;
	unsigned month, day; /* 1-12, 1-31 */
};

/*
 * Days since 1970-01-01 of the proleptic Gregorian calendar, and back. Years are counted from March, so
 * that the leap day is their last: a 400-year era then always has 146097 days and starts alike.
 */
static int64_t days_of(struct date date)
{
	int64_t year = date.month <= 2 ? date.year - 1 : date.year;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t month = (date.month + 9) % 12;
	int64_t day_of_year = (153 * month + 2) / 5 + date.day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

static struct date date_of(int64_t days)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t day = days - era * 146097;
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t day_of_year = day - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * day_of_year + 2) / 153;

	struct date date = {
		.year = year + era * 400 + (month >= 10),
		.month = (unsigned)(month < 10 ? month + 3 : month - 9),
		.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1),
	};
	return date;
}

static char *put_digits(char *at, int width, int64_t value)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + width;
}

int rfc3339_format(int64_t time_us, char text[RFC3339_TEXT_BYTES])
{
	int64_t days = time_us / us_per_day, rest = time_us % us_per_day;
	if (rest < 0) {
		days--;
		rest += us_per_day;
	}
	struct date date = date_of(days);
	if (date.year < 0 || date.year > 9999)
		return 1;

	int64_t second = rest / us_per_second;
	char *at = put_digits(text, 4, date.year);
	*at++ = '-';
	at = put_digits(at, 2, date.month);
	*at++ = '-';
	at = put_digits(at, 2, date.day);
	*at++ = 'T';
	at = put_digits(at, 2, second / 3600);
	*at++ = ':';
	at = put_digits(at, 2, second / 60 % 60);
	*at++ = ':';
	at = put_digits(at, 2, second % 60);
	*at++ = '.';
	at = put_digits(at, 6, rest % us_per_second);
	*at++ = 'Z';
	*at = '\0';
	return 0;
}

/* What is still to be read. */
struct cursor {
	const char *at;
	const char *end;
};

static bool take(struct cursor *cursor, const char *any_of)
{
	if (cursor->at == cursor->end)
		return false;
	for (; *any_of; any_of++) {
		if (*cursor->at == *any_of) {
			cursor->at++;
			return true;
		}
	}
	return false;
}

static bool is_digit(const struct cursor *cursor)
{
	return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

static bool take_digits(struct cursor *cursor, int width, unsigned max, unsigned *ret_value)
{
	unsigned value = 0;
	for (int i = 0; i < width; i++) {
		if (!is_digit(cursor))
			return false;
		value = value * 10 + (unsigned)(*cursor->at++ - '0');
	}
	*ret_value = value;
	return value <= max;
}

static bool take_fraction(struct cursor *cursor, int64_t *ret_us)
{
	int64_t us = 0, unit = us_per_second / 10;
	if (!is_digit(cursor))
		return false;
	for (; is_digit(cursor); unit /= 10)
		us += (*cursor->at++ - '0') * unit;
	*ret_us = us;
	return true;
}

static bool take_offset(struct cursor *cursor, int64_t *ret_minutes)
{
	unsigned hours, minutes;
	if (take(cursor, "Zz")) {
		*ret_minutes = 0;
		return true;
	}
	bool west = cursor->at < cursor->end && *cursor->at == '-';
	if (!take(cursor, "+-") || !take_digits(cursor, 2, 23, &hours) || !take(cursor, ":") ||
	    !take_digits(cursor, 2, 59, &minutes))
		return false;
	*ret_minutes = (int64_t)(hours * 60 + minutes) * (west ? -1 : 1);
	return true;
}

static bool is_day(struct date date)
{
	/* The day before the first of the next month is the month's last. */
	struct date next = { date.year, date.month, 1 };
	if (date.month == 0 || date.day == 0)
		return false;
	if (next.month++ == 12)
		next = (struct date){ date.year + 1, 1, 1 };
	return days_of(date) < days_of(next);
}

int rfc3339_parse(const char *text, size_t len, int64_t *ret_time_us)
{
	struct cursor cursor = { text, text + len };
	unsigned year, month, day, hour, minute, second;
	int64_t us = 0, offset_minutes;

	if (!take_digits(&cursor, 4, 9999, &year) || !take(&cursor, "-") ||
	    !take_digits(&cursor, 2, 12, &month) || !take(&cursor, "-") ||
	    !take_digits(&cursor, 2, 31, &day) || !take(&cursor, "Tt ") ||
	    !take_digits(&cursor, 2, 23, &hour) || !take(&cursor, ":") ||
	    !take_digits(&cursor, 2, 59, &minute) || !take(&cursor, ":") ||
	    !take_digits(&cursor, 2, 60, &second)) /* 60: a leap second */
		return 1;
	if (take(&cursor, ".") && !take_fraction(&cursor, &us))
		return 1;
	if (!take_offset(&cursor, &offset_minutes) || cursor.at != cursor.end)
		return 1;

	struct date date = { year, month, day };
	if (!is_day(date))
		return 1;
	int64_t seconds = days_of(date) * 86400 + (int64_t)hour * 3600 + (int64_t)minute * 60 +
			  second - offset_minutes * 60;
	*ret_time_us = seconds * us_per_second + us;
	return 0;
}
