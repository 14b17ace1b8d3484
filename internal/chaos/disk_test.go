package chaos_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// traced are the system calls by which grapnel and its engine change files, and those
// by which they make that last.
var traced = []string{
	"open", "openat", "write", "pwrite64", "ftruncate", "fsync", "fdatasync",
	"rename", "renameat", "renameat2", "unlink", "unlinkat",
}

// disk is all that was done to the files below a directory, in the order of time.
type disk struct {
	root string
	// names are the changes of directories, data those of files.
	names []deed
	data  []deed
	// syncs are the syncs of each file; they make names last too, as the journal of a
	// file system does.
	syncs []deed
}

// deed is one call that changed something or made it last.
type deed struct {
	began, ended time.Time
	file         *file
	// from and to are names: of a rename both, of a new file to, of a removal from.
	from, to string
	offset   int64
	bytes    []byte
	// cuts is set where the file is cut or stretched to offset.
	cuts bool
}

// file is one file, by whatever name.
type file struct{ size int64 }

// skipped tells of files that nothing relies on after a crash: SQLite's shared memory,
// which is mapped and made anew.
func skipped(name string) bool { return strings.HasSuffix(name, "-shm") }

// lines of strace, its strings in hexadecimal.
var (
	lineForm    = regexp.MustCompile(`^(\d+) +(\d+)\.(\d{6}) (.*)$`)
	resumedForm = regexp.MustCompile(`^<\.\.\. \w+ resumed>(.*)$`)
	callForm    = regexp.MustCompile(`^(\w+)\((.*)\) += (-?\d+)(?:<((?:\\x[0-9a-f]{2})*)>)?.* <(\d+)\.(\d{6})>$`)
	stringForm  = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)
	openForm    = regexp.MustCompile(`^\d+<((?:\\x[0-9a-f]{2})*)>`)
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	if err != nil {
		panic(err) // The form allows nothing else.
	}
	return b
}

// readTrace reads what strace wrote down of the files below a directory.
func readTrace(t *testing.T, log, root string) *disk {
	t.Helper()
	f, err := os.Open(log)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	d := &disk{root: root}
	type began struct {
		at   time.Time
		text string
	}
	open, files := map[string]began{}, map[string]*file{}
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break // The last line of a killed trace may be half.
		}
		m := lineForm.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		at, text := unix(t, m[2], m[3]), m[4]
		if part, cut := strings.CutSuffix(text, " <unfinished ...>"); cut {
			open[m[1]] = began{at, part}
			continue
		}
		if rest := resumedForm.FindStringSubmatch(text); rest != nil {
			b, known := open[m[1]]
			if !known {
				continue
			}
			delete(open, m[1])
			at, text = b.at, b.text+rest[1]
		}
		d.take(t, at, text, files)
	}
	// What had begun and never ended may have been done, in part.
	for _, b := range open {
		d.take(t, b.at, b.text+") = 0 <3600.000000>", files)
	}
	for _, all := range [][]deed{d.names, d.data, d.syncs} {
		slices.SortStableFunc(all, func(a, b deed) int { return a.began.Compare(b.began) })
	}
	return d
}

func unix(t *testing.T, s, us string) time.Time {
	t.Helper()
	sec, err := strconv.ParseInt(s, 10, 64)
	require.NoError(t, err)
	micro, err := strconv.ParseInt(us, 10, 64)
	require.NoError(t, err)
	return time.Unix(sec, micro*1000)
}

// take takes in one call.
func (d *disk) take(t *testing.T, at time.Time, text string, files map[string]*file) {
	t.Helper()
	m := callForm.FindStringSubmatch(text)
	if m == nil || strings.HasPrefix(m[3], "-") {
		return // It failed, or is no call.
	}
	call, args, result := m[1], m[2], string(unhex(m[4]))
	one := deed{began: at, ended: at.Add(unix(t, m[5], m[6]).Sub(time.Unix(0, 0)))}
	of := func() (string, bool) {
		m := openForm.FindStringSubmatch(args)
		if m == nil {
			return "", false
		}
		name := string(unhex(m[1]))
		return name, d.has(name)
	}
	switch call {
	case "open", "openat":
		if !d.has(result) {
			return
		}
		if files[result] == nil {
			if !strings.Contains(args, "O_CREAT") {
				return // A directory.
			}
			files[result] = &file{}
			one.file, one.to = files[result], result
			d.names = append(d.names, one)
		}
		if strings.Contains(args, "O_TRUNC") {
			one.file, one.cuts, one.to = files[result], true, ""
			one.file.size = 0
			d.data = append(d.data, one)
		}
	case "write", "pwrite64", "ftruncate":
		name, ours := of()
		if !ours || files[name] == nil {
			return
		}
		one.file = files[name]
		one.offset = one.file.size // All that write here append.
		parts := strings.Split(args, ", ")
		if call != "write" {
			one.offset, _ = strconv.ParseInt(parts[len(parts)-1], 10, 64)
		}
		if call == "ftruncate" {
			one.cuts, one.file.size = true, one.offset
		} else {
			one.bytes = unhex(stringForm.FindStringSubmatch(args)[1])
			one.file.size = max(one.file.size, one.offset+int64(len(one.bytes)))
		}
		d.data = append(d.data, one)
	case "fsync", "fdatasync":
		if name, ours := of(); ours {
			one.file = files[name] // None for a directory.
			d.syncs = append(d.syncs, one)
		}
	default:
		d.rename(call, args, one, files)
	}
}

