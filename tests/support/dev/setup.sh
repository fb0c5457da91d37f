# Installs what is missing. Sourced by ./dev; every command calls `setup LEVEL` first, so it has to be quick
# when all is there. What is there is asked from dpkg each time: nothing that could go stale is remembered.

packages_demo=(
	gcc libc6-dev cmake ninja-build pkg-config python3
	libavro-dev libcmocka-dev libhiredis-dev libjansson-dev libpci-dev librdkafka-dev libssl-dev libuv1-dev
	libxxhash-dev uuid-dev
	pci.ids redis-server redis-tools
)
packages_passthrough=(qemu-system-x86 busybox-static cpio kmod xz-utils)
packages_test=(
	clang-format maven openjdk-17-jre-headless python3-venv
	libvirt-dev libexpat1-dev libvirt-daemon-driver-qemu
)
if [ -e /etc/os-release ] && ! grep -q 'VERSION_ID="1[0-2]"' /etc/os-release; then
	packages_test[2]=default-jre-headless # newer releases have newer JREs; Kafka takes 17 and above
	packages_passthrough+=(zstd) # their kernels are packed with it
fi

setup() { # demo|passthrough|test
	local packages=("${packages_demo[@]}")
	case $1 in
	demo) ;;
	passthrough) packages+=("${packages_passthrough[@]}") ;;
	test) packages+=("${packages_passthrough[@]}" "${packages_test[@]}") ;;
	*) echo "./dev setup: the levels are demo, passthrough and test, not '$1'" >&2 && return 2 ;;
	esac
	setup_packages "${packages[@]}"
	[ "$1" = demo ] || setup_kernel
	if [ "$1" = test ]; then
		setup_python
		tests/support/kafka.sh fetch
	fi
}

setup_packages() { # PACKAGES...
	local missing
	if ! command -v dpkg-query >/dev/null; then
		setup_check_tools
		return
	fi
	missing=$(comm -23 <(printf '%s\n' "$@" | sort) \
		<(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
			sed -n 's/^installed //p' | sort))
	[ -n "$missing" ] || return 0
	echo "setup: installing" $missing >&2
	# shellcheck disable=SC2086
	apt_install $missing
}

# Package lists may be absent or older than the mirror: then the first try fails, and the second works.
apt_install() { # PACKAGES...
	local as_root=() log
	if [ "$(id -u)" != 0 ]; then
		as_root=(sudo -n)
		if ! sudo -n true 2>/dev/null; then
			echo "setup: needs root, or sudo without a password, to run:" >&2
			echo "  apt-get install $*" >&2
			return 1
		fi
	fi
	log=$(mktemp)
	services_stay_off "${as_root[@]}"
	if ! apt_get install "$@" >"$log" 2>&1; then
		if ! { apt_get update && apt_get install "$@"; } >"$log" 2>&1; then
			services_may_start "${as_root[@]}"
			tail -n 30 "$log" >&2
			rm -f "$log"
			return 1
		fi
	fi
	services_may_start "${as_root[@]}"
	rm -f "$log"
}

apt_get() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		--no-install-recommends "$@" </dev/null
}

# Debian starts a service when it installs one. Nobody asked for a Redis on port 6379: the tests start their own.
policy=/usr/sbin/policy-rc.d
services_stay_off() { # [sudo...]
	[ ! -e $policy ] || return 0
	printf '#!/bin/sh\n# gpubus setup\nexit 101\n' | "$@" tee $policy >/dev/null
	"$@" chmod 755 $policy
}
services_may_start() { # [sudo...]
	! grep -qs '^# gpubus setup' $policy || "$@" rm -f $policy
}

# Not Debian: say what is missing and leave the rest to the person.
setup_check_tools() {
	local tool missing=()
	for tool in cc cmake ninja pkg-config python3 redis-server; do
		command -v $tool >/dev/null || missing+=("$tool")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	echo "setup: this is not a Debian system. Missing: ${missing[*]}. Debian's names of all packages:" >&2
	echo "  ${packages_demo[*]} ${packages_passthrough[*]} ${packages_test[*]}" >&2
	return 1
}

# For the VM of the passthrough tests. Where there is no apt the tests that need it say what is missing.
setup_kernel() {
	[ -f "$build/passthrough/kernel/complete" ] || ! command -v apt-get >/dev/null ||
		{ echo "setup: a kernel into build/passthrough" >&2 && tests/support/passthrough/kernel.sh fetch; }
}

# The foreign client of the tests: Python with its own Avro and Kafka libraries, in build/venv.
setup_python() {
	local wanted=tests/support/requirements.txt venv=$build/venv python=/usr/bin/python3
	if cmp -s "$wanted" "$venv/requirements.txt" && "$venv/bin/python" -c 'import fastavro, confluent_kafka' \
		2>/dev/null; then
		return 0
	fi
	[ -x $python ] || python=python3
	echo "setup: Python packages into build/venv" >&2
	mkdir -p "$build"
	[ -x "$venv/bin/pip" ] || "$python" -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$wanted" >&2
	cp "$wanted" "$venv/requirements.txt"
}
