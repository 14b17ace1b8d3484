package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/grapnel/grapnel/internal/provider"
)

func (p Program) judgeVectors(f verifyFlags) error {
	read := func() ([]byte, error) { return os.ReadFile(f.vectors) }
	if f.vectors == "-" {
		read = func() ([]byte, error) { return io.ReadAll(p.Stdin) }
	}
	src, err := read()
	if err != nil {
		return fmt.Errorf("read the vectors: %w", err)
	}
	results, err := provider.RunVectors(bytes.NewReader(src))
	if err != nil {
		return err
	}
	if len(results) == 0 {
		return fmt.Errorf("%s holds no vectors, which proves nothing", f.vectors)
	}
	bad := 0
	e := json.NewEncoder(p.Stdout)
	for _, r := range results {
		if !r.Agrees {
			bad++
		}
		if f.asJSON {
			if err := e.Encode(r); err != nil {
				return fmt.Errorf("write a verdict: %w", err)
			}
			continue
		}
		mark := "ok  "
		if !r.Agrees {
			mark = "FAIL"
		}
		_, _ = fmt.Fprintf(p.Stdout, "%s %s %s: expected %s, got %s %s\n", mark, r.Scheme, r.ID, r.Expect, r.Got, r.Detail)
	}
	if !f.asJSON {
		_, _ = fmt.Fprintf(p.Stdout, "%d vectors, %d disagree\n", len(results), bad)
	}
	if bad > 0 {
		return errVerdict
	}
	return nil
}
