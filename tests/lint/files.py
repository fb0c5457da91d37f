#!/usr/bin/env python3
"""What holds for every file: its size, no sleeping tests, no file(GLOB), scripts that at least parse.

    files.py ROOT         checks the tree
    files.py --self-test  plants each kind of violation in a small tree and sees that it is found
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

LINES_MAX = 500
OURS = ("shared", "services", "tests", "schemas", ".ci")
SOURCES = {".c", ".h", ".py", ".sh", ".lua", ".cmake"}
# A test waits for a condition, never for a time. The shell scripts under tests/support poll conditions.
SLEEP = re.compile(r"\b(?:u|nano|uv_)?sleep\s*\(|time\.sleep\s*\(")
DRAWERS = re.compile(r"(^|_|/)(utils?|helpers?|common|misc)(\.|/|$)")


def files(root):
    for top in OURS:
        for path in sorted((root / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and "data" not in path.relative_to(root).parts[:2]:
                yield path
    if (root / "dev").is_file():
        yield root / "dev"


def is_shell(path, text):
    return path.suffix == ".sh" or re.match(r"#!.*\b(ba)?sh\b", text) is not None


def check(root):
    for path in files(root):
        name = str(path.relative_to(root))
        if path.suffix not in SOURCES and path.suffix != "" and path.name != "CMakeLists.txt":
            continue
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > LINES_MAX:
            yield f"{name}: {lines} lines; a file over {LINES_MAX} is asking to be two"
        if DRAWERS.search(name):
            yield f"{name}: a drawer, not a name: say what is in it"
        if path.suffix in (".c", ".py") and name.startswith("tests/") and not name.startswith(("tests/lint/", "tests/bench/")):
            for number, line in enumerate(text.splitlines(), 1):
                if SLEEP.search(line) and "lint: may sleep" not in line:
                    yield f"{name}:{number}: a test waits for a condition, not for a time"
        if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
            if re.search(r"file\s*\(\s*GLOB", text, re.I):
                yield f"{name}: file(GLOB): list the sources"
        if is_shell(path, text):
            parsed = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
            if parsed.returncode != 0:
                yield f"{name}: {parsed.stderr.strip()}"


PLANTED = [
    ("shared/base/long.c", "\n" * (LINES_MAX + 1)),
    ("shared/base/string_utils.c", "\n"),
    ("shared/common/x.c", "\n"),
    ("tests/unit/x.c", "\tsleep(1);\n"),
    ("tests/unit/x.c", "\tnanosleep(&ts, NULL);\n"),
    ("tests/e2e/x.py", "time.sleep(1)\n"),
    ("shared/base/CMakeLists.txt", "file(GLOB sources *.c)\n"),
    ("tests/support/x.sh", "if true; then\n"),
    ("dev", "#!/usr/bin/env bash\ncase x in\n"),
]
HARMLESS = [
    ("shared/base/short.c", "int x;\n" * LINES_MAX),
    ("tests/unit/x.c", "/* never sleeps */\n"),
    ("tests/data/host.c", "\n" * 9999),
    ("tests/support/x.sh", "true\n"),
]


def self_test():
    for expected, cases in ((True, PLANTED), (False, HARMLESS)):
        for name, text in cases:
            with tempfile.TemporaryDirectory() as directory:
                root = Path(directory)
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
                if bool(list(check(root))) != expected:
                    yield f"{name} with {text[:40]!r}: expected {'a' if expected else 'no'} complaint"


if __name__ == "__main__":
    problems = list(self_test() if sys.argv[1] == "--self-test" else check(Path(sys.argv[1]).resolve()))
    print("\n".join(problems) or "ok")
    sys.exit(1 if problems else 0)
