package telemetry_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdklog "go.temporal.io/sdk/log"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/telemetry"
)

func TestTheLoggerWritesFromItsLevelOn(t *testing.T) {
	for level, want := range map[string]string{
		"": "IWE", "debug": "DIWE", "info": "IWE", "warn": "WE", "error": "E", "WARN": "WE",
	} {
		t.Run("level "+level, func(t *testing.T) {
			var out bytes.Buffer
			log, err := telemetry.NewLogger(level, telemetry.FormatJSON, &out)
			require.NoError(t, err)
			log.Debug("D")
			log.Info("I")
			log.Warn("W")
			log.Error("E")
			var got string
			for line := range strings.Lines(out.String()) {
				var v struct{ Msg, Time, Level string }
				require.NoError(t, json.Unmarshal([]byte(line), &v))
				_, err := time.Parse(time.RFC3339Nano, v.Time)
				require.NoError(t, err)
				got += v.Msg
			}
			require.Equal(t, want, got)
		})
	}
}

func TestALoggerThatIsNotKnownIsRefused(t *testing.T) {
	_, err := telemetry.NewLogger("loud", "", &bytes.Buffer{})
	require.ErrorContains(t, err, `log level "loud" is not known`)
	_, err = telemetry.NewLogger("panic", "", &bytes.Buffer{})
	require.ErrorContains(t, err, `log level "panic" is not known`)
	_, err = telemetry.NewLogger("info", "xml", &bytes.Buffer{})
	require.ErrorContains(t, err, `log format "xml" is not known`)
}

func TestTheConsoleFormatIsForPeople(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger("", telemetry.FormatConsole, &out)
	require.NoError(t, err)
	log.Info("event started", zap.String("source", "zoom"))
	require.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\tINFO\tevent started\t\{"source": "zoom"\}\n$`, out.String())
}

func TestTheSDKLogsThroughZap(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger("info", telemetry.FormatJSON, &out)
	require.NoError(t, err)
	sdk := sdklog.NewStructuredLogger(telemetry.NewSDKSlog(log))
	sdk.Debug("not shown")
	sdk.Error("Activity error.", "ActivityType", "an attempt of a route, which has a line of ours")
	sdklog.With(sdk, "Namespace", "default").Error("Activity error.")
	sdk.Error("activity failed", "WorkflowID", "abc", "Attempt", 2)
	var v map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &v), "exactly one line: %s", out.String())
	require.Equal(t, "activity failed", v["msg"])
	require.Equal(t, "error", v["level"])
	require.Equal(t, "temporal", v["logger"])
	require.Equal(t, "abc", v["WorkflowID"])
	require.InDelta(t, 2, v["Attempt"], 0)
	require.NotContains(t, v, "stacktrace")
}

func TestOffATerminalTheLogIsJSON(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger("", "", &out)
	require.NoError(t, err)
	log.Info("event started")
	require.True(t, json.Valid(out.Bytes()), out.String())
}

func TestASampleCountsWhatItLeavesOut(t *testing.T) {
	now := time.Now()
	s := telemetry.NewSample[string](func() time.Time { return now })
	logged := 0
	for range 25 {
		if ok, left := s.Take("crm"); ok {
			require.Zero(t, left)
			logged++
		}
	}
	require.Equal(t, 10, logged)
	ok, _ := s.Take("erp")
	require.True(t, ok, "another kind has a share of its own")
	now = now.Add(10 * time.Second)
	ok, left := s.Take("crm")
	require.True(t, ok)
	require.Equal(t, 15, left)
}
