package config

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/kelseyhightower/envconfig"

	"github.com/grapnel/grapnel/internal/netguard"
)

// envPrefix is what the names of our variables begin with.
const envPrefix = "GRAPNEL"

// minToken is the least length of a token in bytes.
const minToken = 16

// Env holds the settings of a process that come from the environment, complete and checked.
type Env struct {
	// Config is the path of grapnel.yaml.
	Config string
	// Listen and AdminListen are host:port; an empty host listens on all addresses.
	Listen      string
	AdminListen string
	// AdminToken is the token that permits everything on the admin listener.
	AdminToken Secret
	// AdminReadToken is a token that permits only looking.
	AdminReadToken Secret
	// AdminHosts are the host names by which the admin listener may be reached, besides localhost
	// and IP addresses.
	AdminHosts []string
	// UIOrigin is the origin of a Web UI that may have payloads decoded, such as
	// https://temporal.example.com. The embedded engine's Web UI may always.
	UIOrigin string
	// DataDir is the directory of the spool and of the embedded engine's database; empty if there
	// is none.
	DataDir string
	// TemporalPort is the port of the embedded engine; 0 takes that of its last run, at first the
	// usual one or, where that is taken, any.
	TemporalPort int
	// TaskQueue is the Temporal task queue to which the receiver starts events and which the
	// worker polls.
	TaskQueue string
	// LogLevel is debug, info, warn or error; LogFormat auto, console or json.
	LogLevel  slog.Level
	LogFormat string
}

// variables declares the environment variables for envconfig: names, defaults and descriptions.
// The values are plain strings that this package parses, because envconfig stops at the first
// fault, prints the raw value in it, accepts a required variable that is empty, and reads only
// the environment of the process.
type variables struct {
	Config         string `split_words:"true" default:"grapnel.yaml" desc:"path of the configuration file"`
	Listen         string `split_words:"true" default:":8080" desc:"address of the public listener"`
	AdminListen    string `split_words:"true" default:"127.0.0.1:9090" desc:"address of the admin listener"`
	AdminToken     string `split_words:"true" desc:"bearer token of the admin listener; required when it is not on loopback; file:/path reads it from a file"`
	AdminReadToken string `split_words:"true" desc:"bearer token for those who may only look at the admin listener"`
	AdminHosts     string `split_words:"true" desc:"host names of the admin listener besides localhost and addresses, separated by commas"`
	UIOrigin       string `split_words:"true" desc:"origin of a Temporal Web UI of your own, which may then have the admin listener decode payloads"`
	DataDir        string `split_words:"true" desc:"directory of the spool and of the embedded engine; the command up sets it"`
	TaskQueue      string `split_words:"true" default:"grapnel" desc:"Temporal task queue"`
	TemporalPort   string `split_words:"true" desc:"port of the embedded engine, whose Web UI is 1000 above it; without it the ports of its last run, at first 7233 and 8233"`
	LogLevel       string `split_words:"true" default:"info" desc:"debug, info, warn or error"`
	LogFormat      string `split_words:"true" default:"auto" desc:"auto, console or json; auto is console on a terminal and json elsewhere"`
}

// variable is one row of the table of variables.
type variable struct{ name, fallback, doc string }

// declaredVariables gives the table of variables that envconfig derives from the struct.
func declaredVariables() ([]variable, error) {
	var b strings.Builder
	const line = "{{range .}}{{usage_key .}}\t{{usage_default .}}\t{{usage_description .}}\n{{end}}"
	if err := envconfig.Usagef(envPrefix, &variables{}, &b, line); err != nil {
		return nil, fmt.Errorf("the environment's declaration cannot be read: %w", err)
	}
	var out []variable
	for l := range strings.Lines(b.String()) {
		f := strings.SplitN(strings.TrimSuffix(l, "\n"), "\t", 3)
		out = append(out, variable{f[0], f[1], f[2]})
	}
	return out, nil
}

