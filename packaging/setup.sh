# Set-up shared by demo.sh and test.sh; sourced with the repository root as the working directory.
# shellcheck shell=sh

# have PROGRAM: is it on the PATH? libbpf_here: can a program load libbpf 1.x?
have() { command -v "$1" >/dev/null 2>&1; }
libbpf_here() { { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -q 'libbpf\.so\.1 '; }

# The first Node.js release that runs ingero (package.json, "engines").
NODE_MAJOR=20
node_here() { have npm && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge "$NODE_MAJOR" ]; }

can_apt() { [ "$(id -u)" = 0 ] && have apt-get; }

# apt_install PACKAGE...: fails when this user or system cannot, or a package is not there.
apt_install() {
  can_apt || return 1
  echo "Installing with apt-get: $*" >&2
  apt_run install "$@" && return 0
  # Package lists may be old or missing, as in a container image.
  apt_run update && apt_run install "$@"
}

# -q: apt writes to a log only what matters; what it says is shown when it fails.
apt_run() {
  action=$1
  shift
  [ "$action" = update ] || set -- --no-install-recommends "$@"
  if ! apt_output=$(DEBIAN_FRONTEND=noninteractive apt-get -q -y "$action" "$@" 2>&1); then
    printf '%s\n' "$apt_output" | tail -n 5 >&2
    return 1
  fi
}

# npm packages as package-lock.json pins them. No package of ingero needs an install script.
npm_packages() {
  # npm writes node_modules/.package-lock.json last.
  [ -n "$(find node_modules/.package-lock.json -newer package-lock.json 2>/dev/null)" ] && return 0
  echo "Installing npm packages" >&2
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
}
