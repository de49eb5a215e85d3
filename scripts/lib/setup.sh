# Set-up shared by the scripts: what is missing is installed, what is there is left alone. Meant to be sourced.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export TOLLGATE_MODELS=${TOLLGATE_MODELS:-$root/models}

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_packages PACKAGE...: Debian packages, installed if this user may.
need_packages() {
    say "installing $*"
    command -v apt-get >/dev/null || die "please install: $* (there is no apt-get here to do it)"
    local as=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "please install: $* (not root, and there is no sudo)"
        as=(sudo)
    fi
    "${as[@]}" apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    "${as[@]}" apt-get update >/dev/null 2>&1 || die "apt-get update failed"
    "${as[@]}" apt-get install -y --no-install-recommends "$@" >/dev/null || die "could not install $*"
}

# need_command COMMAND PACKAGE: a command, from a Debian package if it is missing.
need_command() {
    command -v "$1" >/dev/null || need_packages "$2"
    command -v "$1" >/dev/null || die "$1 is still missing after installing $2"
}

need_build_tools() {
    command -v cargo >/dev/null || die "cargo is missing: install Rust from https://rustup.rs (tested with 1.95)"
    need_command c++ g++
    need_command cmake cmake
    need_command make make
}

need_python() {
    need_command python3 python3
    python3 -m pip --version >/dev/null 2>&1 || need_packages python3-pip
}

need_embedder() {
    need_python
    "$root/scripts/setup-embedder" "$TOLLGATE_MODELS/all-MiniLM-L6-v2"
}

# need_python_clients: the official clients, in a folder of their own; leaves their path in TOLLGATE_PYTHON.
need_python_clients() {
    need_python
    local wanted="$root/tests/clients/requirements.txt"
    export TOLLGATE_PYTHON="$root/target/python"
    if ! cmp -s "$wanted" "$TOLLGATE_PYTHON/installed.txt"; then
        say "installing the official Python clients"
        rm -rf "$TOLLGATE_PYTHON"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
            --target "$TOLLGATE_PYTHON" -r "$wanted" || die "could not install the Python clients"
        cp "$wanted" "$TOLLGATE_PYTHON/installed.txt"
    fi
}
