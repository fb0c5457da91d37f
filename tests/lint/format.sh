#!/usr/bin/env bash
# The C files look as .clang-format says.
#
#   format.sh ROOT         checks the tree
#   format.sh --self-test  sees that a badly formatted file is found
set -euo pipefail

check() { # ROOT
	cd "$1"
	find shared services tests -name '*.[ch]' -print0 | xargs -0 -r clang-format --dry-run -Werror
}

if [ "$1" != --self-test ]; then
	check "$1"
	exit
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/shared" "$tmp/services" "$tmp/tests"
cp "$(dirname "$(realpath "$0")")/../../.clang-format" "$tmp/"
printf 'int f(void)\n{\n\treturn 1;\n}\n' >"$tmp/shared/good.c"
(check "$tmp")
printf 'int f(void){return 1;}\n' >"$tmp/shared/bad.c"
if (check "$tmp") 2>/dev/null; then
	echo "a badly formatted file was not found" >&2
	exit 1
fi
