#!/bin/sh
# Starts ingero. Node.js options of the caller do not apply to a program that may run as root
# (NODE_OPTIONS=--require=..., code from NODE_COMPILE_CACHE); lib/ingero.js hands them on to the program that `trace` starts.
for name in NODE_OPTIONS NODE_PATH NODE_COMPILE_CACHE NODE_V8_COVERAGE; do
  eval "[ -z \"\${$name+set}\" ] || export INGERO_KEPT_$name=\"\$$name\""
  unset "$name"
done
self=$(readlink -f "$0")
root=${self%/bin/*}
# A package brings its own Node.js.
node=${INGERO_NODE:-node}
[ ! -x "$root/runtime/node" ] || node=$root/runtime/node
exec "$node" "$root/lib/ingero.js" "$@"
