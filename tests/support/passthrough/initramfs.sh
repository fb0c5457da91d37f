# Sourced by vm.sh: packs the initramfs with `init`, busybox and the modules that lead to the 9p root.
# It is kept in build/passthrough, one for each state of what goes into it.

initramfs_modules=(virtio_pci virtio_console virtio_net 9pnet_virtio 9p overlay)

# Prints the path. Whoever comes second finds what the first one made; a half-made one is never seen.
initramfs() {
	local here version busybox key path
	here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
	version=$(<"$kernel_dir/version")
	busybox=$(command -v busybox)
	key=$(cat "$here/init" "$here/initramfs.sh" "$kernel_dir/version" "$busybox" | cksum | cut -d' ' -f1)
	path=$(dirname "$kernel_dir")/initramfs-$key
	if [ ! -f "$path" ]; then
		initramfs_pack "$path.$$" "$version" "$here/init" "$busybox"
		mv "$path.$$" "$path"
	fi
	echo "$path"
}

initramfs_pack() ( # OUTPUT KERNEL-VERSION INIT BUSYBOX
	tree=$(mktemp -d)
	trap 'rm -rf "$tree"' EXIT
	mkdir "$tree"/{bin,modules,proc,sys,dev,host,upper,root}
	cp "$4" "$tree/bin/busybox"
	install -m 755 "$3" "$tree/init"
	# insmod's order; each module comes after those it needs. Newer releases compress them.
	modprobe -d "$kernel_dir/root" -S "$2" --show-depends -a "${initramfs_modules[@]}" |
		awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
		while read -r module; do
			name=$(basename "$module" .xz)
			case $module in
			*.xz) xz -dc "$module" >"$tree/modules/$name" ;;
			*) cp "$module" "$tree/modules/$name" ;;
			esac
			echo "$name" >>"$tree/modules/order"
		done
	(cd "$tree" && find . | cpio --quiet -o -H newc) >"$1"
)
