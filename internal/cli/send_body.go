package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grapnel/grapnel/internal/provider"
)

// setPaths changes the JSON body of a sample: each change is PATH=VALUE, the path
// in dots, the value JSON or else a text.
func setPaths(s *provider.Sample, changes []string) error {
	for _, change := range changes {
		path, text, ok := strings.Cut(change, "=")
		if !ok || path == "" {
			return fmt.Errorf("--set %s: write PATH=VALUE, for example payload.object.topic=Review", change)
		}
		var value any = text
		if json.Valid([]byte(text)) {
			value = json.RawMessage(text)
		}
		if err := s.Set(path, value); err != nil {
			return fmt.Errorf("--set %s: %w", change, err)
		}
	}
	return nil
}
