#!/bin/busybox sh
# The first process of a guest: runs the files of /steps one after the other, sends what they leave in /out over the
# console, and turns the machine off.
/bin/busybox mkdir -p /usr/bin /usr/sbin /sbin /proc /sys /dev /tmp /out
/bin/busybox --install -s 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tracefs tracefs /sys/kernel/tracing
mount -t securityfs securityfs /sys/kernel/security
chmod 1777 /tmp
ip link set lo up
export HOME=/root PATH=/opt/ingero/bin:/opt/workload:/usr/sbin:/usr/bin:/sbin:/bin
cd /out || exit 1
for step in /steps/*; do
  name=${step##*/}
  sh "$step" >"$name.stdout" 2>"$name.stderr" </dev/null
  echo $? >"$name.status"
done
echo '@@results'
tar -cz . | base64
echo '@@end'
poweroff -f
