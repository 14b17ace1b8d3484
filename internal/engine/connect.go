// Package engine connects grapnel to Temporal: it finds out where Temporal is and dials it lazily;
// it makes the namespace and the search attributes that grapnel needs; and where no Temporal is
// configured, it runs one as a child process, the embedded engine.
package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// DefaultNamespace is the namespace used where none is configured.
const DefaultNamespace = "default"

// Settings say where Temporal is and who we are there. Secrets are behind a pointer, so that
// printing Settings never shows them.
type Settings struct {
	// Address is Temporal's host:port or gRPC target. It is empty if none is configured; the
	// embedded engine is used then.
	Address string
	// Namespace is never empty.
	Namespace string
	// TLS tells whether the connection is encrypted.
	TLS bool
	// APIKey tells whether an API key is set. The key itself is in options.
	APIKey bool
	// UI is the address of the embedded engine's Web UI; empty for another Temporal.
	UI string

	options *client.Options // Nil for the embedded engine.
}

// Configured tells whether the environment or a file gives an address. If not, `grapnel up` runs
// the embedded engine.
func (s Settings) Configured() bool { return s.Address != "" }

// Resolve reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS,
// TEMPORAL_TLS_* and TEMPORAL_GRPC_META_* through the SDK's own envconfig. It reads envconfig's
// file only if TEMPORAL_CONFIG_FILE or TEMPORAL_PROFILE is set, so that a file made for other tools
// does not move grapnel to another cluster. environ is in the form of os.Environ. Every error names
// the variable to correct.
func Resolve(environ []string) (Settings, error) {
	env := environment(environ)
	useFile := env.get("TEMPORAL_CONFIG_FILE") != "" || env.get("TEMPORAL_PROFILE") != ""
	if err := env.check(); err != nil {
		return Settings{}, err
	}
	profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{
		DisableFile: !useFile,
		EnvLookup:   env,
	})
	if err != nil {
		return Settings{}, fmt.Errorf("read the file that TEMPORAL_CONFIG_FILE and TEMPORAL_PROFILE name: %w", err)
	}
	if err := checkAddress(profile.Address); err != nil {
		return Settings{}, err
	}
	options, err := profile.ToClientOptions(envconfig.ToClientOptionsRequest{})
	if err != nil {
		return Settings{}, tlsFault(err)
	}
	if options.Namespace == "" {
		options.Namespace = DefaultNamespace
	}
	s := Settings{
		Address:   options.HostPort,
		Namespace: options.Namespace,
		TLS:       options.ConnectionOptions.TLS != nil,
		APIKey:    profile.APIKey != "",
		options:   &options,
	}
	return s, s.checkEmbedded()
}

// checkEmbedded refuses credentials without an address. If they were ignored, somebody who forgot
// TEMPORAL_ADDRESS would get an empty embedded engine instead of their cluster.
func (s Settings) checkEmbedded() error {
	if s.Configured() {
		return nil
	}
	switch {
	case s.APIKey:
		return errors.New("TEMPORAL_API_KEY is set but TEMPORAL_ADDRESS is not: set the address that the key is for, or unset the key to use the embedded engine")
	case s.TLS:
		return errors.New("TEMPORAL_TLS or a TEMPORAL_TLS_* variable is set but TEMPORAL_ADDRESS is not: set the address, or unset them to use the embedded engine, which has no TLS")
	}
	return nil
}

func checkAddress(address string) error {
	if address == "" {
		return nil
	}
	scheme, _, found := strings.Cut(address, "://")
	if found && (scheme == "http" || scheme == "https") {
		return fmt.Errorf("TEMPORAL_ADDRESS %q is a web address: give host:port of Temporal's gRPC frontend, for example localhost:7233", address)
	}
	if found || strings.HasPrefix(address, "unix:") {
		return nil // A gRPC target such as dns:///temporal:7233.
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return fmt.Errorf("TEMPORAL_ADDRESS %q is not host:port, for example localhost:7233", address)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("TEMPORAL_ADDRESS %q has no port between 1 and 65535", address)
	}
	return nil
}

