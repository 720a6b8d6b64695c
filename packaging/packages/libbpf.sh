#!/bin/sh
# Builds libbpf as one shared object: libelf and zlib are linked in, it needs libc alone and runs on glibc 2.28 and
# newer. Sources are Debian's packages (checked by apt), compiled against the C library of Debian 11. Equal inputs
# give equal bytes. What was fetched is kept in build/cache and used again, so that a later build is offline; --fetch
# does only that.
# Usage: packaging/packages/libbpf.sh OUTPUT.so|--fetch x64|arm64
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$1
arch=$2
LIBBPF=1.5.0-3
ELFUTILS=0.192-4
case $arch in
x64) debian=amd64 triplet=x86_64-linux-gnu ;;
arm64) debian=arm64 triplet=aarch64-linux-gnu ;;
*)
  echo "no architecture $arch" >&2
  exit 2
  ;;
esac
# As it is in package lists of this architecture; a cross compiler is Debian's gcc-aarch64-linux-gnu.
cc=$triplet-gcc
[ "$out" = --fetch ] || command -v "$cc" >/dev/null || { echo "No $cc (Debian: gcc-$(echo "$triplet" | tr _ -))." >&2; exit 3; }
mirror=$(sed -nE 's#^(URIs:|deb( \[[^]]*\])?) +(https?://[^ ]+/debian)/?( .*)?$#\3#p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}

cache=$root/build/cache/libbpf-$LIBBPF-$ELFUTILS-$arch
if [ ! -e "$cache/complete" ]; then
  rm -rf "$cache"
  mkdir -p "$cache/lists/partial" "$cache/archives/partial" "$cache/root" "$cache/etc"
  cat >"$cache/etc/debian.sources" <<EOF
Types: deb
URIs: $mirror
Suites: bullseye
Components: main
Architectures: $debian
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
EOF
  touch "$cache/etc/status"
  apt() {
    (cd "$cache" && apt-get -qq -o Dir::Etc::sourcelist="$cache/etc/debian.sources" -o Dir::Etc::sourceparts=/dev/null \
      -o Dir::State::lists="$cache/lists" -o Dir::State::status="$cache/etc/status" -o Dir::Cache::archives="$cache/archives" \
      -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Architecture="$debian" -o APT::Architectures="$debian" \
      -o APT::Sandbox::User=root "$@")
  }
  apt update
  apt download libc6 libc6-dev linux-libc-dev zlib1g zlib1g-dev libcrypt1 libcrypt-dev
  apt source --download-only "libbpf=$LIBBPF" "elfutils=$ELFUTILS"
  for package in "$cache"/*.deb; do dpkg-deb -x "$package" "$cache/root"; done
  rm -rf "$cache/lists" "$cache/archives" "$cache/etc"
  touch "$cache/complete"
fi
[ "$out" != --fetch ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for source in "$cache"/libbpf_*.orig.tar.* "$cache"/elfutils_*.orig.tar.*; do
  case $source in *.asc) ;; *) tar xf "$source" ;; esac
done
sysroot=$cache/root
# Absolute paths would end up in the object.
flags="-O2 -g0 -fPIC -ffile-prefix-map=$work=. -ffile-prefix-map=$sysroot=/"
include="-I$sysroot/usr/include -I$sysroot/usr/include/$triplet"
elf=$work/$(ls -d elfutils-*)
{
  cd "$elf"
  ./configure --quiet --host="$triplet" CC="$cc --sysroot=$sysroot" CFLAGS="$flags" CPPFLAGS="$include" --disable-debuginfod \
    --disable-libdebuginfod --without-bzlib --without-lzma --without-zstd --disable-nls --disable-demangler \
    --disable-symbol-versioning
  make -s -C lib
  make -s -C libelf libelf.a
  cd "$work"/libbpf-*/src
  make -s BUILD_STATIC_ONLY=1 OBJDIR=obj CC="$cc --sysroot=$sysroot" NO_PKG_CONFIG=1 obj/libbpf.a \
    CFLAGS="$flags -fvisibility=hidden -fdata-sections -ffunction-sections $include -I$elf/libelf -I$elf"
} >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
mkdir -p "$(dirname "$out")"
$cc --sysroot="$sysroot" -shared -fPIC -o "$out" -Wl,--whole-archive "$work"/libbpf-*/src/obj/libbpf.a -Wl,--no-whole-archive \
  "$elf/libelf/libelf.a" "$elf/lib/libeu.a" "$sysroot/usr/lib/$triplet/libz.a" -Wl,-soname,libbpf-ingero.so \
  -Wl,--version-script="$here/libbpf.map" -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--build-id=sha1 -s
mkdir -p "$(dirname "$out")/licenses"
cp "$work"/libbpf-*/LICENSE.BSD-2-Clause "$(dirname "$out")/licenses/libbpf.txt"
cp "$elf/COPYING-LGPLV3" "$(dirname "$out")/licenses/libelf-LGPL-3.0.txt"
cp "$elf/COPYING-GPLV2" "$(dirname "$out")/licenses/libelf-GPL-2.0.txt"
cp "$sysroot/usr/share/doc/zlib1g-dev/copyright" "$(dirname "$out")/licenses/zlib.txt"
