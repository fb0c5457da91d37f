#!/usr/bin/env python3
"""The core is pure: no clock, no IO, no randomness, no environment, no Kafka, no Redis, no Avro.

    purity.py ARCHIVE [LIBRARY...]  every undefined symbol of ARCHIVE must be defined in one of the archives
                                       or stand in the list below
    purity.py --self-test CC           compiles functions that are not pure and sees that they are found
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# What C offers that neither reads nor changes the world outside.
PURE = set(
    """
    abort memchr memcmp memcpy memmove memset strchr strcmp strcpy strcspn strlen strncmp strncasecmp
    strnlen strpbrk strrchr strspn strstr strcasecmp stpcpy
    strtol strtoll strtoul strtoull __isoc23_strtol __isoc23_strtoll __isoc23_strtoul __isoc23_strtoull
    snprintf vsnprintf qsort bsearch free malloc calloc realloc reallocarray
    __assert_fail __ctype_b_loc __ctype_tolower_loc tolower
    __stack_chk_fail __memcpy_chk __memset_chk __memmove_chk __snprintf_chk __vsnprintf_chk __strcpy_chk
    __strcat_chk _GLOBAL_OFFSET_TABLE_
    """.split()
)
# The sanitizers' and the coverage run time, in builds that have them.
INSTRUMENTATION = re.compile(r"^(__asan_|__ubsan_|__gcov_|__llvm_)")
# What the compiler makes of plain arithmetic on machines that lack an instruction.
ARITHMETIC = re.compile(r"^__(popcount|parity|clz|ctz|ffs|u?div|u?mod|mul|ashl|ashr|lshr)[sdt]i[234]$")
# These write to stderr or stop the process when memory is exhausted; that is base's one concern.
PURE_PROJECT = {"memory_exhausted", "memory_alloc", "memory_zeroed", "memory_resize", "memory_strdup"}
# Of the layers below, what does IO is not for the core, though it may link against them.
IMPURE_PROJECT = re.compile(r"^log_")


def symbols(archive, *flags):
    text = subprocess.run(["nm", "-P", "-A", *flags, archive], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        location, _, rest = line.partition(": ")
        if rest:
            yield location, rest.split()[0]


def check(archive, libraries):
    known = PURE | PURE_PROJECT
    for library in [archive, *libraries]:
        known |= {name for _, name in symbols(library, "--defined-only") if not IMPURE_PROJECT.match(name)}
    for location, name in symbols(archive, "--undefined-only"):
        if name not in known and not INSTRUMENTATION.match(name) and not ARITHMETIC.match(name):
            yield f"{location}: {name} is not pure (see tests/lint/purity.py)"


IMPURE = {
    "clock": "#include <time.h>\nlong f(void); long f(void) { return time(0); }",
    "io": '#include <stdio.h>\nint f(void); int f(void) { return puts("x"); }',
    "environment": '#include <stdlib.h>\nchar *f(void); char *f(void) { return getenv("X"); }',
    "random": "#include <stdlib.h>\nint f(void); int f(void) { return rand(); }",
    "kafka": "int rd_kafka_poll(void *, int);\nint f(void); int f(void) { return rd_kafka_poll(0, 0); }",
    "log": "void log_write(int, const char *, ...);\nvoid f(void); void f(void) { log_write(0, 0); }",
}
FINE = "#include <string.h>\nsize_t f(const char *); size_t f(const char *s) { return strlen(s); }"


def self_test(compiler):
    for name, text in {**IMPURE, "fine": FINE}.items():
        with tempfile.TemporaryDirectory() as directory:
            source, library = Path(directory, "x.c"), Path(directory, "libx.a")
            source.write_text(text + "\n")
            subprocess.run([compiler, "-O0", "-c", "x.c"], cwd=directory, check=True)
            subprocess.run(["ar", "rcs", library, "x.o"], cwd=directory, check=True)
            if bool(list(check(library, []))) != (name != "fine"):
                yield f"{name}: expected {'no' if name == 'fine' else 'a'} complaint"


if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        problems = list(self_test(sys.argv[2]))
    else:
        problems = list(check(sys.argv[1], sys.argv[2:]))
    print("\n".join(problems) or "ok")
    sys.exit(1 if problems else 0)
