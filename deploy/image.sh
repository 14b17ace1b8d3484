#!/usr/bin/env bash
# Makes the container image of a release for several architectures, as one OCI archive, from binaries that are there
# already: neither an engine nor an emulator takes part. It is what the Dockerfile makes, in one layer, and its
# settings are read there. The CA certificates are this machine's; all else is the same bytes each time.
#
# usage: deploy/image.sh ARCHIVE VERSION SECONDS ARCH=BINARY…, with the time of the commit.
set -euo pipefail
archive=$(realpath "$1") version=$2 seconds=$3
shift 3
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
mkdir "$work/blobs"
registry=
cleanup() {
	[ $? = 0 ] || cat "$work/log" >&2
	[ -z "$registry" ] || kill "$registry" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

tool=$(sed -n 's/^CRANE_VERSION *:= *//p' "$root/Makefile")
GOBIN=$work go install "github.com/google/go-containerregistry/cmd/crane@$tool"
crane() { "$work/crane" "$@"; }
# What crane changes lies in a registry, so it is given one for the while.
"$work/crane" registry serve --address 127.0.0.1:0 --disk "$work/blobs" 2>"$work/log" &
registry=$!
for _ in $(seq 300); do
	port=$(sed -n 's/^.*serving on port \([0-9]*\)$/\1/p' "$work/log")
	[ -z "$port" ] || break
	sleep 0.1
done
image=127.0.0.1:${port:?the registry did not start}/grapnel

# What the Dockerfile says of its last stage.
said() { sed -n "s/^$1 //p" "$root/Dockerfile" | tail -1 | tr -d '[]"'; }
pack() { # --create|--append OWNER NAME…
	tar "$1" --file="$work/layer.tar" --directory="$work/tree" --sort=name --format=ustar --mtime="@$seconds" \
		--owner="$2" --group="$2" --numeric-owner --mode=u+rwX,go+rX,go-w "${@:3}"
}

manifests=()
for one in "$@"; do
	arch=${one%%=*}
	rm -rf "$work/tree" && mkdir -p "$work/tree"/{etc/grapnel,etc/ssl/certs,data}
	cp "${one#*=}" "$work/tree/grapnel"
	cp "$root/grapnel.yaml" "$work/tree/etc/grapnel/grapnel.yaml"
	cp /etc/ssl/certs/ca-certificates.crt "$work/tree/etc/ssl/certs/ca-certificates.crt"
	pack --create 0 etc grapnel
	pack --append 65532 data
	crane append --oci-empty-base --new_layer "$work/layer.tar" --new_tag "$image:$arch" >/dev/null 2>>"$work/log"
	crane mutate "$image:$arch" --tag "$image:$arch" --set-platform "linux/$arch" --user "$(said USER)" --env "$(said ENV)" \
		--exposed-ports "$(said EXPOSE)/tcp" --entrypoint "$(said ENTRYPOINT)" \
		--label "org.opencontainers.image.version=$version" >/dev/null 2>>"$work/log"
	manifests+=(--manifest "$image:$arch")
done
crane index append "${manifests[@]}" --tag "$image:all" >/dev/null 2>>"$work/log"
crane pull --format=oci "$image:all" "$work/layout"
tar --create --sort=name --mtime="@$seconds" --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w --directory="$work/layout" --file="$archive" .
