package app

import (
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/engine"
)

// CodecEndpoint returns the URL of a process's codec for a Web UI.
func CodecEndpoint(listen, token string, from config.Size) string {
	p := &process{env: config.Env{AdminListen: listen, AdminToken: config.NewSecret(token)}, config: &config.Config{CompressFrom: from}}
	return p.codecEndpoint()
}

// CodecOrigins returns the origins of Web UIs that may use the codec: the embedded engine's and the
// configured one.
func CodecOrigins(ui, configured string) []string {
	p := &process{env: config.Env{UIOrigin: configured}, config: &config.Config{}}
	if ui != "" {
		p.engine = &engine.Embedded{UI: ui}
	}
	return p.codec().Origins
}
