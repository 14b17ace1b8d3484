package app

import (
	"net"
	"net/url"

	"go.temporal.io/sdk/converter"

	"github.com/grapnel/grapnel/internal/admin"
	"github.com/grapnel/grapnel/internal/engine"
)

// codec makes compressed payloads readable for the Web UI of the embedded engine
// and for the one that is configured.
func (p *process) codec() *admin.Codec {
	c := &admin.Codec{Handler: converter.NewPayloadCodecHTTPHandler(engine.NewCodec(int(p.config.CompressFrom)))}
	if p.engine != nil {
		c.Origins = append(c.Origins, p.engine.UI)
		// People open it by either name, and the page's origin is what they wrote.
		if u, err := url.Parse(p.engine.UI); err == nil {
			c.Origins = append(c.Origins, "http://localhost:"+u.Port())
		}
	}
	if p.env.UIOrigin != "" {
		c.Origins = append(c.Origins, p.env.UIOrigin)
	}
	return c
}

// codecEndpoint is where a Web UI on this machine finds the codec; empty while
// nothing is compressed, and where the port of the admin listener is not known
// beforehand.
func (p *process) codecEndpoint() string {
	_, port, err := net.SplitHostPort(p.env.AdminListen)
	if err != nil || port == "0" || p.config.CompressFrom == 0 {
		return ""
	}
	return "http://" + Dialable(p.env.AdminListen) + admin.CodecPath(p.env.AdminToken.Reveal())
}
