package e2e_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/engine/enginetest"
)

// commandsOf gives the lines of a document's blocks of shell.
func commandsOf(t *testing.T, file string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				commands = append(commands, line)
			}
		}
	}
	return commands
}

// freePort gives an address that nothing listens on just now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// Every command that the README shows does what it says, in the order shown.
func TestTheCommandsOfTheReadmeWork(t *testing.T) {
	t.Parallel()
	commands := commandsOf(t, "../../README.md")
	require.Equal(t, "make run", commands[0], "setting up is this and no more")
	require.Contains(t, commands, "make test", "it is what runs this test")
	commands = slices.DeleteFunc(commands[1:], func(command string) bool { return command == "make test" })

	h := newHome(t, example(t), "GRAPNEL_LISTEN="+freePort(t), "GRAPNEL_ADMIN_LISTEN="+freePort(t),
		"ZOOM_SECRET_TOKEN=grapnel-development-secret")
	require.NoError(t, os.Mkdir(filepath.Join(h.dir, "bin"), 0o700))
	require.NoError(t, os.Symlink(grapnel(t), filepath.Join(h.dir, "bin", "grapnel")))
	cli, err := enginetest.Binary()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(cli, filepath.Join(h.dir, "bin", "temporal")))
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "request.txt"), []byte(captured(t)), 0o600))
	p := h.start(t, "up") // What make run runs.
	// The usual port may have been in use; the commands are told where it is.
	h.env = append(h.env, "TEMPORAL_ADDRESS="+p.temporal)

	dead := ""
	for _, command := range commands {
		command = strings.ReplaceAll(command, "EVENT_ID", dead)
		out, code := h.command(t, "sh", "-c", command)
		// An old event is refused, and that the command says by its exit code.
		refused := strings.Contains(command, "--skew")
		require.Equal(t, refused, code != 0, "%s: %s", command, out)
		switch {
		case refused:
			require.Contains(t, out, "400 ", command)
		case strings.Contains(command, "--forge"):
			require.Contains(t, out, "401 ", command)
		case strings.Contains(command, "--duplicate"):
			require.Regexp(t, `"(duplicate|queued)":true`, out, command)
		case strings.Contains(command, "meeting.deleted"):
			dead = eventID(t, out)
			require.Contains(t, p.system(t).dead(t, dead), "no handler for zoom/meeting.deleted")
		}
	}
	require.NotEmpty(t, dead, "the README shows how an event dies")
	p.interrupt(t)
}

// captured is a raw request as its receiver saved it, signed just now.
func captured(t *testing.T) string {
	t.Helper()
	requests := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		buf, n := make([]byte, 64<<10), 0
		for !complete(string(buf[:n])) {
			more, err := c.Read(buf[n:])
			if n += more; err != nil {
				break
			}
		}
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
		requests <- string(buf[:n])
	}()
	h := newHome(t, example(t))
	out, code := h.run(t, "send", "zoom", "--url", "http://"+l.Addr().String())
	require.Zero(t, code, "%s", out)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case request := <-requests:
		return request
	case <-ctx.Done():
		t.Fatal("no request came")
		return ""
	}
}

// complete tells whether a request has all of its body.
func complete(request string) bool {
	head, body, found := strings.Cut(request, "\r\n\r\n")
	length := regexp.MustCompile(`(?i)content-length: (\d+)`).FindStringSubmatch(head)
	if !found || length == nil {
		return false
	}
	n, err := strconv.Atoi(length[1])
	return err == nil && len(body) >= n
}
