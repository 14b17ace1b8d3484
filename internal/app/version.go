package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// The linker sets these if the build has no checkout to read them from, in deploy/dist.sh and the
// Dockerfile. Nothing writes them afterwards.
var version, commit, date string

// Build says what this program was made from. What is not known is empty.
type Build struct {
	// Version is the version of the module or release; "(devel)" for a build of a checkout.
	Version string `json:"version"`
	// Commit is the revision of the checkout, Date that of the commit in RFC 3339.
	Commit string `json:"commit,omitempty"`
	Date   string `json:"date,omitempty"`
	// Go and SDK are the versions of the toolchain and of Temporal's SDK.
	Go       string `json:"go"`
	SDK      string `json:"sdk,omitempty"`
	Platform string `json:"platform"`
}

// ReadBuild tells what this program was made from: what the linker was given, else what the Go
// toolchain recorded.
func ReadBuild() Build {
	b := Build{
		Version: version, Commit: commit, Date: date,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && b.Commit == "":
			b.Commit = s.Value
		case s.Key == "vcs.time" && b.Date == "":
			b.Date = s.Value
		}
	}
	for _, m := range info.Deps {
		if m.Path == "go.temporal.io/sdk" {
			b.SDK = m.Version
		}
	}
	return b
}

// Version names the version and the revision in one line.
func Version() string {
	b := ReadBuild()
	switch {
	case b.Version == "":
		return "unknown"
	case b.Commit == "":
		return b.Version
	default:
		return fmt.Sprintf("%s (%s)", b.Version, b.Commit)
	}
}
