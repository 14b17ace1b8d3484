package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// cliName is the file name of the Temporal CLI, whose `server start-dev` is
// the embedded engine.
const cliName = "temporal"

// ErrNoBinary is returned, wrapped with the places looked at, when the
// Temporal CLI is nowhere to be found.
var ErrNoBinary = errors.New("the Temporal CLI was not found")

// FindBinary gives the path of the Temporal CLI: the explicit one, else that of
// TEMPORAL_CLI, else the first of `temporal` beside our own executable,
// bin/temporal in the working directory, and `temporal` in PATH. One that is
// named must be there; a wrong name is not passed over. The environment is in
// the form of os.Environ.
func FindBinary(explicit string, environ []string) (string, error) {
	env := lookup(environ)
	if explicit != "" {
		return named(explicit, "the configured Temporal CLI")
	}
	if path := env.get("TEMPORAL_CLI"); path != "" {
		return named(path, "TEMPORAL_CLI")
	}
	var places []string
	if self, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(self); err == nil {
			self = resolved
		}
		places = append(places, filepath.Join(filepath.Dir(self), cliName))
	}
	places = append(places, filepath.Join("bin", cliName))
	for _, dir := range filepath.SplitList(env.get("PATH")) {
		if filepath.IsAbs(dir) { // A relative one would run what lies about.
			places = append(places, filepath.Join(dir, cliName))
		}
	}
	for _, place := range places {
		if executable(place) == nil {
			return filepath.Abs(place)
		}
	}
	return "", fmt.Errorf("%w beside this program, in bin/ or in PATH: run `make build`, which builds it into bin/, or name it by TEMPORAL_CLI", ErrNoBinary)
}

func named(path, by string) (string, error) {
	if err := executable(path); err != nil {
		return "", fmt.Errorf("%w: %s is %s: %w; run `make build`, which builds it into bin/", ErrNoBinary, by, path, err)
	}
	return filepath.Abs(path)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory")
	case info.Mode()&0o111 == 0:
		return errors.New("it is not executable")
	}
	return nil
}
