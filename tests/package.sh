#!/usr/bin/env bash
# Installs, upgrades, removes and purges the Debian package below a folder of its own; nothing of this machine changes.
#
#   tests/package.sh            packs the release binary if there is one, else the debug binary
#   tests/package.sh FILE.deb   a package that is built already
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
there() { for file; do [ -e "$root$file" ] || fail "$file is missing"; done; }
gone() { for file; do [ ! -e "$root$file" ] || fail "$file is still there"; done; }

# pack VERSION: a package of that version, from a binary that is built already.
pack() {
    local profile=(--profile dev)
    [ ! -x "${CARGO_TARGET_DIR:-target}/release/tollgate" ] || profile=()
    scripts/package --no-build --no-strip --fast "${profile[@]}" --deb-version "$1" --output "$work/$1.deb" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; fail "cargo deb"; }
}

# d ARGUMENT...: dpkg on the folder. Its scripts run outside of it, for there is no shell inside.
d() {
    dpkg --root="$root" --force-script-chrootless --force-depends --force-not-root --log="$work/dpkg.log" "$@" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; fail "dpkg $*"; }
}

if [ $# -gt 0 ]; then
    first=$1 second=$1
else
    pack 1.0.0-1
    pack 1.0.1-1
    first=$work/1.0.0-1.deb second=$work/1.0.1-1.deb
fi
mkdir -p "$root"/{etc,var/lib/dpkg/updates,var/lib/dpkg/info}
touch "$root"/var/lib/dpkg/{status,available} "$root"/etc/{passwd,group,shadow,gshadow}

d --install "$first"
there /usr/bin/tollgate /usr/lib/systemd/system/tollgate.service /etc/tollgate/tollgate.yaml \
    /etc/logrotate.d/tollgate /var/lib/tollgate /var/log/tollgate /usr/share/doc/tollgate/tollgate.yaml
grep -q '^tollgate:' "$root/etc/passwd" || fail "there is no user"
user=$(sed -n 's/^tollgate:[^:]*:\([0-9]*\):.*/\1/p' "$root/etc/passwd")
[ "$(stat -c %u:%a "$root/var/log/tollgate")" = "$user:750" ] || fail "the log folder is not the user's"
[ "$(stat -c %u:%a "$root/etc/tollgate/tollgate.yaml")" = 0:640 ] || fail "the configuration is open to all"
"$root/usr/bin/tollgate" check --config "$root/etc/tollgate/tollgate.yaml" >/dev/null || fail "the configuration is refused"
# With --force-depends dpkg does not look: the package must name what it needs itself.
dpkg-deb --field "$first" Depends | grep -q libc6 || fail "the package does not name its libraries"

echo '# mine' >>"$root/etc/tollgate/tollgate.yaml"
touch "$root/var/lib/tollgate/state" "$root/var/log/tollgate/access.log"
d --force-confdef --force-confold --install "$second"
grep -q '^# mine' "$root/etc/tollgate/tollgate.yaml" || fail "the upgrade lost an edited configuration"
[ "$(stat -c %a "$root/etc/tollgate/tollgate.yaml")" = 640 ] || fail "the upgrade opened the configuration"

d --remove tollgate
gone /usr/bin/tollgate /usr/lib/systemd/system/tollgate.service
grep -q '^# mine' "$root/etc/tollgate/tollgate.yaml" || fail "removing took the configuration"
there /var/lib/tollgate/state

d --purge tollgate
gone /etc/tollgate /etc/logrotate.d/tollgate /var/lib/tollgate /var/log/tollgate /usr/share/doc/tollgate
grep -q tollgate "$root/etc/passwd" "$root/etc/group" && fail "the user stayed"
left=$(find "$root" -name '*tollgate*' ! -path "$root/var/lib/dpkg/*" ! -path "$root/var/log/*")
[ -z "$left" ] || fail "left behind: $left"
echo "package: installed, upgraded, removed, purged"
