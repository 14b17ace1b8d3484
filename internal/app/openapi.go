package app

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/pause"
)

// OpenAPI is the document of the REST API of the admin listener, which docs/openapi.json
// keeps.
func OpenAPI() ([]byte, error) {
	text, err := admin.OpenAPI(admin.DeadLetters{}, watchAPI{}, pause.Endpoints{})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}
