#!/bin/bash
# shellcheck source=crates/garrison/src/bench/quiet/pieces/lib.sh
. "$(dirname "$0")/lib.sh"

# A kernel module of a vendor, built for a kernel and installed by dkms; never loaded here.
kernel=6.1.0-quiet
tree=/usr/src/linux-headers-$kernel
mkdir -p "$tree/include/config" "$tree/include/generated" "/lib/modules/$kernel" /usr/src/shopdrv-1.0
ln -sfn "$tree" "/lib/modules/$kernel/build"
echo "$kernel" >"$tree/include/config/kernel.release"
touch "$tree/.config" "$tree/Module.symvers" "/lib/modules/$kernel/modules.order" "/lib/modules/$kernel/modules.builtin"
cat >"$tree/Makefile" <<'M'
modules:
	cd $(M) && cc -c -O2 -ffreestanding -o shopdrv.o shopdrv.c && ld -r -o shopdrv.ko shopdrv.o
clean:
	rm -f $(M)/*.o $(M)/*.ko
M
echo 'int init_module(void) { return 0; } void cleanup_module(void) {}' >/usr/src/shopdrv-1.0/shopdrv.c
cat >/usr/src/shopdrv-1.0/dkms.conf <<'C'
PACKAGE_NAME="shopdrv"
PACKAGE_VERSION="1.0"
BUILT_MODULE_NAME[0]="shopdrv"
DEST_MODULE_LOCATION[0]="/updates/dkms"
MAKE[0]="make -C ${kernel_source_dir} M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build modules"
CLEAN="true"
AUTOINSTALL="yes"
C
dkms add shopdrv/1.0
dkms build shopdrv/1.0 -k "$kernel" --kernelsourcedir "$tree" || { cat /var/lib/dkms/shopdrv/1.0/build/make.log; exit 1; }
dkms install shopdrv/1.0 -k "$kernel" --kernelsourcedir "$tree" --no-initrd || true
dkms status
modinfo -k "$kernel" "/lib/modules/$kernel/updates/dkms/shopdrv.ko" | head -2 || true
echo 'shopdrv' >/etc/modules-load.d/shopdrv.conf
echo 'options shopdrv debug=0' >/etc/modprobe.d/shopdrv.conf
dkms remove shopdrv/1.0 --all
