#!/usr/bin/env bash
# `./dev demo --passthrough` ends by itself, well, and its summary says what it showed.
set -euo pipefail
export DEV_DEMO_DIR=$TEST_DIR/demo
"$SOURCE_DIR/dev" demo --passthrough >"$TEST_DIR/out" 2>&1 || { cat "$TEST_DIR/out" && exit 1; }
python3 - "$DEV_DEMO_DIR/summary.json" <<'END'
import json, sys
summary = json.load(open(sys.argv[1]))
assert summary["free"] and summary["functions"], summary
assert summary["drivers"][0] == "bochs-drm", summary
END
# Nothing of it is left behind.
for pid in "$DEV_DEMO_DIR"/*.pid; do
	[ ! -e "$pid" ] || { echo "$pid is left" && exit 1; }
done