// rename takes in a call that renames or removes a file.
func (d *disk) rename(call, args string, one deed, files map[string]*file) {
	var names []string
	for _, m := range stringForm.FindAllStringSubmatch(args, -1) {
		names = append(names, string(unhex(m[1])))
	}
	if len(names) == 0 || !d.has(names[0]) {
		return
	}
	one.from = names[0]
	one.file = files[one.from]
	delete(files, one.from)
	if strings.HasPrefix(call, "rename") {
		one.to = names[1]
		files[one.to] = one.file
	}
	d.names = append(d.names, one)
}

// has tells whether a name is below the directory and of use after a crash.
func (d *disk) has(name string) bool {
	return (name == d.root || strings.HasPrefix(name, d.root+"/")) && !skipped(name)
}

// at gives the files, by their names below the directory, that a power cut leaves: all
// that was synced, and of the rest what the dice say; without dice, all.
func (d *disk) at(cut time.Time, dice *rand.Rand) map[string][]byte {
	lasts := func(one deed, of func(sync deed) bool) bool {
		return slices.ContainsFunc(d.syncs, func(s deed) bool {
			return of(s) && !s.began.Before(one.ended) && !s.ended.After(cut)
		})
	}
	names := map[string]*file{}
	for _, one := range d.names {
		if !one.began.Before(cut) {
			break
		}
		// Directories change in order: where one change is lost, so are those after it.
		if dice != nil && !lasts(one, func(deed) bool { return true }) && dice.IntN(2) == 0 {
			break
		}
		if one.from != "" {
			delete(names, one.from)
		}
		if one.to != "" {
			names[one.to] = one.file
		}
	}
	held := map[*file][]byte{}
	for _, one := range d.data {
		if !one.began.Before(cut) {
			break
		}
		content := one.bytes
		if dice != nil && !lasts(one, func(s deed) bool { return s.file == one.file }) {
			switch dice.IntN(3) {
			case 0:
				continue // Lost.
			case 1: // Torn between two sectors.
				if n := len(content) / 512; n > 0 {
					content = content[:512*dice.IntN(n+1)]
				}
			default: // There as a whole, though nobody was told so.
			}
		}
		held[one.file] = one.onto(held[one.file], content)
	}
	left := map[string][]byte{}
	for name, f := range names {
		left[strings.TrimPrefix(name, d.root+"/")] = append([]byte{}, held[f]...)
	}
	return left
}

// onto gives what a file holds after the deed.
func (one deed) onto(b, content []byte) []byte {
	end := one.offset
	if !one.cuts {
		end = max(int64(len(b)), one.offset+int64(len(content)))
	}
	for int64(len(b)) < end {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	if one.cuts {
		return b[:end]
	}
	copy(b[one.offset:], content)
	return b
}

// onDisk reads the files below a directory.
func onDisk(t *testing.T, root string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || skipped(path) {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, root+"/")] = append([]byte{}, b...)
		return err
	}))
	return all
}

// lay writes files below a directory.
func lay(t *testing.T, root string, files map[string][]byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(root, 0o700))
	for name, content := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o600))
	}
}

// differences tells where two sets of files differ.
func differences(want, got map[string][]byte) (all []string) {
	for name, b := range want {
		other, there := got[name]
		if there && bytes.Equal(b, other) {
			continue
		}
		first := 0
		for first < min(len(b), len(other)) && b[first] == other[first] {
			first++
		}
		all = append(all, fmt.Sprintf("%s: %d bytes, not %d, from %d on", name, len(other), len(b), first))
	}
	for name := range got {
		if _, there := want[name]; !there {
			all = append(all, name+": should not be there")
		}
	}
	return all
}
