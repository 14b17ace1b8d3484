#!/bin/bash
# As the entry point of the official image: starts the server on the configuration that it fills in from the environment,
# whole or only the services that SERVICES names.
set -euo pipefail
address=$(getent hosts "$(hostname)" | awk '{print $1; exit}')
export BIND_ON_IP=${BIND_ON_IP:-$address}
if [ "$BIND_ON_IP" = 0.0.0.0 ]; then
	export TEMPORAL_BROADCAST_ADDRESS=${TEMPORAL_BROADCAST_ADDRESS:-$address}
fi
services=()
listed=${SERVICES:-}
for name in ${listed//[:,]/ }; do services+=("--service=$name"); done
exec temporal-server --env docker start "${services[@]}"
