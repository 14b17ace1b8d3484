package verify

import "fmt"

func (c *compiler) guards() {
	for i, g := range c.p.Guards {
		field := fmt.Sprintf("guards[%d]", i)
		if g.Source == "" || len(g.Equals) == 0 {
			c.fault(field, "needs source and equals")
			continue
		}
		if g.Reason == "" {
			g.Reason = UnsupportedAlgorithm
		}
		c.v.guards = append(c.v.guards, guard{c.source(field+".source", g.Source), g.Equals, g.Optional, g.Reason})
	}
}

// dedupe checks that what tells events apart is under the signature.
func (c *compiler) dedupe() {
	switch c.p.Dedupe {
	case dedupeID:
		if c.p.Identity.ID == "" {
			c.fault("dedupe", "id needs identity.id")
		} else if !c.v.Covers(c.p.Identity.ID) {
			c.fault("identity.id", "the signature does not cover %s: whoever captured one request could send it again under other ids; use dedupe: body", c.p.Identity.ID)
		}
	case dedupeFields:
		if len(c.p.Fields) == 0 {
			c.fault("dedupe", "fields needs a list of fields")
		}
	}
	for i, f := range c.p.Fields {
		if f.Key == "" || len(f.From) == 0 {
			c.fault(fmt.Sprintf("fields[%d]", i), "needs key and from")
		}
		for _, path := range f.From {
			if _, err := parseJSONPath(path); err != nil {
				c.fault(fmt.Sprintf("fields[%d].from", i), "%s", err)
			} else if c.p.Dedupe == dedupeFields && !c.v.Covers("body:"+path) {
				c.fault(fmt.Sprintf("fields[%d].from", i), "the signature does not cover %s", path)
			}
		}
	}
}
