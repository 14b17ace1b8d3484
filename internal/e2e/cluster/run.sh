#!/usr/bin/env bash
# Runs docker-compose.yml for real and breaks it: `make e2e-cluster` and `make cluster-scale` call this. What can't be
# had here, an engine, base images or time, is said and is no failure; what is ours must work. Killing, cutting
# networks and filling a disk need root. Reports go to bin/.
#
# usage: run.sh [-test.run PATTERN]. CLUSTER_BUDGET is how many minutes it may take, 55. CLUSTER_PREVIOUS is the
# commit or tag that is rolled out from: the newest tag, or else 30 commits ago.
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
# Two runs at once would take each other's cluster down.
if command -v flock >/dev/null; then
	exec 9>"${TMPDIR:-/tmp}/grapnel-e2e.lock"
	flock --nonblock 9 || skip "another run is under way"
fi
[ -z "$(docker network ls --quiet --filter name=^grapnel_grapnel$)" ] || skip "the cluster of 'make up' has the addresses; 'make down' frees them"
disk=$(docker info --format '{{.DockerRootDir}}')
[ ! -d "$disk" ] || [ "$(df --output=avail -BG "$disk" | tail -1 | tr -dc 0-9)" -ge 15 ] || skip "less than 15 GB are free for images"
within make --no-print-directory cluster-images || skip "images can be neither pulled nor made"
deploy/compose/secrets.sh || skip "the secrets can't be made (openssl)"

# What the engine of this machine can do is tried without anything of ours, so that what fails later is our fault.
compose=($COMPOSE -f docker-compose.yml -f internal/e2e/cluster/compose.yaml)
cleanup() { "${compose[@]}" --profile monitoring down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true; }
trap cleanup EXIT
golang=$(sed -n 's/^FROM .*\(golang:[^ ]*\) .*$/\1/p' Dockerfile)
export CLUSTER_GOLANG=$golang
within docker run --rm "$golang" go version || skip "the Docker engine can't run a container"
within "${compose[@]}" build --quiet sink || skip "the Docker engine can't build"
within "${compose[@]}" up --detach --no-build sink || skip "the Docker engine can't run a service as the file has it"
within "${compose[@]}" run --rm --no-deps -T --entrypoint wget postgresql -q -O /dev/null http://sink:8000/got/nothing ||
	skip "services of the file don't reach each other on this Docker engine"
(: <"/dev/tcp/${CLUSTER_ADDRESS:-127.77.30.1}/18000") || skip "ports that the Docker engine publishes can't be reached"
cleanup

if ! within make --no-print-directory image; then
	within docker run --rm --volume "$PWD:/src:ro" --workdir /src "$golang" go mod download || skip "a container can't download modules"
	echo "==> FAILED: the image can't be built" >&2
	exit 1
fi
CGO_ENABLED=0 within "$GO" test -c -o bin/cluster/cluster.test ./internal/e2e/cluster

# The image of an earlier version, made as that version made it.
previous_image() {
	local from=bin/cluster/previous commit
	commit=$(git rev-parse --quiet --verify "${CLUSTER_PREVIOUS:-$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null || echo HEAD~30)}^{commit}") || return 1
	rm -rf $from && mkdir -p $from && git archive "$commit" | tar -x -C $from || return 1
	(cd $from && deploy/compose/secrets.sh >/dev/null && GRAPNEL_IMAGE=grapnel:previous \
		GRAPNEL_VERSION=$(git describe --tags --always "$commit") GRAPNEL_COMMIT=$commit GRAPNEL_DATE=$(git log -1 --format=%cI "$commit") \
		timeout $((end - SECONDS)) $COMPOSE build setup) || return 1
	rm -rf $from
}
if bin/cluster/cluster.test -test.list "${2:-.}" | grep --quiet NeighbouringVersions; then
	if previous_image; then
		export CLUSTER_PREVIOUS_IMAGE=grapnel:previous
	else
		echo "==> SKIPPED: no image of an earlier version can be made, so none is rolled out from" >&2
	fi
fi

[ $((end - SECONDS)) -gt 600 ] || skip "less than ten minutes are left"
export CLUSTER_COMPOSE=$COMPOSE CLUSTER_REPORT=$PWD/bin
(cd internal/e2e/cluster && ../../../bin/cluster/cluster.test -test.v -test.timeout $((end - SECONDS))s "$@")
