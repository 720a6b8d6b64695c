#!/bin/sh
# Starts ingero. Node.js options of the caller do not apply to a program that may run as root
# (NODE_OPTIONS=--require=...); lib/ingero.js hands them on to the program that `trace` starts.
if [ -n "${NODE_OPTIONS+set}" ]; then export INGERO_KEPT_NODE_OPTIONS="$NODE_OPTIONS"; fi
if [ -n "${NODE_PATH+set}" ]; then export INGERO_KEPT_NODE_PATH="$NODE_PATH"; fi
unset NODE_OPTIONS NODE_PATH
self=$(readlink -f "$0")
root=${self%/bin/*}
# A package brings its own Node.js.
node=${INGERO_NODE:-node}
[ ! -x "$root/runtime/node" ] || node=$root/runtime/node
exec "$node" "$root/lib/ingero.js" "$@"
