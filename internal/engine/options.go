package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Names of the files in the data directory, besides the locks.
const (
	databaseName = "engine.db"
	logName      = "engine.log"
)

// logMax is the size in bytes from which the engine's log is rotated at the next start.
const logMax = 16 << 20

// leftOverGrace is how long a left-over engine may take to stop before it is killed.
const leftOverGrace = 10 * time.Second

// EmbeddedOptions say how to run the embedded engine. Only DataDir is required.
type EmbeddedOptions struct {
	// DataDir holds the database, the log and the locks. It is made if absent.
	DataDir string
	// Binary is the path of the Temporal CLI; empty means to look for it.
	Binary string
	// Namespace to have; empty means DefaultNamespace.
	Namespace string
	// Retention of closed workflows; zero means DefaultRetention.
	Retention time.Duration
	// CodecEndpoint is the codec server by which the Web UI shows compressed payloads, for example
	// http://127.0.0.1:9090/codec; empty means none.
	CodecEndpoint string
	// Port fixes the frontend's port, and the Web UI's, which is 1000 above it. 0 means the ports
	// of the last run on DataDir; a first run tries the usual ones.
	Port int
	// AnyPorts takes free ports without trying the usual 7233 and 8233.
	AnyPorts bool
	// InMemory keeps nothing on disk but the log and the locks; for tests.
	InMemory bool
	// KeepIndexes keeps all indexes of Temporal's visibility table, and makes trimmed ones again.
	// Without it, indexes that cost more than they help are trimmed.
	KeepIndexes bool
	// Stock runs the engine as the Temporal CLI does. Of our settings it has only those that make
	// it durable and lift its limits. It is for comparisons.
	Stock bool
	// Environ is in the form of os.Environ; nil means this process's environment. TEMPORAL_CLI and
	// PATH say where the Temporal CLI is.
	Environ []string
	// Logger takes messages about progress and trouble; nil drops them.
	Logger *slog.Logger

	beside bool          // The engine runs at grapnel's own priority.
	untied bool          // The engine outlives a killed parent, as on systems other than Linux.
	grace  time.Duration // How long a left-over engine may take to stop; zero means leftOverGrace.
	// further arguments come last on the command line, so that they override ours.
	further []string
}

// complete returns the options with their defaults, and makes the data directory. It is an error if
// an option is invalid.
func (o EmbeddedOptions) complete() (EmbeddedOptions, error) {
	if o.DataDir == "" {
		return o, errors.New("the embedded engine needs a data directory: set GRAPNEL_DATA_DIR")
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return o, fmt.Errorf("find data directory %s: %w", o.DataDir, err)
	}
	o.DataDir = dir
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.grace == 0 {
		o.grace = leftOverGrace
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Binary, err = FindBinary(o.Binary, o.Environ); err != nil {
		return o, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return o, fmt.Errorf("make the data directory: %w", err)
	}
	return o, nil
}

// arguments returns the engine's command line. The process runs in the data directory and gets the
// database by its bare name, because SQLite reads `?`, `#` and `%` in a path as parts of a URI. The
// engine does not read the user's own configuration file of the Temporal CLI.
func (o EmbeddedOptions) arguments(p ports) []string {
	args := []string{
		"server", "start-dev",
		"--env-file", os.DevNull, "--disable-config-file", "--disable-config-env",
		"--ip", loopback, "--port", strconv.Itoa(p.frontend),
		"--ui-ip", p.uiIP, "--ui-port", strconv.Itoa(p.ui),
		"--http-port", strconv.Itoa(p.http), "--metrics-port", strconv.Itoa(p.metrics),
		"--namespace", o.Namespace,
		"--log-level", "warn", "--color", "never",
	}
	for _, setting := range dynamicConfig(o.Stock) {
		args = append(args, "--dynamic-config-value", setting)
	}
	types := SearchAttributes()
	for _, name := range attributeNames() {
		args = append(args, "--search-attribute", name+"="+types[name].String())
	}
	if o.CodecEndpoint != "" {
		args = append(args, "--ui-codec-endpoint", o.CodecEndpoint)
	}
	args = append(args, o.further...)
	if o.InMemory {
		return args
	}
	return append(args, "--db-filename", databaseName,
		"--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=full")
}

// environ returns the engine's environment: what a Go program on this machine may need, without
// grapnel's secrets and without TEMPORAL_ variables, which are about another Temporal.
func (o EmbeddedOptions) environ() []string {
	var kept []string
	for _, variable := range o.Environ {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "HOME", "PATH", "TMPDIR", "TZ", "LANG", "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GODEBUG":
			kept = append(kept, variable)
		}
	}
	return kept
}

// engineNice is the engine's niceness above grapnel's. If both want the processor, the receiver
// answers its senders first: events that it spools meanwhile are as durable, and the engine gets
// the time between requests. An engine in memory serves tests, which wait for it, so it is not
// slowed.
const engineNice = 10

func (o EmbeddedOptions) nice() int {
	if o.Stock || o.InMemory || o.beside {
		return 0
	}
	return engineNice
}

func (o EmbeddedOptions) logFile() string { return filepath.Join(o.DataDir, logName) }

// rotateLog renames a large log, over the one renamed before.
func (o EmbeddedOptions) rotateLog() error {
	info, err := os.Stat(o.logFile())
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < logMax:
		return nil
	case err == nil:
		err = os.Rename(o.logFile(), o.logFile()+".1")
	}
	if err != nil {
		return fmt.Errorf("set the engine's log aside: %w", err)
	}
	return nil
}

// cliName is the file name of the Temporal CLI, whose `server start-dev` is
// the embedded engine.
const cliName = "temporal"

// ErrNoBinary says that the Temporal CLI was not found. It is wrapped in an error that names the
// places and says what to do.
var ErrNoBinary = errors.New("the Temporal CLI was not found")

// FindBinary returns the absolute path of the Temporal CLI: the explicit one, else that of
// TEMPORAL_CLI, else the first of `temporal` beside our own executable, bin/temporal in the working
// directory, and `temporal` in PATH. If explicit or TEMPORAL_CLI names a file that is not an
// executable, that is an error. environ is in the form of os.Environ. The error wraps ErrNoBinary.
func FindBinary(explicit string, environ []string) (string, error) {
	env := environment(environ)
	if explicit != "" {
		return checkedCommand(explicit, "the configured Temporal CLI")
	}
	if path := env.get("TEMPORAL_CLI"); path != "" {
		return checkedCommand(path, "TEMPORAL_CLI")
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
		if filepath.IsAbs(dir) { // A relative one would run whatever is in the working directory.
			places = append(places, filepath.Join(dir, cliName))
		}
	}
	for _, place := range places {
		if checkExecutable(place) == nil {
			return filepath.Abs(place)
		}
	}
	return "", fmt.Errorf("%w beside this program, in bin/ or in PATH: run `make build`, which builds it into bin/, or name it by TEMPORAL_CLI", ErrNoBinary)
}

func checkedCommand(path, by string) (string, error) {
	if err := checkExecutable(path); err != nil {
		return "", fmt.Errorf("%w: %s is %s: %w; run `make build`, which builds it into bin/", ErrNoBinary, by, path, err)
	}
	return filepath.Abs(path)
}

func checkExecutable(path string) error {
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
