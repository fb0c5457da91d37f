#!/usr/bin/env bash
# Runs a command as root in a hypervisor host that is emulated whole: a real kernel, an IOMMU, VFIO, GPUs to give away.
#
#   vm.sh [--topology FILE] [--append "KERNEL ARGUMENTS"] [--timeout SECONDS] -- COMMAND...
#
# Its output and its exit status are COMMAND's. A VM that dies, hangs or is not done in time (default: 120 s) is a failure,
# with status 125 and the end of its console. Any number may run at a time; each ends with the caller.
#
# What COMMAND finds:
#   files      this machine's, under a layer in memory: all can be read and written, nothing comes out. /tmp and /run are
#              empty. TEST_DIR is the exception: the same directory, at the same path, inside and outside.
#              (Unix sockets, and what has to be quick, belong in /tmp.)
#   network    10.0.2.2 is this machine's 127.0.0.1. KAFKA_BOOTSTRAP and REDIS_URL of with.sh are handed in so that they fit.
#   environment  also BUILD_DIR, SOURCE_DIR, TEST_DIR, TEST_DATA, PYTHON, those of them that are set. PATH and HOME are root's.
#   devices    those of topology.args, with the drivers that are in the kernel; `modprobe bochs vfio-pci` and so on loads others.
#              There is no udev: nothing is loaded by itself.
#   init       none: what COMMAND leaves running is killed.
# Variants: --append intel_iommu=off (no IOMMU), --append intremap=off (no interrupt remapping).
#
# It needs what `./dev setup test` installs, and a build for the nested VM's guest. By hand:
#   tests/support/with.sh kafka redis -- tests/support/passthrough/vm.sh --timeout 600 -- bash -c 'modprobe vfio-pci; ...'
set -euo pipefail
here=$(dirname "$(realpath "$0")")
. "$here/kernel.sh"
. "$here/initramfs.sh"

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

topology=$here/topology.args append= timeout=120
while [ $# -gt 0 ]; do
	case $1 in
	--topology) topology=$2 && shift 2 ;;
	--append) append=$2 && shift 2 ;;
	--timeout) timeout=$2 && shift 2 ;;
	--) shift && break ;;
	*) usage ;;
	esac
done
[ $# -gt 0 ] || usage

kernel_fetch
initramfs=$(initramfs)
if [ -z "${TEST_DIR:-}" ]; then
	mkdir -p "$kernel_checkout/build/passthrough/runs"
	TEST_DIR=$(mktemp -d "$kernel_checkout/build/passthrough/runs/XXXXXX")
fi
SOURCE_DIR=${SOURCE_DIR:-$kernel_checkout}
BUILD_DIR=${BUILD_DIR:-$SOURCE_DIR/build/dev}
export TEST_DIR SOURCE_DIR BUILD_DIR
mkdir -p "$TEST_DIR"
TEST_DIR=$(realpath "$TEST_DIR")
job=$(mktemp -d "$TEST_DIR/vm.XXXXXX") # between this script and init

# The addresses of servers beside the VM, as the VM sees them.
[ -z "${KAFKA_BOOTSTRAP_VM:-}" ] || KAFKA_BOOTSTRAP=$KAFKA_BOOTSTRAP_VM
[ -z "${REDIS_URL:-}" ] || REDIS_URL=${REDIS_URL/127.0.0.1/10.0.2.2}
{
	echo "cd $(printf %q "$PWD") 2>/dev/null || cd /"
	printf 'exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8'
	for name in BUILD_DIR SOURCE_DIR TEST_DIR TEST_DATA PYTHON KAFKA_BOOTSTRAP REDIS_URL; do
		[ -z "${!name:-}" ] || printf ' %s=%q' "$name" "${!name}"
	done
	printf ' %q' "$@"
} >"$job/command"
printf '%s\n' "$SOURCE_DIR" "$BUILD_DIR" "$PWD" >"$job/paths"
echo "$TEST_DIR" >"$job/test_dir"
echo "$kernel_dir/root/lib/modules/$(<"$kernel_dir/version")" >"$job/modules"

# 9p exports: in QEMU's options a comma is written twice.
share() { # ID PATH OPTIONS ADDRESS
	machine+=(-fsdev "local,id=$1,path=${2//,/,,},security_model=none,multidevs=remap$3"
		-device "virtio-9p-pci,fsdev=$1,mount_tag=$1,bus=pcie.0,addr=$4")
}
# iomem=relaxed: a test may look into the memory of a GPU (resource0 in sysfs) while a driver has it. no_timer_check: a VM that
# gets no CPU for a moment takes its timer for broken, and panics. The rest saves time.
arguments="intel_iommu=on iomem=relaxed no_timer_check mitigations=off cryptomgr.notests rodata=off nokaslr lsm= nowatchdog"
machine=(
	# KVM may open and still run no guest, where this machine is a VM itself.
	-machine q35,kernel-irqchip=split -accel tcg -cpu max -smp 1 -m 2048
	-nodefaults -no-user-config -display none -no-reboot
	-kernel "$kernel_dir/vmlinux" -initrd "$initramfs"
	-append "console=ttyS0 quiet panic=-1 $arguments gpubus.job=$(basename "$job") $append"
	-serial "file:${job//,/,,}/console"
	-device virtio-serial-pci,bus=pcie.0,addr=0x1b
	-chardev file,id=output,path=/dev/stdout -device virtserialport,chardev=output,name=output
	-netdev user,id=net -device virtio-net-pci,netdev=net,romfile=,bus=pcie.0,addr=0x1c
)
share root / ,readonly=on 0x1d
share job "$TEST_DIR" "" 0x1e
mapfile -t -O "${#machine[@]}" machine < <(sed 's/#.*//' "$topology" | xargs -n 1)

# However this script ends, timeout and QEMU end with it. `cat` makes stdout something that QEMU can open.
started=$SECONDS
for attempt in 1 2 3; do
	died=0
	setpriv --pdeathsig KILL timeout --kill-after 1 "$timeout" setpriv --pdeathsig KILL \
		qemu-system-x86_64 "${machine[@]}" </dev/null 2>"$job/qemu" | cat || died=$?
	# An emulator of several threads may die of its own fault before the kernel's first word: that says nothing.
	[ $died = 139 ] && [ ! -s "$job/console" ] || break
	echo "vm.sh: QEMU died of a segmentation fault, attempt $attempt" >&2
done
if [ ! -s "$job/status" ]; then
	{
		echo "vm.sh: no end of: $*"
		echo "vm.sh: after $((SECONDS - started)) s (limit $timeout s); its console, and what QEMU said:"
		tail -n 40 "$job/console" "$job/qemu"
	} >&2
	exit 125
fi
status=$(<"$job/status")
[ "$status" != 0 ] || rm -rf "$job"
exit "$status"
