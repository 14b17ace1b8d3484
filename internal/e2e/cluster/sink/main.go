// Command sink is the destination of the cluster's tests: it counts what is delivered to it, by
// path and event, and answers with the status that it was told.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// sink remembers the deliveries of each path: how often each event came.
type sink struct {
	mu     sync.Mutex
	got    map[string]map[string]int
	status map[string]int
}

func main() {
	s := &sink{got: map[string]map[string]int{}, status: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /to/{path}", s.deliver)
	mux.HandleFunc("GET /got/{path}", s.list)
	mux.HandleFunc("PUT /status/{path}/{status}", s.tell)
	server := &http.Server{Addr: ":8000", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, "sink:", err)
	}
}

// deliver counts a delivery that it answers with 2xx.
func (s *sink) deliver(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	path := r.PathValue("path")
	s.mu.Lock()
	defer s.mu.Unlock()
	if status := s.status[path]; status >= http.StatusMultipleChoices {
		w.WriteHeader(status)
		return
	}
	if s.got[path] == nil {
		s.got[path] = map[string]int{}
	}
	s.got[path][r.Header.Get("Ce-Id")]++
}

// list gives the deliveries of a path.
func (s *sink) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.got[r.PathValue("path")])
}

// tell sets the status that a path answers with.
func (s *sink) tell(_ http.ResponseWriter, r *http.Request) {
	var status int
	if _, err := fmt.Sscan(r.PathValue("status"), &status); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status[r.PathValue("path")] = status
	}
}
