package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/secret"
)

// Size is a number of bytes. In the file it has a unit: 1MiB, 512KB or 100B.
type Size int64

// String writes a size in the largest binary unit in which it has at most two decimals.
func (s Size) String() string {
	for _, u := range sizeUnits() {
		if n := float64(s) / float64(u.bytes); u.bytes > 1 && n >= 1 && math.Trunc(n*100) == n*100 && u.name[1] == 'i' {
			return strconv.FormatFloat(n, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

type sizeUnit struct {
	name  string
	bytes int64
}

func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"KB", 1e3},
		{"kB", 1e3},
		{"B", 1},
		{"", 1},
	}
}

// ParseSize reads a size: a number and B, KB, MB, GB or TB (powers of 1000), or KiB, MiB, GiB or
// TiB (powers of 1024). A number alone counts bytes.
func ParseSize(text string) (Size, error) {
	bad := errors.New("write a size as 1MiB, 512KB or 100B")
	for _, u := range sizeUnits() {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if size := n * float64(u.bytes); err == nil && size >= 0 && size < math.MaxInt64/2 {
			return Size(size), nil
		}
		return 0, bad
	}
	return 0, bad
}

// ParseDuration reads a duration as time.ParseDuration does, and also days: 30d, 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	bad := errors.New("write a duration with its unit, as 90s, 5m, 720h or 30d")
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "", text
	}
	var sum time.Duration
	if ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(math.Abs(n) < 100_000) {
			return 0, bad
		}
		sum = time.Duration(n * 24 * float64(time.Hour))
	}
	if ok && rest == "" {
		return sum, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || ok && (d < 0 || sum < 0) {
		return 0, bad
	}
	return sum + d, nil
}

// ParsePrefix reads a CIDR or a single address. An IPv4 address that is written as an IPv6 one
// becomes IPv4.
func ParsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, errors.New("write an address as 192.0.2.1 or 2001:db8::1, or a CIDR as 192.0.2.0/24")
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, errors.New("a CIDR of mapped IPv4 addresses has at least 96 bits; write it as an IPv4 one")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("the address has bits outside its mask; write %s", p.Masked())
	}
	return p, nil
}

// isScalar tells whether a type, though a struct, is read from a single value.
func isScalar(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[Secret](), reflect.TypeFor[secret.File](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[time.Time]():
		return true
	}
	return false
}

// parseScalar sets v from a text. Its error says how the value is to be written.
func parseScalar(v reflect.Value, text string) (err error) {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		*p, err = ParseDuration(text)
		return err
	case *Size:
		*p, err = ParseSize(text)
		return err
	case *netip.Prefix:
		*p, err = ParsePrefix(text)
		return err
	case *time.Time:
		*p, err = parseTime(text)
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		return parseBool(v, text)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return errors.New("write a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return errors.New("write a number")
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("a %s cannot be written in the file", v.Type())
	}
	return nil
}

func parseBool(v reflect.Value, text string) error {
	if text != "true" && text != "false" {
		return errors.New("write true or false")
	}
	v.SetBool(text == "true")
	return nil
}

func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("write a time as 2026-01-31T00:00:00Z or a day as 2026-01-31")
}

// maxFile is the most bytes that the file of a secret or certificate may have.
const maxFile = 1 << 20

// expandVariables replaces each ${NAME} by the value of that environment variable; $${ stands for
// ${ itself. A value is not expanded again. There is an error for each reference that can't be
// resolved; it names the variable and no value.
func expandVariables(text string, lookup func(string) (string, bool)) (out string, expanded bool, errs []error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), expanded, errs
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		name, rest, closed := strings.Cut(text[i+2:], "}")
		if !closed || !isVariable(name) {
			return text, true, append(errs, errors.New("a ${ must be followed by a variable's name and }; write $${ for the characters themselves"))
		}
		value, set := lookup(name)
		switch {
		case !set:
			errs = append(errs, fmt.Errorf("the environment variable %s is not set; set it, or write $${%s} for the text itself", name, name))
		case value == "":
			errs = append(errs, fmt.Errorf("the environment variable %s is empty; give it a value", name))
		}
		b.WriteString(value)
		text, expanded = rest, true
	}
}

// isVariable tells whether POSIX allows a name for a variable.
func isVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// readSecret reads the file of a file: reference, without the line end at its end. exposed is set
// when anyone on the machine may read the file.
func (r *fileReading) readSecret(name string) (text string, exposed bool, err error) {
	return readSecret(r.beside(name))
}

func readSecret(name string) (text string, exposed bool, err error) {
	b, mode, err := readFile(name)
	if err != nil {
		return "", false, err
	}
	text = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return "", false, fmt.Errorf("%s is empty; put the secret in it", name)
	}
	return text, mode.Perm()&0o004 != 0, nil
}

// beside completes a path of the file: a relative path starts at the directory of the file.
func (r *fileReading) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.file), name)
}

// readFile reads a file that the configuration names.
func readFile(name string) ([]byte, os.FileMode, error) {
	// Stat comes first, because opening a pipe would wait for its writer.
	info, err := os.Stat(name)
	if err != nil {
		return nil, 0, fmt.Errorf("the file cannot be read, check path and permissions: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a regular file; name one that is", name)
	}
	if info.Size() > maxFile {
		return nil, 0, fmt.Errorf("%s is over %s; name the file that is meant", name, Size(maxFile))
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, 0, fmt.Errorf("the file cannot be read, check path and permissions: %w", err)
	}
	return b, info.Mode(), nil
}