// tlsFault adds the names of the variables to an error of envconfig, which mentions keys and
// certificates without them.
func tlsFault(err error) error {
	text := err.Error()
	names := "TEMPORAL_TLS_*"
	switch {
	case strings.Contains(text, "server CA"):
		names = "TEMPORAL_TLS_SERVER_CA_CERT_PATH or TEMPORAL_TLS_SERVER_CA_CERT_DATA"
	case strings.Contains(text, "path with data"):
		names = "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_CERT_DATA (or _KEY_)"
	case strings.Contains(text, "key data"):
		names = "TEMPORAL_TLS_CLIENT_CERT_DATA and TEMPORAL_TLS_CLIENT_KEY_DATA"
	case strings.Contains(text, "key path"):
		names = "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"
	}
	return fmt.Errorf("%s: %w", names, err)
}

// environment is in the form of os.Environ. It implements envconfig.EnvLookup.
type environment []string

// Environ returns all variables.
func (l environment) Environ() []string { return l }

// LookupEnv returns the last value of a name, which is the one that a process started with this
// environment sees.
func (l environment) LookupEnv(name string) (string, bool) {
	for _, entry := range slices.Backward(l) {
		if key, value, ok := strings.Cut(entry, "="); ok && key == name {
			return value, true
		}
	}
	return "", false
}

func (l environment) get(name string) string {
	value, _ := l.LookupEnv(name)
	return value
}

// check refuses what envconfig would silently ignore: a file that does not exist, and a switch that
// is neither true nor false.
func (l environment) check() error {
	if file := l.get("TEMPORAL_CONFIG_FILE"); file != "" {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("TEMPORAL_CONFIG_FILE cannot be read: %w", err)
		}
	}
	for _, name := range []string{"TEMPORAL_TLS", "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION"} {
		switch strings.ToLower(l.get(name)) {
		case "", "0", "1", "true", "false":
		default:
			return fmt.Errorf("%s is %q: it must be true or false", name, l.get(name))
		}
	}
	return nil
}

// Delays between attempts to connect. The SDK's own longest delay is ten seconds, for which a
// receiver would go on spooling after Temporal is back.
const (
	reconnectFirst = 100 * time.Millisecond
	reconnectMax   = 2 * time.Second
	connectTimeout = 5 * time.Second
)

// DialOptions are what a process adds to Settings. All of them are optional.
type DialOptions struct {
	// Logger takes the SDK's log; nil drops it.
	Logger *slog.Logger
	// Metrics takes the SDK's counters and timers.
	Metrics client.MetricsHandler
	// Interceptors wrap the client's calls, for tracing.
	Interceptors []interceptor.ClientInterceptor
	// CompressFrom is the size in bytes from which payloads are compressed; see NewCodec.
	CompressFrom int
	// GRPC options come after ours, for example to count calls on the wire.
	GRPC []grpc.DialOption
}

// Dial makes a client that connects at its first call, and again whenever the connection is lost,
// so that a process can start while Temporal is away. An empty address means the SDK's default,
// localhost:7233. The caller closes the client.
func Dial(s Settings, o DialOptions) (client.Client, error) {
	var options client.Options
	if s.options != nil {
		options = *s.options
	}
	options.HostPort, options.Namespace = s.Address, s.Namespace
	options.MetricsHandler = o.Metrics
	options.Interceptors = o.Interceptors
	options.DataConverter = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), NewCodec(o.CompressFrom))
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	options.Logger = sdklog.NewStructuredLogger(logger)
	if !s.TLS && !s.APIKey {
		// On this machine or in its network, gzip costs both sides more than the saved bytes are
		// worth. With TLS Temporal is farther away, and the SDK's default stays.
		options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	options.ConnectionOptions.DialOptions = append([]grpc.DialOption{reconnect(reconnectMax)}, o.GRPC...)
	c, err := client.NewLazyClient(options)
	if err != nil {
		return nil, fmt.Errorf("make a Temporal client for %s: %w", s.Address, err)
	}
	return c, nil
}

func reconnect(most time.Duration) grpc.DialOption {
	return grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{
			BaseDelay:  reconnectFirst,
			Multiplier: backoff.DefaultConfig.Multiplier,
			Jitter:     backoff.DefaultConfig.Jitter,
			MaxDelay:   most,
		},
		MinConnectTimeout: connectTimeout,
	})
}
