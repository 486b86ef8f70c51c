#!/bin/sh
# Makes a disk of 64 MiB at $1 that boots Debian's kernel: see guest.ts. $2: a directory for its parts.
set -eu
disk=$1
parts=$2
modules=$(ls -d /lib/modules/*-cloud-amd64 | tail -n 1)/kernel/drivers
kernel=/boot/vmlinuz-$(basename "$(dirname "$(dirname "$modules")")")

mkdir -p "$parts/root/bin" "$parts/root/modules"
cp /bin/busybox "$parts/root/bin/"
for module in virtio/virtio_ring virtio/virtio virtio/virtio_pci_legacy_dev \
  virtio/virtio_pci_modern_dev virtio/virtio_pci block/virtio_blk; do
  cp "$modules/$module.ko" "$parts/root/modules/"
  echo "/bin/busybox insmod /modules/${module#*/}.ko"
done > "$parts/insmod"

# The guest: counts its boots in block 0 behind the file system, then writes a block about each second
# and says so, until it is told "off".
{
  cat <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev /proc /sys
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
INIT
  cat "$parts/insmod"
  cat <<'INIT'
exec < /dev/ttyS0 > /dev/ttyS0 2>&1
$b stty raw -echo
while [ ! -b /dev/vda ]; do $b sleep 0.1; done
get() {
  $b dd if=/dev/vda bs=4096 skip=$((12288 + $1)) count=1 iflag=direct 2> /dev/null | $b head -n 1
}
put() {
  { echo "$2"; $b head -c 4095 /dev/zero; } | $b head -c 4096 |
    $b dd of=/dev/vda bs=4096 seek=$((12288 + $1)) conv=notrunc,fsync 2> /dev/null
}
boots=$(get 0)
case $boots in '' | *[!0-9]*) boots=0 ;; esac
boots=$((boots + 1))
put 0 $boots
echo "GUEST UP $boots"
n=0
while :; do
  if read -t 1 word; then
    case $word in off*)
      $b sync
      echo "GUEST OFF $n"
      $b poweroff -f
      ;;
    esac
  fi
  n=$((n + 1))
  put $n "tick $n of boot $boots" && echo "TICK $n"
done
INIT
} > "$parts/root/init"
chmod 755 "$parts/root/init"
(cd "$parts/root" && find . | cpio --quiet -o -H newc) | gzip -1 > "$parts/initrd"

cat > "$parts/syslinux.cfg" <<'CONFIG'
default guest
prompt 0
timeout 1
label guest
 kernel vmlinuz
 append initrd=initrd console=ttyS0 quiet panic=1
CONFIG
truncate -s 64M "$disk"
mkfs.vfat -F 16 -n GUEST "$disk" 49152 > /dev/null
syslinux -i "$disk"
mcopy -i "$disk" "$kernel" ::vmlinuz
mcopy -i "$disk" "$parts/initrd" "$parts/syslinux.cfg" ::
