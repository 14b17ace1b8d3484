package app

import (
	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/engine"
)

// CodecEndpoint is where a Web UI finds the codec of a process.
func CodecEndpoint(listen, token string, from config.Size) string {
	p := &process{env: config.Env{AdminListen: listen, AdminToken: config.NewSecret(token)}, config: &config.Config{CompressFrom: from}}
	return p.codecEndpoint()
}

// CodecOrigins are the Web UIs that may ask, by that of the engine and the one
// that is configured.
func CodecOrigins(ui, configured string) []string {
	p := &process{env: config.Env{UIOrigin: configured}, config: &config.Config{}}
	if ui != "" {
		p.engine = &engine.Embedded{UI: ui}
	}
	return p.codec().Origins
}
