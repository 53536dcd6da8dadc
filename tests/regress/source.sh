#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches PostgreSQL's own regression scripts: source.sh DIRECTORY. From Debian's source package
# postgresql-15, with package lists of its own, so that the machine's are not changed. What becomes
# of it: DIRECTORY/regress (scripts, data, schedule) and DIRECTORY/lib (regress.so and the modules
# the scripts load). The machine's PostgreSQL may be newer by a few minor versions than the newest
# source at hand: the scripts are compared with themselves, so that does not matter.
set -eu
umask 022
directory=$1
bindir=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
major=$(basename "$(dirname "$bindir")")
package=postgresql-$major
[ ! -e "$directory/complete" ] || exit 0
command -v apt-get >/dev/null || { echo "no apt-get: the regression scripts cannot be fetched" >&2; exit 1; }
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
work=$(mktemp -d "$directory/fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/sources"

# The machine's own mirrors, as sources of source packages.
. /etc/os-release
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    grep -v '^ *#' | grep -oE 'https?://[^ ]*/debian/?( |$)' | head -1 | tr -d ' ' || true)
mirror=${mirror:-http://deb.debian.org/debian}
cat >"$work/sources/source.list" <<END
deb-src $mirror $VERSION_CODENAME main
deb-src $mirror $VERSION_CODENAME-updates main
deb-src http://deb.debian.org/debian-security $VERSION_CODENAME-security main
END
apt() {
    apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources/" \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User="$(id -un)" "$@"
}
apt update >/dev/null 2>&1 || true
cd "$work"
# The newest that the mirror still has.
versions=$(apt-cache -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/sources/" \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    showsrc "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -Vru)
fetched=
for version in $versions; do
    if apt source --download-only "$package=$version" >/dev/null 2>&1; then
        fetched=$version
        break
    fi
done
[ -n "$fetched" ] || { echo "no source package $package could be fetched" >&2; exit 1; }
tar xf ./*.orig.tar.* --strip-components=3 --wildcards '*/src/test/regress/*'

# regress.so needs the headers of this very server: others may name functions that it has not. The
# package that has them draws in a compiler suite: its files alone will do.
headers=/usr/include/postgresql/$major/server
if [ ! -e "$headers/postgres.h" ]; then
    dev=postgresql-server-dev-$major
    installed=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || true)
    apt-get -qq download "$dev=$installed" 2>/dev/null || apt-get -qq download "$dev" 2>/dev/null ||
        { apt-get -qq update; apt-get -qq download "$dev=$installed" || apt-get -qq download "$dev"; }
    dpkg -x postgresql-server-dev-*.deb headers
    headers=$work/headers$headers
fi
rm -rf "$directory/regress" "$directory/lib"
mkdir "$directory/lib" "$directory/regress"
${CC:-gcc} -O1 -fPIC -shared -w -I"$headers" regress/regress.c -o "$directory/lib/regress.so"
for module in refint autoinc; do
    cp "$(dirname "$bindir")/lib/$module.so" "$directory/lib/"
done
mv regress/sql regress/data regress/parallel_schedule "$directory/regress/"
echo "$fetched" >"$directory/complete"
echo "regression scripts of $package $fetched"
