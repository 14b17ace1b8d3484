#!/usr/bin/env bash
# Brings the images that docker-compose.yml and the Dockerfile name: pulled, or where no registry answers made under
# the same names from Debian's packages, the Go toolchain of this machine, and Temporal's Go modules. An image
# that is there already stays; what these stand for is what they run, not what they weigh.
#
# usage: build.sh DIR, which keeps what is made once.
set -euo pipefail
mkdir -p "$1"
dir=$(realpath "$1")
cd "$(dirname "$0")"
root=$(realpath ../../../..)

here() { docker image inspect "$1" >/dev/null 2>&1; }
named() { sed -n "s|^ *image: \($1:[^ ]*\)\$|\1|p" "$root/docker-compose.yml"; }
context() { rm -rf "$dir/context" && mkdir -p "$dir/context" && cp Dockerfile.* *.sh "$dir/context"; }
build() { # NAME DOCKERFILE
	echo "==> making the image $1"
	DOCKER_BUILDKIT=0 docker build --quiet --tag "$1" --file "$dir/context/$2" "$dir/context" >/dev/null
}

postgres=$(named postgres) nginx=$(named nginx) prometheus=$(named prom/prometheus)
server=$(named temporalio/server) tools=$(named temporalio/admin-tools) ui=$(named temporalio/ui)
golang=$(sed -n 's/^FROM .*\(golang:[^ ]*\) .*$/\1/p' "$root/Dockerfile")

missing=0
for image in "$postgres" "$nginx" "$prometheus" "$server" "$tools" "$ui" "$golang"; do
	here "$image" || { [ $missing = 0 ] && timeout 600 docker pull --quiet "$image"; } || missing=1
done

base=grapnel-e2e-debian:bookworm
if [ $missing = 1 ] && ! here $base; then
	echo "==> making a Debian from packages"
	sources=/etc/apt/sources.list.d/debian.sources
	[ -e "$sources" ] || sources=/etc/apt/sources.list
	mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--include=bash,ca-certificates,netcat-openbsd,nginx-light,postgresql,prometheus,wget \
		bookworm "$dir/debian.tar" "$sources"
	docker import "$dir/debian.tar" $base >/dev/null
	rm "$dir/debian.tar"
fi

here "$postgres" || { context; build "$postgres" Dockerfile.postgres; }
here "$nginx" || { context; build "$nginx" Dockerfile.nginx; }
here "$prometheus" || { context; build "$prometheus" Dockerfile.prometheus; }

here "$server" && here "$tools" && here "$ui" || make --no-print-directory -C "$root" cluster-parts
module() { (cd / && go mod download -json "$1" | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p'); }
if ! here "$server"; then
	context
	cp "$dir/temporal-server" "$dir/context"
	# The official image fills its template in by a tool of its own; the server's own functions take the same
	# words in another order.
	(echo "# enable-template" && sed -E 's/\.Env\.([A-Z_0-9]+)/(env "\1")/g
		s/default (\(env "[A-Z_0-9]+"\)) ("[^"]*"|\$[a-zA-Z_]+)/default \2 \1/g' \
		"$(module go.temporal.io/server@v${server##*:})/docker/config_template.yaml") >"$dir/context/docker.yaml"
	build "$server" Dockerfile.server
fi
if ! here "$tools"; then
	context
	cp -r "$dir/temporal" "$dir/temporal-sql-tool" "$dir/temporal-schema" "$dir/context"
	build "$tools" Dockerfile.tools
fi
if ! here "$ui"; then
	context
	cp "$dir/ui-server" "$dir/context"
	cp "$(module github.com/temporalio/ui-server/v2@v${ui##*:})/config/docker.yaml" "$dir/context"
	build "$ui" Dockerfile.ui
fi

# The Go image carries the modules that go.sum names, because a build in a container reaches no network here.
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
