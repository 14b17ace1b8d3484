// Package cluster runs docker-compose.yml for real and breaks it: an operator's day through the
// proxy, and faults of hosts and networks under load. Its tests need a Docker engine; `make
// e2e-cluster` builds what they run and makes the images that can't be pulled.
package cluster
