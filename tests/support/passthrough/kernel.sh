#!/usr/bin/env bash
# Debian's kernel for the VM of the passthrough tests: fetched with apt, unpacked, never installed.
#
#   kernel.sh fetch    brings it into build/passthrough/kernel when it is not there
#
# It is the image that linux-image-amd64 of this Debian release depends on. (The -cloud images have no DRM: there would be no
# driver to take a GPU from.) Remove build/passthrough to get a newer one. Can be sourced; then kernel_dir has
#   version        the release of the kernel, as uname -r shows it
#   vmlinux        the kernel (see kernel_uncompress)
#   root/lib/modules/VERSION
set -euo pipefail
kernel_checkout=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")
kernel_dir=$kernel_checkout/build/passthrough/kernel

kernel_fetch() {
	[ ! -f "$kernel_dir/complete" ] || return 0
	mkdir -p "$kernel_dir"
	(
		flock 9
		[ ! -f "$kernel_dir/complete" ] || exit 0
		cd "$kernel_dir"
		rm -rf -- *.deb root
		if ! kernel_download >fetch.log 2>&1; then # lists that are missing, or older than the mirror
			as_root=()
			[ "$(id -u)" = 0 ] || as_root=(sudo -n)
			"${as_root[@]}" apt-get -q update >>fetch.log 2>&1 || true
			kernel_download >>fetch.log 2>&1 ||
				{ echo "no Debian kernel for the passthrough tests:" && tail -n 10 fetch.log && exit 1; } >&2
		fi
		dpkg-deb -x ./*.deb root
		rm -- *.deb
		[ -d root/lib/modules ] || { mkdir -p root/lib && ln -s ../usr/lib/modules root/lib/modules; }
		ls root/lib/modules >version
		depmod -b root "$(<version)"
		kernel_uncompress "root/boot/vmlinuz-$(<version)" vmlinux >>fetch.log 2>&1 ||
			cp "root/boot/vmlinuz-$(<version)" vmlinux
		touch complete
	) 9>"$kernel_dir/lock"
}

kernel_download() {
	local package
	package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	[ -n "$package" ] && apt-get -q download "$package"
}

# A vmlinuz unpacks itself, which takes 3 s in an emulated CPU. QEMU boots what is in it, too (an ELF image with a PVH entry).
# The places are those of Linux' Documentation/x86/boot.rst. Fails when this is not a compression that can be undone here.
kernel_uncompress() { # VMLINUZ VMLINUX
	python3 - "$1" "$2" <<-'END'
		import lzma, struct, subprocess, sys
		image = open(sys.argv[1], "rb").read()
		setup_sectors, = struct.unpack_from("<B", image, 0x1f1)
		offset, length = struct.unpack_from("<II", image, 0x248)
		start = (setup_sectors + 1) * 512 + offset
		payload, size = image[start:start + length - 4], struct.unpack_from("<I", image, start + length - 4)[0]
		if payload.startswith(b"\xfd7zXZ\0"):
		    kernel = lzma.decompress(payload)
		elif payload.startswith(b"\x28\xb5\x2f\xfd"):
		    kernel = subprocess.run(["zstd", "-dc"], input=payload, stdout=subprocess.PIPE, check=True).stdout
		else:
		    sys.exit("compressed in a way that is not known here")
		assert len(kernel) == size and kernel.startswith(b"\x7fELF"), (len(kernel), size)
		open(sys.argv[2], "wb").write(kernel)
	END
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	case "${1:-} $#" in
	"fetch 1") kernel_fetch ;;
	*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
fi
