#!/usr/bin/env bash
# Makes the images that docker-compose.yml and the Dockerfile name where no registry can be pulled from: under
# the same names, from Debian's packages, the Go toolchain of this machine, and Temporal's Go modules. An image
# that is there already, pulled or made, stays; what these stand for is what they run, not what they weigh.
#
# usage: build.sh DIR, where DIR holds temporal, temporal-server, temporal-sql-tool, temporal-schema
# and ui-server (see `make cluster-images`) and keeps what is made once.
set -euo pipefail
dir=$(realpath "$1")
cd "$(dirname "$0")"
root=$(realpath ../../../..)

here() { docker image inspect "$1" >/dev/null 2>&1; }
context() { rm -rf "$dir/context" && mkdir -p "$dir/context" && cp Dockerfile.* *.sh "$dir/context"; }
build() { # NAME DOCKERFILE
	echo "==> making the image $1"
	DOCKER_BUILDKIT=0 docker build --quiet --tag "$1" --file "$dir/context/$2" "$dir/context" >/dev/null
}

base=grapnel-e2e-debian:bookworm
if ! here $base; then
	echo "==> making a Debian from packages"
	sources=/etc/apt/sources.list.d/debian.sources
	[ -e "$sources" ] || sources=/etc/apt/sources.list
	mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--include=bash,ca-certificates,netcat-openbsd,nginx-light,postgresql,prometheus,wget \
		bookworm "$dir/debian.tar" "$sources"
	docker import "$dir/debian.tar" $base >/dev/null
	rm "$dir/debian.tar"
fi

here postgres:16.14-alpine3.23 || { context; build postgres:16.14-alpine3.23 Dockerfile.postgres; }
here nginx:1.28.2-alpine3.23 || { context; build nginx:1.28.2-alpine3.23 Dockerfile.nginx; }
here prom/prometheus:v3.5.0 || { context; build prom/prometheus:v3.5.0 Dockerfile.prometheus; }

server=temporalio/server:1.29.1
tools=temporalio/admin-tools:1.29.1-tctl-1.18.4-cli-1.5.0
ui=temporalio/ui:2.42.1
module() { (cd / && go mod download -json "$1" | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p'); }
if ! here $server; then
	context
	cp "$dir/temporal-server" "$dir/context"
	# The official image fills its template in by a tool of its own; the server's own functions take the same
	# words in another order.
	(echo "# enable-template" && sed -E 's/\.Env\.([A-Z_0-9]+)/(env "\1")/g
		s/default (\(env "[A-Z_0-9]+"\)) ("[^"]*"|\$[a-zA-Z_]+)/default \2 \1/g' \
		"$(module go.temporal.io/server@v1.29.1)/docker/config_template.yaml") >"$dir/context/docker.yaml"
	build $server Dockerfile.server
fi
if ! here $tools; then
	context
	cp -r "$dir/temporal" "$dir/temporal-sql-tool" "$dir/temporal-schema" "$dir/context"
	build $tools Dockerfile.tools
fi
if ! here $ui; then
	context
	cp "$dir/ui-server" "$dir/context"
	cp "$(module github.com/temporalio/ui-server/v2@v2.42.1)/config/docker.yaml" "$dir/context"
	build $ui Dockerfile.ui
fi

# The Go image carries the modules that go.sum names, because a build in a container reaches no network here.
golang=$(sed -n 's/^FROM .*\(golang:[^ ]*\) .*$/\1/p' "$root/Dockerfile")
sum=$(sha256sum <"$root/go.sum" | cut -c1-12)
if ! here "$golang" || [ "$(docker image inspect -f '{{index .Config.Labels "grapnel.modules"}}' "$golang")" != "$sum" ]; then
	if here "$golang" && [ -z "$(docker image inspect -f '{{index .Config.Labels "grapnel.modules"}}' "$golang")" ]; then
		echo "==> $golang was pulled; it stays"
	else
		context
		cp -r "$(go env GOROOT)" "$dir/context/go"
		(cd "$root" && GOFLAGS=-modcacherw GOPROXY="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)" \
			GOMODCACHE="$dir/context/modcache" go mod download)
		mv "$dir/context/modcache/cache/download" "$dir/context/modules"
		rm -rf "$dir/context/modcache"
		echo "LABEL grapnel.modules=$sum" >>"$dir/context/Dockerfile.golang"
		build "$golang" Dockerfile.golang
	fi
fi
rm -rf "$dir/context"
