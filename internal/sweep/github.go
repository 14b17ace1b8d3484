package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// GitHub is the Sender of a webhook at GitHub. GitHub never repeats a delivery by itself and keeps
// deliveries for three days. Its API: docs.github.com/rest/webhooks.
type GitHub struct {
	// Base is the address of the API; empty means github.com's.
	Base string
	// Path is the path of the hook's deliveries; see GitHubPath.
	Path string
	// Token returns a token that may manage the hook; for an app's own hook, a JWT of the app. It
	// is called before each request.
	Token func() (string, error)
	// Client makes the requests; nil means one with a time-out of 30 s.
	Client *http.Client
}

// The keys of event.Sweep.Of that name a hook at GitHub.
const (
	GitHubRepo = "repo"
	GitHubOrg  = "org"
	GitHubHook = "hook"
	GitHubAPI  = "api"
	GitHubApp  = "app"
)

// openGitHub makes the Sender of a hook. Its secrets are GITHUB_TOKEN, or for an app GITHUB_APP_ID
// and GITHUB_APP_KEY_FILE.
func openGitHub(of map[string]string, lookup func(string) (string, bool)) (Sender, error) {
	path, err := GitHubPath(of[GitHubRepo], of[GitHubOrg], of[GitHubHook])
	if err != nil {
		return nil, err
	}
	get := func(name string) string { value, _ := lookup(name); return value }
	g := &GitHub{Base: of[GitHubAPI], Path: path}
	id, key, token := get("GITHUB_APP_ID"), get("GITHUB_APP_KEY_FILE"), get("GITHUB_TOKEN")
	switch {
	case of[GitHubApp] != "" && id != "" && key != "":
		g.Token, err = appToken(id, key)
		return g, err
	case of[GitHubApp] != "" && token == "":
		return nil, errors.New("set GITHUB_APP_ID to the app's ID and GITHUB_APP_KEY_FILE to the file of its private key")
	case token == "":
		return nil, errors.New("set GITHUB_TOKEN to a token that may manage the hook, for the worker too where a schedule sweeps")
	}
	g.Token = func() (string, error) { return token, nil }
	return g, nil
}

