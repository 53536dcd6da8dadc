#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# node-postgres for the tests: node.sh DIRECTORY. What is there already is used; else Debian's package is
# installed, and where that cannot be (a Node from elsewhere is in its way) npm puts it into DIRECTORY.
# Without either the test is skipped.
set -eu
version=8.23.1
directory=$1

found() {
    NODE_PATH="/usr/share/nodejs:$directory/node_modules" node -e "require('pg')" 2>/dev/null
}

found && exit 0
"$(dirname "$0")/../lib/deps.sh" node-pg 2>/dev/null || true
found && exit 0
mkdir -p "$directory"
command -v npm >/dev/null &&
    timeout 120 npm install --prefix "$directory" --no-save --no-audit --no-fund --ignore-scripts \
        --loglevel=error "pg@$version" >/dev/null 2>&1 || true
found || { echo "goes without: node-postgres"; exit 0; }
