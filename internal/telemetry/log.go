// Package telemetry is how grapnel speaks of itself: its log, its metrics, and
// the figures of its health.
//
// The log has one line per event and outcome. No line holds a body, a secret or
// a signature.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"

	"github.com/mattn/go-isatty"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// The formats of the log.
const (
	// FormatConsole is for people.
	FormatConsole = "console"
	// FormatJSON is one object per line.
	FormatJSON = "json"
	// FormatAuto is for people on a terminal, and JSON elsewhere.
	FormatAuto = "auto"
)

// NewLogger makes a logger that writes to w. The level is debug, info, warn or
// error, empty is info; the format is auto, console or json, empty is auto.
func NewLogger(level, format string, w io.Writer) (*zap.Logger, error) {
	l := zapcore.InfoLevel
	if level != "" {
		var err error
		if l, err = zapcore.ParseLevel(level); err != nil || l > zapcore.ErrorLevel {
			return nil, fmt.Errorf("log level %q is not known, use debug, info, warn or error", level)
		}
	}
	if format == FormatAuto || format == "" {
		format = formatFor(w)
	}
	enc, err := encoder(format)
	if err != nil {
		return nil, err
	}
	return zap.New(zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), l)), nil
}

func formatFor(w io.Writer) string {
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		return FormatConsole
	}
	return FormatJSON
}

func encoder(format string) (zapcore.Encoder, error) {
	c := zap.NewProductionEncoderConfig()
	c.TimeKey, c.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	c.EncodeDuration = zapcore.StringDurationEncoder
	switch format {
	case FormatJSON:
		return zapcore.NewJSONEncoder(c), nil
	case FormatConsole:
		c.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02 15:04:05.000")
		c.EncodeLevel = zapcore.CapitalLevelEncoder
		return zapcore.NewConsoleEncoder(c), nil
	default:
		return nil, fmt.Errorf("log format %q is not known, use auto, console or json", format)
	}
}

// NewSlog is the logger for packages that speak slog. It writes no stacks:
// where one helps, the dead letter has it.
func NewSlog(l *zap.Logger) *slog.Logger {
	return slog.New(zapslog.NewHandler(l.Core(), zapslog.WithName(l.Name()), zapslog.AddStacktraceAt(slog.Level(math.MaxInt))))
}

// NewSDKSlog is the logger for the Temporal SDK. Of an activity that has failed the SDK
// writes an error; such an attempt is nothing unforeseen, and has a line of ours.
func NewSDKSlog(l *zap.Logger) *slog.Logger {
	return slog.New(sdkHandler{NewSlog(l.Named("temporal")).Handler()})
}

// sdkHandler writes what the SDK says of failed activities at the level of debugging.
type sdkHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h sdkHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "Activity error." {
		r.Level = slog.LevelDebug
		if !h.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return h.Handler.Handle(ctx, r) //nolint:wrapcheck // It only passes through.
}

// WithAttrs implements slog.Handler.
func (h sdkHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sdkHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h sdkHandler) WithGroup(name string) slog.Handler { return sdkHandler{h.Handler.WithGroup(name)} }
