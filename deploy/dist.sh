#!/usr/bin/env bash
# Makes what a release consists of, in dist/: for each platform an archive with grapnel, the Temporal CLI (so that
# `grapnel up` needs no compiler), grapnel.yaml and the README; beside it an SBOM; of the platforms of Linux the
# container image as an OCI archive; checksums of all. The same commit gives the same bytes on any machine: paths, times
# and owners are taken out. (The image holds the machine's CA certificates.)
#
# usage: deploy/dist.sh [PLATFORM…], as linux/amd64; all four without one.
set -euo pipefail
cd "$(dirname "$0")/.."

platforms=("$@")
[ $# -gt 0 ] || platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64)
version=$(git describe --tags --always --dirty)
commit=$(git rev-parse HEAD)
seconds=$(git log -1 --format=%ct)
date=$(date --utc --date="@$seconds" +%Y-%m-%dT%H:%M:%SZ)
cli=$(sed -n 's/^TEMPORAL_CLI_VERSION *:= *//p' Makefile)
sbom=$(sed -n 's/^CYCLONEDX_VERSION *:= *//p' Makefile)
binaries=$(mktemp -d)
trap 'rm -rf "$binaries"' EXIT

# The Temporal CLI is built in a module of its own: it is no dependency of ours.
build_cli() { # FILE
	local module
	module=$(mktemp -d)
	(cd "$module" && go mod init cli >/dev/null 2>&1 && go get "github.com/temporalio/cli/cmd/temporal@$cli" >/dev/null 2>&1 &&
		CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$1" github.com/temporalio/cli/cmd/temporal)
	rm -rf "$module"
}

rm -rf dist
images=()
for platform in "${platforms[@]}"; do
	export GOOS=${platform%/*} GOARCH=${platform#*/}
	name=grapnel_${version}_${GOOS}_${GOARCH}
	dir=$PWD/dist/$name
	mkdir -p "$dir"
	echo "==> $name"
	CGO_ENABLED=0 go build -trimpath -buildvcs=false \
		-ldflags="-s -w -buildid= -X github.com/grapnel/grapnel/internal/app.version=$version -X github.com/grapnel/grapnel/internal/app.commit=$commit -X github.com/grapnel/grapnel/internal/app.date=$date" \
		-o "$dir/grapnel" ./cmd/grapnel
	build_cli "$dir/temporal"
	cp grapnel.yaml README.md LICENSE "$dir"
	tar --create --sort=name --mtime="@$seconds" --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w \
		--directory=dist "$name" | gzip --no-name >"dist/$name.tar.gz"
	if [ "$GOOS" = linux ]; then
		cp "$dir/grapnel" "$binaries/$GOARCH"
		images+=("$GOARCH=$binaries/$GOARCH")
	fi
	unset GOOS GOARCH
	# What the binary itself says that it was made of; the time of day is taken out as elsewhere. It names the hash of
	# the tool, which must not depend on the flags that the environment gives.
	GOFLAGS=-trimpath go run "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$sbom" bin -json -noserial -version "$version" "$dir/grapnel" |
		sed "s/\"timestamp\": \"[^\"]*\"/\"timestamp\": \"$date\"/" >"dist/$name.sbom.json"
	rm -r "$dir"
done
if [ ${#images[@]} -gt 0 ]; then
	echo "==> the image for ${images[*]%%=*}"
	deploy/image.sh "dist/grapnel_${version}_image.tar" "$version" "$seconds" "${images[@]}"
fi
(cd dist && sha256sum -- * >SHA256SUMS)
ls -l dist
