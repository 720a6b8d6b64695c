#!/bin/sh
# Builds the workload: sh test/workload/build.sh [DIRECTORY]. Needs a C compiler and nothing else; builds
# only what is older than its sources. Prints nothing but errors.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../build/workload}
mkdir -p "$out/lib"
out=$(cd "$out" && pwd)
cc=${CC:-$(command -v cc || command -v gcc)}

flags="-std=gnu11 -O2 -g -Wall -Wextra -Werror -pthread -I$here/include"
# Entries have to begin as those of the real libraries do: with a push, not with endbr64, and with nothing
# moved before it.
entries="-fPIC -fvisibility=hidden -ftls-model=initial-exec -fno-omit-frame-pointer -fno-shrink-wrap -fno-schedule-insns2"
case $($cc -dumpmachine) in
x86_64*) entries="$entries -fcf-protection=none" ;;
esac

# stale TARGET SOURCE...: is the target missing or older than one of them?
stale() {
  target=$1
  shift
  [ -e "$target" ] || return 0
  [ -n "$(find "$@" "$here/include" "$here/build.sh" -type f -newer "$target" | head -n 1)" ]
}

# Each file is made under another name and moved: one that runs, or that others build too, is never half new.
link() {
  target=$1
  shift
  $cc "$@" -o "$target.$$"
  mv -f "$target.$$" "$target"
}

if stale "$out/lib/libcuda.so.1" "$here/cuda"; then
  # shellcheck disable=SC2086
  link "$out/lib/libcuda.so.1" $flags $entries -shared -Wl,-soname,libcuda.so.1 -Wl,--build-id=sha1 \
    -Wl,-Bsymbolic-functions -Wl,--version-script="$here/cuda/libcuda.map" "$here"/cuda/*.c -ldl
fi

if stale "$out/lib/libcudart.so.13" "$here/cudart"; then
  # shellcheck disable=SC2086
  link "$out/lib/libcudart.so.13" $flags $entries -shared -Wl,-soname,libcudart.so.13 -Wl,--build-id=sha1 \
    -Wl,-Bsymbolic-functions -Wl,--version-script="$here/cudart/libcudart.map" \
    -Wl,-rpath,'$ORIGIN' -Wl,--enable-new-dtags "$here"/cudart/*.c -ldl
fi

# RUNPATH, not RPATH: LD_LIBRARY_PATH can put the real library in the stub's place.
if stale "$out/gpu-scenarios" "$here/gpu-scenarios" "$out/lib/libcudart.so.13"; then
  # shellcheck disable=SC2086
  link "$out/gpu-scenarios" $flags -Wl,--build-id=sha1 -Wl,-rpath,'$ORIGIN/lib' -Wl,--enable-new-dtags \
    "$here"/gpu-scenarios/*.c "$out/lib/libcudart.so.13"
fi

# The same program with the runtime linked in, as nvcc does by default: its functions are in .symtab only.
if stale "$out/gpu-scenarios-static" "$here/gpu-scenarios" "$here/cudart"; then
  # shellcheck disable=SC2086
  link "$out/gpu-scenarios-static" $flags $entries -Wl,--build-id=sha1 -Wl,-rpath,'$ORIGIN/lib' \
    -Wl,--enable-new-dtags "$here"/gpu-scenarios/*.c "$here"/cudart/*.c -ldl
fi

if stale "$out/lib/libprobe_target.so" "$here/probe-target"; then
  # shellcheck disable=SC2086
  link "$out/lib/libprobe_target.so" $flags $entries -shared -Wl,-soname,libprobe_target.so -Wl,--build-id=sha1 \
    -Wl,-Bsymbolic-functions "$here/probe-target/library.c" "$here/probe-target/entries.c"
fi

if stale "$out/probe-target" "$here/probe-target" "$out/lib/libprobe_target.so"; then
  # shellcheck disable=SC2086
  link "$out/probe-target" $flags -Wl,--build-id=sha1 -Wl,-rpath,'$ORIGIN/lib' -Wl,--enable-new-dtags \
    "$here/probe-target/main.c" "$out/lib/libprobe_target.so"
fi
