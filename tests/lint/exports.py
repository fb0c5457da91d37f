#!/usr/bin/env python3
"""No two of our archives export the same name: a program that links both would get one for the other.

    exports.py BUILD-DIR       looks at every archive below shared/ and services/ of a build tree
    exports.py --self-test CC  builds two archives with one name in both and sees that it is found
"""
import collections
import subprocess
import sys
import tempfile
from pathlib import Path


def exported(archive):
    text = subprocess.run(["nm", "-P", "-g", "--defined-only", archive], check=True, capture_output=True, text=True)
    return {line.split()[0] for line in text.stdout.splitlines() if len(line.split()) > 2}


def check(archives):
    owners = collections.defaultdict(list)
    for archive in archives:
        for name in exported(archive):
            owners[name].append(archive.name)
    for name, names in sorted(owners.items()):
        if len(names) > 1:
            yield f"{name} is in {' and in '.join(sorted(names))}"


def archives_of(build):
    return [path for area in ("shared", "services") for path in sorted((build / area).rglob("*.a"))]


def self_test(compiler):
    for expected, names in ((True, ("same", "same")), (False, ("one", "two"))):
        with tempfile.TemporaryDirectory() as directory:
            archives = []
            for number, name in enumerate(names):
                source = Path(directory, f"{number}.c")
                source.write_text(f"int {name}(void); int {name}(void) {{ return 0; }}\n")
                subprocess.run([compiler, "-c", source.name], cwd=directory, check=True)
                archives.append(Path(directory, f"lib{number}.a"))
                subprocess.run(["ar", "rcs", archives[-1], f"{number}.o"], cwd=directory, check=True)
            if bool(list(check(archives))) != expected:
                yield f"{names}: expected {'a' if expected else 'no'} complaint"


if __name__ == "__main__":
    if sys.argv[1] == "--self-test":
        problems = list(self_test(sys.argv[2]))
    else:
        problems = list(check(archives_of(Path(sys.argv[1]))))
    print("\n".join(problems) or "ok")
    sys.exit(1 if problems else 0)
