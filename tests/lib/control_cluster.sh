#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A scratch PostgreSQL for the unit tests of proxy/control: control_cluster.sh start|stop|restart_in_background DIR PORT.
# Everything is in DIR, which is removed by stop; its sockets, too: one in DIR and one in DIR/second. Never touches another cluster.
set -eu
action=$1 dir=$2 port=$3
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)")
as() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}
cd /
case $action in
start)
    mkdir -p "$dir/second"
    [ "$(id -u)" != 0 ] || chown postgres "$dir" "$dir/second"
    as "$bin/initdb" -D "$dir/pg" -A trust -U postgres -N >/dev/null
    as sh -c "cat >>'$dir/pg/postgresql.conf'" <<END
port = $port
listen_addresses = ''
unix_socket_directories = '$dir,$dir/second'
wal_level = logical
fsync = off
max_wal_senders = 8
max_replication_slots = 8
END
    as "$bin/pg_ctl" -D "$dir/pg" -l "$dir/log" -w start >/dev/null || { cat "$dir/log" >&2; exit 1; }
    ;;
restart_in_background)
    as "$bin/pg_ctl" -D "$dir/pg" -l "$dir/log" -w -m fast restart >/dev/null 2>&1 &
    ;;
stop)
    as "$bin/pg_ctl" -D "$dir/pg" -m immediate stop >/dev/null 2>&1 || true
    case $dir in /tmp/*) rm -rf "$dir" ;; esac
    ;;
esac
