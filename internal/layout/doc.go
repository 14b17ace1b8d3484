// Package layout holds no code, only tests of the repository itself: which package may import
// which, where files may stand, how long they are, and whether docker-compose.yml, the proxy and
// the Dockerfile fit together.
package layout
