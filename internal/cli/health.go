package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func healthCommand(p Program) *cobra.Command {
	var url string
	var ready bool
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a running grapnel whether it is well; exit code 0 is yes, 1 no",
		RunE: func(c *cobra.Command, _ []string) error {
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			return p.askAdmin(c, http.MethodGet, url, path)
		},
	}
	c.Flags().StringVar(&url, "admin", "", "address of the admin listener (default http://$GRAPNEL_ADMIN_LISTEN)")
	c.Flags().BoolVar(&ready, "ready", false, "ask whether it takes events, Temporal included, rather than whether it lives")
	return c
}

// ask prints what the admin listener answers.
func (p Program) ask(ctx context.Context, method, url, token string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return &usageError{err}
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 5 * time.Second}}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the admin listener: %w; is grapnel running, and is GRAPNEL_ADMIN_LISTEN the same here?", err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(p.Stdout, res.Body); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return errVerdict
	}
	return nil
}
