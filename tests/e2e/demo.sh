#!/usr/bin/env bash
# `./dev demo` ends by itself, well, and its summary says what it showed.
set -euo pipefail
export DEV_DEMO_DIR=$TEST_DIR/demo
"$SOURCE_DIR/dev" demo >"$TEST_DIR/out" 2>&1 || { cat "$TEST_DIR/out" && exit 1; }
python3 - "$DEV_DEMO_DIR/summary.json" <<'END'
import json, sys
summary = json.load(open(sys.argv[1]))
assert summary["gpus"] == 33, summary["gpus"]
assert len(summary["assigned"]) == 2 and len(summary["rejected"]) == 1, summary
devices = [(one["host"], gpu) for one in summary["assigned"] for gpu in one["gpus"]]
assert len(devices) == 6 and len(set(devices)) == 6, devices
assert summary["rejected"][0]["code"] == "NO_CAPACITY" and summary["rejected"][0]["message"], summary["rejected"]
END
# Nothing of it is left behind.
for pid in "$DEV_DEMO_DIR"/*.pid; do
	[ ! -e "$pid" ] || { echo "$pid is left" && exit 1; }
done
