#!/usr/bin/env bash
# unpack.sh DIR [HOST...]: the recorded hosts (all of them, or these) as DIR/HOST/sys and DIR/HOST/proc,
# whatever the archives call them, without sys/devices/system: thousands of files about CPUs.
# Does nothing for a host that is there already.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
mkdir -p "$1"
to=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- $(cd "$here" && printf '%s\n' *.tar.gz | sed 's/[.]tar[.]gz$//')

for host; do
	archive=$here/$host.tar.gz
	[ ! -d "$to/$host" ] || continue
	new=$(mktemp -d "$to/.$host.XXXXXX")
	open=(tar -xzf "$archive" --force-local --no-same-owner --exclude="*sys/devices/system")
	case $host in
	ghw-*) "${open[@]}" -C "$new" ;;
	hwloc-*) "${open[@]}" -C "$new" --strip-components=1 ;;
	*)
		mkdir "$new/sys"
		"${open[@]}" -C "$new/sys"
		;;
	esac
	chmod 755 "$new"
	mv -T "$new" "$to/$host" 2>/dev/null || rm -rf "$new" # another was faster
done
