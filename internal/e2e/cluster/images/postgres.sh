#!/bin/bash
# As the entry point of the official image: makes the database once, then runs the server as postgres.
set -euo pipefail
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown postgres:postgres "$PGDATA"
	chmod 700 "$PGDATA"
	# A tmpfs there gets its mode from Compose only when the container is new; the official image sets it too.
	chown postgres:postgres /var/run/postgresql
	chmod 3775 /var/run/postgresql
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-host=scram-sha-256 --auth-local=trust >/dev/null
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	postgres --single -D "$PGDATA" postgres <<<"CREATE DATABASE \"$POSTGRES_USER\"" >/dev/null
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
