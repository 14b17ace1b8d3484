package starter_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/starter"
)

const developed = "  sns:\n    provider: aws-sns\n    development: true\n  bot:\n    provider: discord\n    development: true\n"

// sampleOf is a sample of a preset, signed with the key of a directory.
func sampleOf(t *testing.T, dir, preset string, at time.Time) (string, []string) {
	t.Helper()
	key, err := provider.OpenDevelopment(dir)
	require.NoError(t, err)
	p, _ := provider.Get(preset)
	v, err := provider.Compile(p)
	require.NoError(t, err)
	s, err := provider.NewSample(preset, "", "seed", at)
	require.NoError(t, err)
	signs, err := key.Signs(v.Profile(), nil)
	require.NoError(t, err)
	add, err := v.Sign(&verify.Request{Method: "POST", Header: verify.HTTPHeader{}, Body: s.Body}, signs, at)
	require.NoError(t, err)
	if add.Body != nil {
		s.Body = add.Body
	}
	var headers []string
	for _, h := range add.Headers {
		headers = append(headers, h.Name, h.Value)
	}
	return string(s.Body), headers
}

func TestSamplesOfThisMachineAreTakenOnlyWhereTheSourceSaysSo(t *testing.T) {
	dir := t.TempDir()
	own := func(o *starter.Options) {
		o.Development = func() (*provider.Development, error) { return provider.OpenDevelopment(dir) }
		o.Transport = http.NewFileTransport(http.Dir(t.TempDir())) // 404 for all.
	}
	w, _ := openFake(t, yaml("", developed), own)
	for source, preset := range map[string]string{"sns": "aws-sns", "bot": "discord"} {
		body, headers := sampleOf(t, dir, preset, w.now.time())
		require.Equal(t, http.StatusOK, w.post(t, source, body, headers...).status)
		require.NotZero(t, w.logs.FilterField(zap.Bool("development sample", true)).Len(), "the log says that it was none of the sender")
		for _, by := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Proto", "X-Forwarded-Host"} {
			r := w.post(t, source, body, append([]string{by, "for=127.0.0.1"}, headers...)...)
			require.Equal(t, http.StatusUnauthorized, r.status, "%s: a proxy has passed it on", by)
		}
		body, headers = sampleOf(t, t.TempDir(), preset, w.now.time())
		require.Equal(t, http.StatusUnauthorized, w.post(t, source, body, headers...).status, "the key of another machine")
	}
	t.Run("another source does not trust the key", func(t *testing.T) {
		w, _ := openFake(t, yaml("", "  sns:\n    provider: aws-sns\n"), own)
		body, headers := sampleOf(t, dir, "aws-sns", w.now.time())
		require.Equal(t, http.StatusUnauthorized, w.post(t, "sns", body, headers...).status)
	})
	t.Run("a receiver for others refuses the source", func(t *testing.T) {
		_, err := starter.New(starter.Options{Config: parse(t, t.TempDir(), yaml("", developed)), Temporal: &fakeTemporal{}, Log: zap.NewNop()})
		require.ErrorContains(t, err, "development")
		plain, err := starter.New(starter.Options{Config: parse(t, t.TempDir(), yaml("", doorSources...)), Temporal: &fakeTemporal{}, Log: zap.NewNop()})
		require.NoError(t, err)
		require.ErrorContains(t, plain.Reload(parse(t, t.TempDir(), yaml("", developed))), "development", "and when the file is read again")
	})
	t.Run("a key that others can read is refused", func(t *testing.T) {
		require.NoError(t, os.Chmod(filepath.Join(dir, "development-key.pem"), 0o644))
		_, err := provider.OpenDevelopment(dir)
		require.ErrorContains(t, err, "can be read by others")
	})
}
