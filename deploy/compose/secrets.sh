#!/bin/sh
# Makes what docker-compose.yml reads from .secrets: a password for PostgreSQL, the tokens of the admin
# listeners, and the address under which Temporal's Web UI finds the codec. What is there already stays, so
# it is safe to run again. Delete admin_token and codec.env together to change the token.
set -eu
umask 077
dir=${1:-.secrets}
mkdir -p "$dir"

# The containers read these files as users of their own, so the files are readable and the directory is not.
make_secret() {
	[ -s "$dir/$1" ] && return
	openssl rand -hex 32 | tr -d '\n' >"$dir/$1"
	chmod 444 "$dir/$1"
	echo "made $dir/$1"
}
make_secret postgres_password
make_secret admin_token

if [ ! -s "$dir/codec.env" ]; then
	# The Web UI can't show a token; the key in this path is made of it and opens the codec alone.
	key=$(printf 'grapnel codec' | openssl dgst -sha256 -hmac "$(cat "$dir/admin_token")" | sed 's/^.*= *//' | cut -c1-32)
	echo "TEMPORAL_CODEC_ENDPOINT=http://127.0.0.1:9090/codec/$key" >"$dir/codec.env"
	echo "made $dir/codec.env"
fi
