package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "5m": 5 * time.Minute, "720h": 720 * time.Hour, "30d": 720 * time.Hour,
		"1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "0": 0, "1h30m": 90 * time.Minute,
	} {
		t.Run(text, func(t *testing.T) {
			d, err := config.ParseDuration(text)
			require.NoError(t, err)
			require.Equal(t, want, d)
		})
	}
	for _, text := range []string{"", "5", "d", "1d2", "xd", "1d-1h", "NaNd", "Infd", "1e300d", "five", "1w", "1d1d"} {
		t.Run("refused "+text, func(t *testing.T) {
			_, err := config.ParseDuration(text)
			require.Error(t, err)
		})
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]config.Size{
		"1MiB": 1 << 20, "512KB": 512_000, "1.5MiB": 3 << 19, "100": 100, "100B": 100, "10GiB": 10 << 30, "2 KiB": 2048, "1kB": 1000,
	} {
		t.Run(text, func(t *testing.T) {
			s, err := config.ParseSize(text)
			require.NoError(t, err)
			require.Equal(t, want, s)
			again, err := config.ParseSize(s.String())
			require.NoError(t, err)
			require.Equal(t, s, again)
		})
	}
	for _, text := range []string{"", "MiB", "-1B", "1XB", "NaNMB", "1e30TiB", "one"} {
		t.Run("refused "+text, func(t *testing.T) {
			_, err := config.ParseSize(text)
			require.Error(t, err)
		})
	}
}

func TestOneEventsHistory(t *testing.T) {
	const head = "sources: {zoom: {provider: zoom, secrets: [0123456789abcdef], max_body: 1.5MiB}}\ndestinations:\n"
	build := func(pattern func(i int) string) string {
		text := head
		for i := range 20 {
			text += "  d" + string(rune('a'+i)) + ": {events: [\"" + pattern(i) + "\"], http: {url: \"https://example.com/\"}}\n"
		}
		return text
	}
	cases := []struct {
		name    string
		pattern func(i int) string
		fits    bool
	}{
		{"destinations of different types share no event", func(i int) string { return "zoom/t" + string(rune('a'+i)) }, true},
		{"destinations of other sources do not count", func(int) string { return "stripe/*" }, true},
		{"patterns that cross are counted together", func(i int) string { return []string{"zoom/meeting.*", "zoom/*.started"}[i%2] }, false},
		{"a pattern over sources counts", func(int) string { return "*started" }, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse("grapnel.yaml", []byte(build(tc.pattern)), environment(nil))
			if tc.fits {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "history")
			}
		})
	}
}

func TestFilesThatAreNoConfiguration(t *testing.T) {
	var aliases strings.Builder
	aliases.WriteString("sources:\n  a: {provider: zoom, secrets: [0123456789abcdef], events: &e [" + strings.Repeat("x,", 500) + "x]}\n")
	for i := range 500 {
		fmt.Fprintf(&aliases, "  s%d: {provider: zoom, secrets: [0123456789abcdef], events: *e}\n", i)
	}
	for _, tc := range []struct{ name, text, says string }{
		{"a file that is too long", strings.Repeat("# comment\n", 30_000), "the file is over 256KiB"},
		{"nesting that is too deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested too deep"},
		{"aliases that make much of little", aliases.String(), "too large with its aliases followed"},
		{"an anchor that holds itself", "sources: &a {x: *a}", "names no anchor that stands before it"},
		{"a list", "[1, 2]", "expects settings below it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := config.Parse("grapnel.yaml", []byte(tc.text), environment(nil))
			require.ErrorContains(t, err, tc.says)
		})
	}
	t.Run("an empty file is one without sources", func(t *testing.T) {
		for _, text := range []string{"", "# nothing\n", "---\n", "sources:\n"} {
			c, err := config.Parse("grapnel.yaml", []byte(text), environment(nil))
			require.NoError(t, err)
			require.Len(t, c.Warnings(noon), 1)
		}
	})
}

// FuzzParse feeds the decoder with anything: it gives a configuration or faults,
// and says the same each time.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(f, err)
	for _, file := range append(files, example) {
		src, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(src)
	}
	f.Add([]byte("a: &a [*a]\nb: *a"))
	f.Add([]byte("<<: {<<: x}"))
	f.Add([]byte("sources: {a: {verify: {identity: {id: \"body:a[\"}}}}"))
	lookup := environment(map[string]string{"A": "value", "EMPTY": ""})
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := config.Parse("grapnel.yaml", src, lookup)
		if err == nil {
			require.NotNil(t, c)
			c.Warnings(noon)
			return
		}
		require.Nil(t, c)
		var faults config.Faults
		require.ErrorAs(t, err, &faults)
		require.NotEmpty(t, faults)
		_, again := config.Parse("grapnel.yaml", src, lookup)
		require.EqualError(t, again, err.Error())
	})
}
