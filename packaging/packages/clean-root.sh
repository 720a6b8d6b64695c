#!/bin/sh
# Makes a root file system that holds what a minimal Debian has and nothing else: a shell, the core utilities, dpkg and
# the C and C++ libraries. Packages come from apt and are kept in build/cache; --fetch does only that.
# Usage: clean-root.sh DIRECTORY|--fetch
set -eu
root=$1
cache=$(cd "$(dirname "$0")/../.." && pwd)/build/cache/clean-root
packages='libc6 libc-bin libstdc++6 libgcc-s1 gcc-12-base dash coreutils libselinux1 libpcre2-8-0 libacl1 libattr1
  libgmp10 libcrypt1 dpkg tar zlib1g liblzma5 libbz2-1.0 libzstd1 libmd0 base-files gzip diffutils sed'
mkdir -p "$cache"
if [ ! -e "$cache/complete" ]; then
  # shellcheck disable=SC2086
  (cd "$cache" && apt-get -qq -o APT::Sandbox::User=root download $packages)
  touch "$cache/complete"
fi
[ "$root" != --fetch ] || exit 0
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/tmp" "$root/proc" "$root/sys" "$root/dev" "$root/root"
for package in "$cache"/*.deb; do
  dpkg-deb -x "$package" "$root"
  dpkg-deb -f "$package" | sed '/^Package:/a Status: install ok installed'
  echo
done >"$root/var/lib/dpkg/status"
# Each package is owned by itself only: what it contains is of no interest to dpkg here.
sed -n 's/^Package: //p' "$root/var/lib/dpkg/status" | while read -r name; do : >"$root/var/lib/dpkg/info/$name.list"; done
ln -sf dash "$root/bin/sh"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
