#!/usr/bin/env python3
"""README.md says what the code says: the codes of answers with their meanings, and the topics.

    docs.py ROOT         checks the tree
    docs.py --self-test  changes each kind of thing and sees that it is found
"""
import re
import sys
import tempfile
from pathlib import Path

HEADER, TOPICS, README = "shared/model/codes.h", "shared/model/topics.c", "README.md"
ENTRY = re.compile(r'\bX\(\s*([A-Z_]+)\s*,\s*((?:"[^"]*"\s*)+)\)', re.S)
LISTS = re.compile(r"#define CODES_([A-Z]+)\(X\)(.*?)(?=\n\n|\n#|\Z)", re.S)
ROW = re.compile(r"^\| `([A-Z_]+)` \| (.*?) \|$", re.M)


def codes_in_header(text):
    """{(list, code): meaning}; the lists are rejected, completed, host, released and attach."""
    found = {}
    for name, body in LISTS.findall(text.replace("\\\n", "\n")):
        for code, literals in ENTRY.findall(re.sub(r"[ \t]+\n", "\n", body)):
            found[name.lower(), code] = "".join(re.findall(r'"([^"]*)"', literals))
    return found


def codes_in_readme(text):
    """The same from the tables behind <!-- codes: LIST --> marks."""
    found = {}
    for name, table in re.findall(r"<!-- codes: (\w+) -->\n(.*?)\n\n", text + "\n\n", re.S):
        for code, meaning in ROW.findall(table):
            found[name, code] = meaning
    return found


def check(root):
    readme = (root / README).read_text(encoding="utf-8")
    header, documented = codes_in_header((root / HEADER).read_text()), codes_in_readme(readme)
    if not header:
        yield f"{HEADER}: no codes found"
    for key in sorted(header.keys() | documented.keys()):
        if header.get(key) != documented.get(key):
            yield f"{key[0]} {key[1]}: {HEADER} says {header.get(key)!r}, {README} says {documented.get(key)!r}"
    topics = re.findall(r'"(gpubus\.[a-z-]+\.v\d+)"', (root / TOPICS).read_text())
    if not topics:
        yield f"{TOPICS}: no topics found"
    for topic in topics:
        if f"`{topic}`" not in readme:
            yield f"{topic} is missing in {README}"


def self_test():
    header = '#define CODES_HOST(X)  \\\n\tX(FITS, "fits")  \\\n\tX(LONG,  \\\n\t  "a "  \\\n\t  "b")\n\n#define N 1\n'
    topics = '"gpubus.requests.v1"'
    readme = "`gpubus.requests.v1`\n\n<!-- codes: host -->\n| code |\n|---|\n| `FITS` | fits |\n| `LONG` | a b |\n"
    cases = [
        (False, header, topics, readme),
        (True, header.replace("FITS", "FITTED"), topics, readme),
        (True, header, topics, readme.replace("| fits |", "| fitted |")),
        (True, header, topics, readme + "| `MORE` | more |\n"),
        (True, header, topics.replace("requests", "answers"), readme),
        (True, "", topics, ""),
    ]
    for number, (expected, *texts) in enumerate(cases):
        with tempfile.TemporaryDirectory() as directory:
            for name, text in zip((HEADER, TOPICS, README), texts):
                path = Path(directory, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            if bool(list(check(Path(directory)))) != expected:
                yield f"case {number}: expected {'a' if expected else 'no'} complaint"


if __name__ == "__main__":
    problems = list(self_test() if sys.argv[1] == "--self-test" else check(Path(sys.argv[1]).resolve()))
    print("\n".join(problems) or "ok")
    sys.exit(1 if problems else 0)
