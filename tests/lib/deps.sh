#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing, and nothing else: deps.sh PACKAGE...
# A package that is there costs one look; with nothing missing no root is needed. What a package
# would start or create on its own (PostgreSQL's "main" cluster, the pgbouncer service) is held back
# for the time of our installation only, and an existing cluster or service is never touched.
set -eu

missing=""
for package in "$@"; do
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing:$missing (this is not Debian: please install them by hand)" >&2
    exit 1
fi

as_root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "missing:$missing (be root, or install sudo)" >&2; exit 1; }
    as_root=sudo
fi

no_cluster_dir=/etc/postgresql-common/createcluster.d
no_cluster=$no_cluster_dir/pgweir-deps.conf
no_start=/usr/sbin/policy-rc.d
made_no_start=""

restore() {
    $as_root rm -f "$no_cluster"
    $as_root rmdir --ignore-fail-on-non-empty "$no_cluster_dir" 2>/dev/null || true
    [ -z "$made_no_start" ] || $as_root rm -f "$no_start"
}
trap restore EXIT
trap 'exit 130' INT TERM

# PostgreSQL's package reads this file when it decides whether to make a first cluster.
$as_root mkdir -p "$no_cluster_dir"
echo "create_main_cluster = false" | $as_root tee "$no_cluster" >/dev/null
# Services ask this script whether they may start; an existing policy is the machine's own.
if [ ! -e "$no_start" ]; then
    made_no_start=1
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$no_start" >/dev/null
    $as_root chmod 755 "$no_start"
fi

echo "installing:$missing"
install() {
    # shellcheck disable=SC2086  # one word for each package is meant
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        $missing >/dev/null
}
# The package lists may be old or absent: refresh them once, and only when they are needed.
if ! install 2>/dev/null; then
    $as_root apt-get update -qq
    install
fi
