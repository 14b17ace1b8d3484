// Package telemetry holds grapnel's log, metrics, and health figures.
//
// The log has one line for each outcome of an event. No line holds a body, a secret or a signature.
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
	// FormatAuto is FormatConsole on a terminal, and FormatJSON elsewhere.
	FormatAuto = "auto"
)

// NewLogger makes a logger that writes to w. level is debug, info, warn or error; empty means info.
// format is auto, console or json; empty means auto.
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

// NewSlog makes a logger for packages that use slog. It writes no stacks: the stack of a handler's
// panic is in the dead letter.
func NewSlog(l *zap.Logger) *slog.Logger {
	return slog.New(zapslog.NewHandler(l.Core(), zapslog.WithName(l.Name()), zapslog.AddStacktraceAt(slog.Level(math.MaxInt))))
}

// NewSDKSlog makes the logger for the Temporal SDK. It lowers the SDK's error about a failed
// activity to debug, because failed attempts are expected and have a line of ours.
func NewSDKSlog(l *zap.Logger) *slog.Logger {
	return slog.New(sdkHandler{NewSlog(l.Named("temporal")).Handler()})
}

// sdkHandler lowers the SDK's errors about failed activities to debug.
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
