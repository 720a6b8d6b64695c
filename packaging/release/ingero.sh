#!/bin/sh
# Starts ingero. What the caller tells Node.js does not apply to a program that may run as root (NODE_OPTIONS=--require=...,
# code from NODE_COMPILE_CACHE); lib/ingero.js hands it on to the program that `trace` starts (src/node-environment.ts).
for name in NODE_COMPILE_CACHE NODE_DEBUG NODE_DEBUG_NATIVE NODE_EXTRA_CA_CERTS NODE_ICU_DATA NODE_OPTIONS NODE_PATH \
  NODE_PENDING_DEPRECATION NODE_PRESERVE_SYMLINKS NODE_REDIRECT_WARNINGS NODE_V8_COVERAGE OPENSSL_CONF; do
  eval "[ -z \"\${$name+set}\" ] || export INGERO_KEPT_$name=\"\$$name\""
  unset "$name"
done
self=$(readlink -f "$0")
root=${self%/bin/*}
# A package brings its own Node.js.
node=${INGERO_NODE:-node}
[ ! -x "$root/runtime/node" ] || node=$root/runtime/node
exec "$node" "$root/lib/ingero.js" "$@"
