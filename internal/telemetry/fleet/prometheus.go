package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer is the longest answer that is read, in bytes: some thousand series.
	maxAnswer = 4 << 20
	// maxFault is how much of an error of Prometheus is shown, in bytes.
	maxFault = 200
)

// newClient makes a client that calls the configured address only: it uses no proxy and follows no
// redirect.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 2 * time.Minute, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// apiAnswer is an answer of Prometheus's HTTP API.
type apiAnswer struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
	Data      struct {
		ResultType string      `json:"resultType"`
		Result     []apiSeries `json:"result"`
	} `json:"data"`
}

// apiSeries is one series of a matrix.
type apiSeries struct {
	Metric map[string]string `json:"metric"`
	Values []apiSample       `json:"values"`
}

// apiSample is a value at a time; the API writes it as [1700000000.5, "1.25"].
type apiSample struct {
	at    time.Time
	value float64
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *apiSample) UnmarshalJSON(b []byte) error {
	var (
		at   float64
		text string
	)
	pair := [2]any{&at, &text}
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	s.at = time.UnixMilli(int64(math.Round(at * 1000)))
	var err error
	s.value, err = strconv.ParseFloat(text, 64) // It parses NaN, +Inf and -Inf too.
	return err
}

// window is the points in time of a query.
type window struct {
	start  time.Time
	step   time.Duration
	points int
}

func (w window) end() time.Time { return w.start.Add(time.Duration(w.points-1) * w.step) }

// queryRange runs a query over a window.
func (r *Reader) queryRange(ctx context.Context, address, text string, w window) ([]apiSeries, error) {
	values := url.Values{
		"query": {text}, "step": {fmt.Sprintf("%.0f", w.step.Seconds())},
		"start": {strconv.FormatInt(w.start.Unix(), 10)}, "end": {strconv.FormatInt(w.end().Unix(), 10)},
		"timeout": {fmt.Sprintf("%.0fs", answersWithin.Seconds())},
	}
	at := strings.TrimSuffix(address, "/") + "/api/v1/query_range?" + values.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, errors.New("console.prometheus is not an address")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, r.plain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 3 {
		return nil, fmt.Errorf("it answers %d, a redirect, which is not followed; set console.prometheus to the final address", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, r.plain(err)
	}
	if len(body) > maxAnswer {
		return nil, errors.New("its answer is over 4 MiB")
	}
	var a apiAnswer
	err = json.Unmarshal(body, &a)
	switch {
	case err == nil && a.Status == "error":
		return nil, fmt.Errorf("it answers %d, %s: %s", resp.StatusCode, a.ErrorType, cutText(a.Error))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %d", resp.StatusCode)
	case err != nil || a.Status != "success" || a.Data.ResultType != "matrix":
		return nil, errors.New("its answer is not what a Prometheus gives")
	}
	return a.Data.Result, nil
}

// plain returns why a call failed, without the long URL.
func (r *Reader) plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("it gave no answer within %s", r.within)
	}
	if called, ok := errors.AsType[*url.Error](err); ok {
		return called.Err
	}
	return err
}

func cutText(text string) string {
	if len(text) > maxFault {
		text = strings.ToValidUTF8(text[:maxFault], "") + "…"
	}
	return text
}
