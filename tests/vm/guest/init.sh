#!/bin/busybox sh
# The first program of the guest: loads what 9p needs, takes the host's root (read-only) as its own and
# runs the job that lies in the shared folder. Everything that is written goes to /run, which is a tmpfs.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
while read -r m; do
  $B insmod "/mods/$m.ko" || echo "init: cannot load $m"
done < /mods.early
$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose hostroot /newroot ||
  echo "init: cannot mount the host's root"
$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none vmout /x ||
  echo "init: cannot mount the shared folder"
N=/newroot
$B mount -t proc proc $N/proc
$B mount -t sysfs sys $N/sys
$B mount --bind /dev $N/dev
# says whether the kernel is locked down
$B mount -t securityfs securityfs $N/sys/kernel/security
$B mkdir -p $N/dev/shm $N/dev/pts
$B mount -t tmpfs tmpfs $N/dev/shm
$B mount -t devpts devpts $N/dev/pts
$B mount -t tmpfs tmpfs $N/run
$B mkdir -p $N/run/mods $N/run/tools $N/run/x $N/run/home $N/run/tmp $N/run/deno
$B cp /mods/* $N/run/mods/
$B cp /bin/busybox $N/run/tools/
for f in /tools/*; do [ -f "$f" ] && $B cp "$f" $N/run/tools/; done
$B mount --bind /x $N/run/x
$B ip link set lo up
$B cat > $N/run/start.sh <<'END'
B=/run/tools/busybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/run/home TMPDIR=/run/tmp DENO_DIR=/run/deno DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
/bin/sh /run/x/job.sh > /run/x/job.out 2>&1 < /dev/null
rc=$?
echo $rc > /run/x/job.rc.part
$B mv /run/x/job.rc.part /run/x/job.rc
$B sync
# isa-debug-exit: ends QEMU at once; poweroff is for kernels without /dev/port
[ -c /dev/port ] && printf '\000' | $B dd of=/dev/port bs=1 seek=244 2> /dev/null
$B poweroff -f
END
# switch_root and not chroot: in a chroot a process cannot make user namespaces
$B umount /proc /sys /dev 2> /dev/null
exec $B switch_root $N /bin/sh /run/start.sh
