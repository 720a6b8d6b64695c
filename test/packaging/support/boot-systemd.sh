#!/bin/sh
# Boots the systemd of this host in namespaces of its own: a copy-on-write view of this host's files, its own processes,
# network and control groups. Nothing of it outlives the process. PACKAGE becomes /usr/lib/ingero, as the .deb and the
# .rpm have it, JOB becomes /opt/job. FOLDER is an empty one to mount on. Usage: boot-systemd.sh FOLDER PACKAGE JOB GROUP
# GROUP: a new directory in the cgroup2 file system.
set -eu
folder=$1 package=$2 job=$3 group=$4
if [ "${5:-}" != inside ]; then
  mkdir "$group"
  echo $$ >"$group/cgroup.procs"
  exec unshare --mount --propagation private --pid --fork --kill-child --cgroup --uts --ipc --net \
    sh "$0" "$folder" "$package" "$job" "$group" inside
fi
mount -t tmpfs -o mode=755 tmpfs "$folder"
root=$folder/root
mkdir "$folder/upper" "$folder/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$root"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t proc proc "$root/proc"
# The settings of the kernel are those of the host as well.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
  : >"$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir -p "$root/usr/lib/ingero" "$root/opt/job" "$root/etc/ingero"
mount --bind "$package" "$root/usr/lib/ingero"
mount --bind "$job" "$root/opt/job"
cp "$package/service/ingero-trace.service" "$root/usr/lib/systemd/system/"
cp "$package/service/sysusers.conf" "$root/usr/lib/sysusers.d/ingero.conf"
# What this host starts at boot, and what touches its kernel.
rm -rf "$root/etc/systemd/system" "$root/var/lib/ingero" "$root/etc/machine-id"
mkdir "$root/etc/systemd/system"
for unit in systemd-sysctl systemd-modules-load systemd-remount-fs systemd-udevd systemd-udev-trigger systemd-random-seed; do
  ln -s /dev/null "$root/etc/systemd/system/$unit.service"
done
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
mkdir "$root/run/host-files"
cd "$root"
pivot_root . run/host-files
umount -l run/host-files
exec env -i container=ingero PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot . /lib/systemd/systemd --system --unit=basic.target --show-status=0
