#!/usr/bin/env bash
# Runs docker-compose.yml for real and breaks it: `make e2e-cluster` and `make cluster-scale` call this. What can't be
# had here, an engine, base images or time, is said and is no failure; what is ours must work. Killing, cutting
# networks and filling a disk need root. Reports go to bin/.
#
# usage: run.sh [FLAG…], flags of the test binary as -test.run. CLUSTER_BUDGET is how many minutes it may take, 55.
set -euo pipefail
cd "$(dirname "$0")/../../.."
PATH=$PATH:$PWD/bin # the Temporal CLI, where none is installed

end=$((SECONDS + ${CLUSTER_BUDGET:-55} * 60))
skip() {
	echo "==> SKIPPED: $1, so docker-compose.yml was not run" >&2
	exit 0
}
# Runs a command for as long as the budget allows.
within() {
	local status=0
	[ $((end - SECONDS)) -gt 0 ] || skip "the time is up"
	timeout $((end - SECONDS)) "$@" || status=$?
	[ $status != 124 ] || skip "the time was up during '$*'"
	return $status
}

timeout 60 docker info >/dev/null 2>&1 || skip "no Docker engine answers"
[ -z "$(docker network ls --quiet --filter name=^grapnel_grapnel$)" ] || skip "the cluster of 'make up' has the addresses; 'make down' frees them"
disk=$(docker info --format '{{.DockerRootDir}}')
[ ! -d "$disk" ] || [ "$(df --output=avail -BG "$disk" | tail -1 | tr -dc 0-9)" -ge 15 ] || skip "less than 15 GB are free for images"
within make --no-print-directory cluster-images || skip "images can be neither pulled nor made"
CGO_ENABLED=0 within "$GO" build -trimpath -o bin/cluster/sink ./internal/e2e/cluster/sink
within docker build --quiet --tag grapnel-e2e-sink:local --file internal/e2e/cluster/sink/Dockerfile bin/cluster || skip "the Docker engine can't build"
golang=$(sed -n 's/^FROM .*\(golang:[^ ]*\) .*$/\1/p' Dockerfile)
within docker run --rm "$golang" go version || skip "the Docker engine can't run a container"
within make --no-print-directory image || skip "the image can't be built"
# Another image of the same program is what a roll-out goes to.
within docker build --quiet --tag grapnel:next - <<<$'FROM grapnel:local\nLABEL grapnel.next=1'
CGO_ENABLED=0 within "$GO" test -c -o bin/cluster/cluster.test ./internal/e2e/cluster

[ $((end - SECONDS)) -gt 600 ] || skip "less than ten minutes are left"
cleanup() { $COMPOSE -f docker-compose.yml -f internal/e2e/cluster/compose.yaml --profile monitoring down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true; }
trap cleanup EXIT
export CLUSTER_COMPOSE=$COMPOSE CLUSTER_NEXT_IMAGE=grapnel:next CLUSTER_REPORT=$PWD/bin
(cd internal/e2e/cluster && ../../../bin/cluster/cluster.test -test.v -test.timeout $((end - SECONDS))s "$@")
