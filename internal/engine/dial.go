package engine

import (
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Reconnection is tried at least this often. The SDK's own bound is ten
// seconds, for which a receiver would go on spooling after Temporal is back.
const (
	reconnectFirst = 100 * time.Millisecond
	reconnectMax   = 2 * time.Second
	connectTimeout = 5 * time.Second
)

// DialOptions are what a process adds to the connection's settings. All of it
// may be left out.
type DialOptions struct {
	// Logger hears the SDK; nil drops what it says.
	Logger *slog.Logger
	// Metrics hears the SDK's counters and timers.
	Metrics client.MetricsHandler
	// Interceptors wrap the client's calls, tracing for one.
	Interceptors []interceptor.ClientInterceptor
	// CompressFrom is the size in bytes from which payloads are written
	// compressed; 0 compresses none. Compressed ones are read in any case.
	CompressFrom int
	// GRPC options come after ours, for example to count calls on the wire.
	GRPC []grpc.DialOption
}

// Dial makes a client that connects at its first call and again whenever the
// connection is lost, so that a process boots while Temporal is away. Without
// an address it is the SDK's default, localhost:7233. The caller closes it.
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
		// On this machine or in its network, gzip costs both sides more than the bytes
		// it saves; beyond, where there is TLS, the default of the SDK stays.
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
