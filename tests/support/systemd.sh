#!/bin/sh
# Becomes a systemd with namespaces of its own: `systemd.sh DIR GROUP`. It sees the machine read only, but for DIR, and knows the
# units of DIR/units and no others: those of the machine would do their work on the machine, and empty its /tmp for a start.
# What is enabled and masked there is so there alone.
# GROUP is the name of the control group that it takes for the root of all; whoever started us removes it.
set -eu
if [ "${3-}" != inside ]; then
    exec unshare -m -p -f -u -i --mount-proc --propagation private --kill-child -- "$0" "$1" "$2" inside
fi
dir=$1 group=$2

umount -l -R /sys/fs/cgroup 2>/dev/null || true
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/all
mount -t cgroup2 cgroup2 /sys/fs/cgroup/all
mkdir "/sys/fs/cgroup/all/$group"
echo $$ >"/sys/fs/cgroup/all/$group/cgroup.procs"

exec unshare -C -m --propagation private -- /bin/sh -euc '
dir=$1
umount -l -R /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/systemd/system /run/dbus /run/dir /run/dev/pts /run/dev/shm
mount --bind "$dir" /run/dir

# Neither a console nor a terminal of the machine.
for device in null zero full random urandom tty; do
    : >"/run/dev/$device"
    mount --bind "/dev/$device" "/run/dev/$device"
done

# All is read only from here on, the settings of the kernel too; what follows is its own.
awk "{ print \$2 }" /proc/mounts | while read -r place; do
    case $place in /run | /run/* | /proc) ;; *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;; esac
done
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --rbind /run/dev /dev
for place in /tmp /var/tmp /etc/systemd/system; do mount -t tmpfs -o mode=1777 tmpfs "$place"; done
mkdir -p "$dir"
mount --bind /run/dir "$dir"

exec env -i container=minder PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root SYSTEMD_UNIT_PATH="/etc/systemd/system:/run/systemd/system:$dir/units" \
    SYSTEMD_GENERATOR_PATH=/nowhere SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nowhere SYSTEMD_PRESET_PATH=/nowhere \
    /lib/systemd/systemd --system --unit=test.target --log-target=null --show-status=no --dump-core=no
' sh "$dir"