// DescribeEnv prints the table of variables in Markdown, for the documentation.
func DescribeEnv(out io.Writer) error {
	vars, err := declaredVariables()
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, v := range vars {
		fallback := v.fallback
		if fallback != "" {
			fallback = "`" + fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, fallback, v.doc)
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// LoadEnv reads the environment by lookup, which is usually os.LookupEnv. The error is of type
// Faults, holds all of them, and never a value that may be secret. What could be read is returned
// in any case, so that a check can go on.
func LoadEnv(lookup func(string) (string, bool)) (Env, error) {
	vars, err := declaredVariables()
	if err != nil {
		return Env{}, err
	}
	l := envLoader{values: map[string]string{}}
	for _, v := range vars {
		value, set := lookup(v.name)
		if set && value == "" && v.fallback != "" {
			l.fault(v.name, "is set and empty; give it a value, or unset it for "+v.fallback)
		}
		if !set || value == "" {
			value = v.fallback
		}
		l.values[v.name] = l.token(v.name, value)
	}
	e := l.env()
	if len(l.faults) > 0 {
		return e, l.faults
	}
	return e, nil
}

type envLoader struct {
	values map[string]string
	faults Faults
}

func (l *envLoader) fault(name, message string) {
	l.faults = append(l.faults, Fault{Path: name, Message: message})
}

func (l *envLoader) env() Env {
	get := func(name string) string { return l.values[envPrefix+"_"+name] }
	e := Env{
		Config: get("CONFIG"), Listen: get("LISTEN"), AdminListen: get("ADMIN_LISTEN"),
		AdminToken: NewSecret(get("ADMIN_TOKEN")), AdminReadToken: NewSecret(get("ADMIN_READ_TOKEN")), AdminHosts: splitWords(get("ADMIN_HOSTS")), DataDir: get("DATA_DIR"),
		TaskQueue: get("TASK_QUEUE"), LogFormat: get("LOG_FORMAT"), UIOrigin: get("UI_ORIGIN"),
	}
	l.address("GRAPNEL_LISTEN", e.Listen)
	if l.address("GRAPNEL_ADMIN_LISTEN", e.AdminListen) && !isLoopback(e.AdminListen) && !e.AdminToken.IsSet() {
		l.fault("GRAPNEL_ADMIN_TOKEN", "is required when GRAPNEL_ADMIN_LISTEN is not on loopback; set it, or listen on 127.0.0.1")
	}
	l.tokens(e)
	if u, err := url.Parse(e.UIOrigin); e.UIOrigin != "" && (err != nil || u.Host == "" || u.Scheme+"://"+u.Host != e.UIOrigin) {
		l.fault("GRAPNEL_UI_ORIGIN", "must be scheme and host alone, as https://temporal.example.com")
	}
	if text := get("TEMPORAL_PORT"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if e.TemporalPort = int(n); err != nil || n == 0 || n > 64535 {
			l.fault("GRAPNEL_TEMPORAL_PORT", "must be a port from 1 to 64535, as 7233; the Web UI's is 1000 above it")
		}
	}
	l.log(&e, get("LOG_LEVEL"))
	return e
}

// log reads the log's level and checks its format.
func (l *envLoader) log(e *Env, level string) {
	switch level {
	case "debug", "info", "warn", "error":
		_ = e.LogLevel.UnmarshalText([]byte(level)) // Knows these four.
	default:
		l.fault("GRAPNEL_LOG_LEVEL", "must be debug, info, warn or error")
	}
	if !slices.Contains([]string{"auto", "console", "json"}, e.LogFormat) {
		l.fault("GRAPNEL_LOG_FORMAT", "must be auto, console or json")
	}
}

// token reads a token from a file where the value is written as file:/path; any other value is
// the token.
func (l *envLoader) token(name, value string) string {
	path, ok := strings.CutPrefix(value, "file:")
	if !ok || !strings.HasSuffix(name, "_TOKEN") {
		return value
	}
	text, _, err := readSecret(path)
	if err != nil {
		l.fault(name, err.Error())
	}
	return text
}

// tokens checks the tokens of the admin listener.
func (l *envLoader) tokens(e Env) {
	check := func(name string, token Secret) {
		if n := len(token.Reveal()); n > 0 && n < minToken {
			l.fault(name, fmt.Sprintf("has %d bytes and must have at least %d; make one with: openssl rand -hex 32", n, minToken))
		}
	}
	check("GRAPNEL_ADMIN_TOKEN", e.AdminToken)
	check("GRAPNEL_ADMIN_READ_TOKEN", e.AdminReadToken)
	switch {
	case !e.AdminReadToken.IsSet():
	case !e.AdminToken.IsSet():
		l.fault("GRAPNEL_ADMIN_READ_TOKEN", "is set and GRAPNEL_ADMIN_TOKEN is not, so that everybody may act; set both")
	case e.AdminReadToken.Reveal() == e.AdminToken.Reveal():
		l.fault("GRAPNEL_ADMIN_READ_TOKEN", "is the same as GRAPNEL_ADMIN_TOKEN; make another one")
	}
}

// splitWords splits a list at its commas.
func splitWords(s string) []string {
	if s == "" {
		return nil
	}
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func (l *envLoader) address(name, value string) bool {
	_, port, err := net.SplitHostPort(value)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n > 65535 {
		l.fault(name, "must be host:port, as 127.0.0.1:9090, or :8080 for every address")
		return false
	}
	return true
}

// isLoopback tells whether a listener's address can be reached from this machine only.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return netguard.IsLoopback(host)
}

// Summary says which settings are in force, with secrets as set or not set.
func (e Env) Summary() string {
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "config\t%s\nlisten\t%s\nadmin listen\t%s\nadmin token\t%s\ndata directory\t%s\ntask queue\t%s\nlog\t%s %s\n",
		e.Config, e.Listen, e.AdminListen, e.AdminToken, orNone(e.DataDir), e.TaskQueue,
		strings.ToLower(e.LogLevel.String()), e.LogFormat)
	_ = t.Flush() // To memory, which takes everything.
	return text.String()
}

func orNone(s string) string {
	if s == "" {
		return "not set"
	}
	return s
}
