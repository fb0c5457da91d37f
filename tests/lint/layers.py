#!/usr/bin/env python3
"""Who may include what. The layers and the edges between them stand in one table here, and nowhere else.

    layers.py ROOT         checks the tree; prints every edge that is not allowed
    layers.py --self-test  plants each kind of violation in a small tree and sees that it is found
"""
import re
import sys
import tempfile
from pathlib import Path

# A layer of shared/ may include itself and these. Includes are rooted at shared/, so that each names its layer.
ALLOWED = {
    "base": [],
    "model": ["base"],
    "core": ["model", "base"],
    "codec": ["model", "base"],
    "pci": ["model", "base"],
    "loop": ["model", "base"],
    "bus": ["loop", "model", "base"],
    "store": ["loop", "model", "base"],
    "follow": ["bus", "codec", "model", "base"],
    "publish": ["bus", "codec", "loop", "model", "base"],
    "service": ["loop", "base"],
}

# Third-party headers belong to the layers that are about them. Programs reach these libraries through the
# layers; "services" says which they may see themselves, "services/NAME" which only that one may.
THIRD_PARTY = {
    "librdkafka/": ["bus"],
    "avro.h": ["codec"],
    "avro/": ["codec"],
    "hiredis/": ["store"],
    "pci/": ["pci"],
    "jansson.h": ["codec", "services"],
    "expat.h": ["services/attach"],
    "libvirt/": ["services/attach"],
    "uv.h": ["loop", "bus", "store", "service", "services"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)


def layer_of(path, root):
    """("shared", layer), ("services", service) or None for a file outside of both."""
    parts = path.relative_to(root).parts
    return parts[:2] if parts[0] in ("shared", "services") and len(parts) > 2 else None


def check_file(path, root):
    area, name = layer_of(path, root)
    for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
        local, system = match.groups()
        line = path.read_text(encoding="utf-8")[: match.start()].count("\n") + 1
        where = f"{path.relative_to(root)}:{line}"
        if local is not None:
            yield from check_local(where, path, root, area, name, local)
        else:
            who = [name] if area == "shared" else [area, f"{area}/{name}"]
            for prefix, layers in THIRD_PARTY.items():
                if system.startswith(prefix) and not set(who) & set(layers):
                    yield f"{where}: <{system}> belongs to {', '.join(layers)}, not to {who[-1]}"


def check_local(where, path, root, area, name, local):
    if ".." in Path(local).parts:
        yield f'{where}: "{local}": includes are rooted, not relative'
        return
    beside = (path.parent / local).is_file()
    if "/" not in local or not (root / "shared" / local).is_file():
        # A program's own header, written without a directory; or something generated into the build tree.
        if (root / "services" / local).is_file() and not local.startswith(name + "/"):
            yield f'{where}: "{local}": services never include each other'
        elif "/" not in local and area == "shared" and beside:
            yield f'{where}: "{local}": write "{name}/{local}", so that the include names its layer'
        return
    target = local.split("/")[0]
    if area == "services" or target == name:
        return
    if target not in ALLOWED.get(name, []):
        allowed = ", ".join(ALLOWED.get(name, [])) or "nothing"
        yield f'{where}: "{local}": {name} may include {allowed}'


def check(root):
    for area in ("shared", "services"):
        for path in sorted((root / area).rglob("*.[ch]")):
            if layer_of(path, root):
                yield from check_file(path, root)
    for path in sorted((root / "shared").iterdir()):
        if path.is_dir() and path.name not in ALLOWED:
            yield f"shared/{path.name}: a new layer: say in tests/lint/layers.py what it may include"


PLANTED = [
    ("shared/base/x.c", '#include "model/m.h"'),
    ("shared/core/x.c", '#include "codec/c.h"'),
    ("shared/core/x.c", "#include <uv.h>"),
    ("shared/bus/x.c", '#include "codec/c.h"'),
    ("shared/bus/x.c", "#include <hiredis/hiredis.h>"),
    ("shared/store/x.c", "  #  include <librdkafka/rdkafka.h>"),
    ("shared/model/x.c", '#include "../base/b.h"'),
    ("shared/model/x.c", '#include "m.h"'),
    ("services/a/x.c", "#include <librdkafka/rdkafka.h>"),
    ("services/a/x.c", "#include <hiredis/hiredis.h>"),
    ("shared/service/x.c", "#include <jansson.h>"),
    ("services/a/x.c", "#include <libvirt/libvirt.h>"),
    ("shared/pci/x.c", "#include <libvirt/libvirt.h>"),
    ("shared/drawer/x.c", "/* empty */"),
    ("services/a/x.c", '#include "b/b.h"'),
    ("services/a/x.c", '#include "../b/b.h"'),
]
HARMLESS = [
    ("shared/core/x.c", '#include "model/m.h"\n#include "base/b.h"\n#include <string.h>'),
    ("shared/bus/x.c", "#include <librdkafka/rdkafka.h>"),
    ("shared/follow/x.c", '#include "codec/c.h"'),
    ("services/attach/x.c", "#include <libvirt/libvirt.h>"),
    ("services/a/x.c", '#include <uv.h>\n#include <jansson.h>\n#include "a.h"\n#include "codec/c.h"\n#include "model/m.h"'),
]


def self_test():
    headers = ["shared/base/b.h", "shared/model/m.h", "shared/codec/c.h", "services/a/a.h", "services/b/b.h"]
    for expected, cases in ((True, PLANTED), (False, HARMLESS)):
        for name, text in cases:
            with tempfile.TemporaryDirectory() as directory:
                root = Path(directory)
                for header in headers:
                    (root / header).parent.mkdir(parents=True, exist_ok=True)
                    (root / header).write_text("")
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text + "\n")
                if bool(list(check(root))) != expected:
                    yield f"{name} with {text!r}: expected {'a' if expected else 'no'} complaint"


if __name__ == "__main__":
    problems = list(self_test() if sys.argv[1] == "--self-test" else check(Path(sys.argv[1]).resolve()))
    print("\n".join(problems) or "ok")
    sys.exit(1 if problems else 0)
