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

// GitHub is the deliveries of a webhook at GitHub, which never tries one again by
// itself and keeps them for three days. Its API: docs.github.com/rest/webhooks.
type GitHub struct {
	// Base is the address of the API; empty is that of github.com.
	Base string
	// Path is where the hook's deliveries are: see GitHubPath.
	Path string
	// Token is one that may manage the hook; for an app's own hook, a JWT of the app.
	Token string
	// Client makes the requests; nil is one with a time-out.
	Client *http.Client
	// Wait waits out a rate limit; nil sleeps.
	Wait func(ctx context.Context, d time.Duration) error
}

// GitHubPath is where the deliveries of a hook are: of a repository, as owner/name,
// of an organisation, or, where both are empty, of the app itself.
func GitHubPath(repo, org, hook string) (string, error) {
	digits := regexp.MustCompile(`^[0-9]+$`)
	names := regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?$`)
	switch {
	case repo == "" && org == "":
		return "/app/hook/deliveries", nil
	case !digits.MatchString(hook):
		return "", fmt.Errorf("the hook %q is no number; it is the last part of the address of the hook's page", hook)
	case repo != "" && org != "":
		return "", errors.New("name a repository or an organisation, not both")
	case repo != "" && (!names.MatchString(repo) || strings.Count(repo, "/") != 1):
		return "", fmt.Errorf("the repository %q is not owner/name", repo)
	case repo != "":
		return "/repos/" + repo + "/hooks/" + hook + "/deliveries", nil
	case !names.MatchString(org) || strings.Contains(org, "/"):
		return "", fmt.Errorf("the organisation %q is no name", org)
	default:
		return "/orgs/" + org + "/hooks/" + hook + "/deliveries", nil
	}
}

// delivery is one attempt, as GitHub lists it.
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

// Failed implements Sender. Attempts at one event share a GUID, and a redelivery
// that succeeded settles it.
func (g *GitHub) Failed(ctx context.Context, since time.Time) ([]Failed, error) {
	settled, latest := map[string]bool{}, map[string]delivery{}
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
				break // The list begins with the latest.
			}
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
			failed = append(failed, Failed{ID: guid, Delivery: strconv.FormatInt(d.ID, 10), Type: typ, At: d.At, Status: d.Status})
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

// next is the address of the page that follows, from the Link header. The token
// goes with it, so it has to be GitHub's own.
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

// How often a call that a rate limit refuses is made again, and how long it waits
// at most each time.
const (
	limitTries  = 5
	longestWait = time.Hour
)

func (g *GitHub) call(ctx context.Context, method, address string) (*http.Response, error) {
	client := g.Client
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second}
	}
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("the address of GitHub's API: %w", err)
		}
		req.Header.Set("Accept", "application/vnd.github+json")
		req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
		req.Header.Set("User-Agent", "grapnel")
		req.Header.Set("Authorization", "Bearer "+g.Token)
		res, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("ask GitHub: %w", err)
		}
		if res.StatusCode >= 200 && res.StatusCode <= 299 {
			return res, nil
		}
		said, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // The status has decided.
		_ = res.Body.Close()
		wait, limited := limit(res, time.Now())
		if !limited || try == limitTries {
			return nil, fmt.Errorf("GitHub answers %s to %s %s: %s", res.Status, method, req.URL.Path, strings.Join(strings.Fields(string(said)), " "))
		}
		if err := g.wait(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// limit tells whether an answer is a rate limit, and how long it lasts: as
// Retry-After or X-RateLimit-Reset says, else a minute.
func limit(res *http.Response, now time.Time) (time.Duration, bool) {
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

func (g *GitHub) wait(ctx context.Context, d time.Duration) error {
	if g.Wait != nil {
		return g.Wait(ctx, d)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for GitHub's rate limit: %w", ctx.Err())
	case <-time.After(d):
		return nil
	}
}