// GitHubPath returns the path of a hook's deliveries in the API. The hook belongs to a repository,
// owner/name, or to an organisation; if both are empty, it is the app's own.
func GitHubPath(repo, org, hook string) (string, error) {
	digits := regexp.MustCompile(`^[0-9]+$`)
	names := regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$`)
	switch {
	case repo == "" && org == "":
		return "/app/hook/deliveries", nil
	case !digits.MatchString(hook):
		return "", fmt.Errorf("the hook %q is not a number; it is the last part of the address of the hook's page", hook)
	case repo != "" && org != "":
		return "", errors.New("name a repository or an organisation, not both")
	case repo != "" && (!names.MatchString(repo) || strings.Count(repo, "/") != 1):
		return "", fmt.Errorf("the repository %q is not owner/name", repo)
	case repo != "":
		return "/repos/" + repo + "/hooks/" + hook + "/deliveries", nil
	case !names.MatchString(org) || strings.Contains(org, "/"):
		return "", fmt.Errorf("the organisation %q is not a valid name", org)
	default:
		return "/orgs/" + org + "/hooks/" + hook + "/deliveries", nil
	}
}

// delivery is one attempt to deliver an event, as GitHub lists it.
type delivery struct {
	ID         int64     `json:"id"`
	GUID       string    `json:"guid"`
	At         time.Time `json:"delivered_at"`
	Status     string    `json:"status"`
	StatusCode int       `json:"status_code"`
	Event      string    `json:"event"`
	Action     string    `json:"action"`
}

func (d delivery) succeeded() bool { return d.StatusCode >= 200 && d.StatusCode <= 299 }

// Failed implements Sender. Attempts of one event share a GUID; if any of them succeeded, the event
// is not listed.
func (g *GitHub) Failed(ctx context.Context, since time.Time) ([]Failed, error) {
	settled, latest, first := map[string]bool{}, map[string]delivery{}, map[string]time.Time{}
	for next := g.base() + g.Path + "?per_page=100"; next != ""; {
		res, err := g.call(ctx, http.MethodGet, next)
		if err != nil {
			return nil, err
		}
		var page []delivery
		err = json.NewDecoder(io.LimitReader(res.Body, 16<<20)).Decode(&page)
		_ = res.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("read GitHub's list of deliveries: %w", err)
		}
		old := false
		for _, d := range page {
			if old = d.At.Before(since); old {
				break // The list is the latest first.
			}
			first[d.GUID] = d.At
			if d.succeeded() {
				settled[d.GUID] = true
			} else if d.At.After(latest[d.GUID].At) {
				latest[d.GUID] = d
			}
		}
		if next, err = g.next(res.Header); err != nil || old {
			if err != nil {
				return nil, err
			}
			break
		}
	}
	var failed []Failed
	for guid, d := range latest {
		if !settled[guid] {
			typ := strings.TrimSuffix(d.Event+"."+d.Action, ".")
			failed = append(failed, Failed{
				ID: guid, Delivery: strconv.FormatInt(d.ID, 10), Type: typ, First: first[guid], At: d.At, Status: d.Status,
			})
		}
	}
	slices.SortFunc(failed, func(a, b Failed) int { return a.At.Compare(b.At) })
	return failed, nil
}

// Redeliver implements Sender.
func (g *GitHub) Redeliver(ctx context.Context, f Failed) error {
	res, err := g.call(ctx, http.MethodPost, g.base()+g.Path+"/"+f.Delivery+"/attempts")
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (g *GitHub) base() string {
	if g.Base == "" {
		return "https://api.github.com"
	}
	return strings.TrimRight(g.Base, "/")
}

// next returns the address of the next page, from the Link header; empty after the last. The token
// is sent there, so it has to be on the same host.
func (g *GitHub) next(h http.Header) (string, error) {
	for link := range strings.SplitSeq(h.Get("Link"), ",") {
		target, rel, _ := strings.Cut(link, ";")
		if !strings.Contains(rel, `rel="next"`) {
			continue
		}
		target = strings.Trim(strings.TrimSpace(target), "<>")
		here, err := url.Parse(g.base())
		there, bad := url.Parse(target)
		if err != nil || bad != nil || here.Scheme != there.Scheme || here.Host != there.Host {
			return "", fmt.Errorf("GitHub's list goes on at another host: %q", target)
		}
		return target, nil
	}
	return "", nil
}

// longestWait bounds the rate limit that GitHub announces.
const longestWait = time.Hour

func (g *GitHub) call(ctx context.Context, method, address string) (*http.Response, error) {
	client := g.Client
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second}
	}
	req, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("the address of GitHub's API: %w", err)
	}
	token, err := g.Token()
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	req.Header.Set("User-Agent", "grapnel")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask GitHub: %w", err)
	}
	if res.StatusCode >= 200 && res.StatusCode <= 299 {
		return res, nil
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // The status decides; the text is for people.
	_ = res.Body.Close()
	fault := fmt.Sprintf("GitHub answers %s to %s %s: %s", res.Status, method, req.URL.Path, strings.Join(strings.Fields(string(text)), " "))
	if wait, limited := rateLimitOf(res, time.Now()); limited {
		return nil, &LimitedError{For: wait, Answer: fault}
	}
	return nil, errors.New(fault)
}

// rateLimitOf tells whether an answer is a rate limit, and how long it lasts: what Retry-After or
// X-RateLimit-Reset says, at most an hour, else a minute.
func rateLimitOf(res *http.Response, now time.Time) (time.Duration, bool) {
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusForbidden {
		return 0, false
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		return min(time.Duration(seconds)*time.Second, longestWait), true
	}
	if res.Header.Get("X-RateLimit-Remaining") == "0" {
		reset, err := strconv.ParseInt(res.Header.Get("X-RateLimit-Reset"), 10, 64)
		if err != nil {
			return time.Minute, true
		}
		return min(max(time.Unix(reset, 0).Sub(now), time.Second), longestWait), true
	}
	return time.Minute, res.StatusCode == http.StatusTooManyRequests
}
