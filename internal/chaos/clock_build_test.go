package chaos_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// workshop is where the programs are built; TestMain removes it.
var workshop = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "grapnel-chaos-bin-") })

// program builds grapnel once for all tests.
var program = sync.OnceValues(func() (string, error) { return build("grapnel") })

// steppedProgram builds once a grapnel whose clock on the wall the tests can
// step, while the monotonic one goes on: what a step of the machine's clock does
// to a process, and no step of the machine's clock. Only this build has it: the
// compiler is given another package time, made of the present one, and one more
// file of package main, which follows the file that CHAOS_CLOCK names.
var steppedProgram = sync.OnceValues(func() (string, error) {
	dir, err := workshop()
	if err != nil {
		return "", err
	}
	overlay, err := clockOverlay(dir)
	if err != nil {
		return "", err
	}
	return build("grapnel-stepped", "-overlay", overlay)
})

// build builds grapnel under a name in the workshop.
func build(name string, flags ...string) (string, error) {
	dir, err := workshop()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	args := append(append([]string{"build"}, flags...), "-o", path, "../../cmd/grapnel")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return path, nil
}

const (
	// nowBegins is how time.Now begins in the sources of Go.
	nowBegins = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	// nowSteps is added to that: whole seconds are enough.
	nowSteps = "\tsec += steps.Load()\n"
	// timeFile is one more file of package time.
	timeFile = `package time

import "sync/atomic"

var steps atomic.Int64

// Step sets how far the clock on the wall is from that of the machine.
func Step(d Duration) { steps.Store(int64(d / Second)) }
`
	// mainFile is one more file of package main. The clock is wrong from the very
	// start, and each step is confirmed in a file beside the one that asks for it.
	mainFile = `package main

import (
	"os"
	"time"
)

func init() {
	path := os.Getenv("CHAOS_CLOCK")
	last := follow(path, "")
	go func() {
		for {
			time.Sleep(5 * time.Millisecond)
			last = follow(path, last)
		}
	}()
}

func follow(path, last string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	if string(text) == last {
		return last
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		panic(err)
	}
	time.Step(d)
	if err := os.WriteFile(path+".held", text, 0o600); err != nil {
		panic(err)
	}
	return string(text)
}
`
)

// clockOverlay writes what the compiler is to read instead, and gives the path
// of its list.
func clockOverlay(dir string) (string, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the sources of Go: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("find the sources of Go: %w", err)
	}
	if strings.Count(string(text), nowBegins) != 1 {
		return "", fmt.Errorf("time.Now does not begin as it did in %s: change nowBegins to what is there", original)
	}
	patched := strings.Replace(string(text), nowBegins, nowBegins+nowSteps, 1)
	main, err := filepath.Abs(filepath.Join("..", "..", "cmd", "grapnel", "chaos_clock.go"))
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for _, file := range []struct{ path, name, text string }{
		{original, "time.go", patched},
		{filepath.Join(filepath.Dir(original), "chaos_clock.go"), "time_clock.go", timeFile},
		{main, "main_clock.go", mainFile},
	} {
		replace[file.path] = filepath.Join(dir, file.name)
		if err := os.WriteFile(replace[file.path], []byte(file.text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}
