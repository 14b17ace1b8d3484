package provider

import (
	"fmt"
	"strings"

	"github.com/grapnel/grapnel/internal/program"
)

// Doc gives, as Markdown, what the owner of a source must know about a sender. A ° marks a fact
// that was not checked against the sender's documentation.
func Doc(name string) (string, bool) {
	p, ok := Lookup(name)
	if !ok {
		return "", false
	}
	d := p.Verify.Docs
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n", p.Name, d.Title)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "- %s: %s\n", label, text)
		}
	}
	line("Also known as", strings.Join(p.Aliases, ", "))
	line("Paste", d.Paste)
	line("Secret", d.Secret)
	line("Signature", describeSignature(p.Verify))
	line("Signed content", describeContent(p.Verify))
	if IsBearer(p.Verify) {
		line("Bearer", "yes: a request proves that its sender knows a token, and nothing of what it carries. "+
			"Whoever has seen one can send any other; restrict the source by allow_ips, and require_https")
	}
	line("Window", describeWindow(p.Verify))
	for _, s := range p.Verify.Settings {
		line("Setting params."+s.Name, s.Doc+describeNeed(s, p.Verify.Params[s.Name]))
	}
	for _, h := range p.Verify.Handshakes {
		line("Handshake", describeHandshake(h))
	}
	line("Event type", p.Verify.Identity.Type)
	line("Event id", p.Verify.Identity.ID)
	line("Told apart by", describeDedupe(p.Verify))
	line("Answer", describeAck(p.Verify.Ack))
	line("Sender expects", d.Expects)
	line("Sender retries", d.Retries)
	line("Signature does not cover", d.Uncovered)
	for _, n := range d.Notes {
		line("Note", n)
	}
	line("Samples", strings.Join(Types(p.Name), ", "))
	if hasOwnKey(p.Verify) {
		line("Try it", "the sender signs with a key of its own, so give the source development: true and let the receiver listen on "+
			"loopback (GRAPNEL_LISTEN=127.0.0.1:8080); '"+program.Command("send")+"' then signs with a key of this machine")
	}
	if strings.Contains(b.String(), "°") {
		b.WriteString("\n° not checked against the sender's own documentation.\n")
	}
	return b.String(), true
}

// Table gives all presets as a Markdown table, for the documentation.
func Table() string {
	var b strings.Builder
	b.WriteString("| preset | sender | signature | signed content | window | told apart by | handshakes |\n")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, name := range Names() {
		p, _ := Lookup(name)
		var shakes []string
		for _, h := range p.Verify.Handshakes {
			shakes = append(shakes, h.Name)
		}
		cells := []string{
			p.Name, p.Verify.Docs.Title, describeSignature(p.Verify), describeContent(p.Verify),
			describeWindow(p.Verify), describeDedupe(p.Verify), strings.Join(shakes, ", "),
		}
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", "\\|")
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}
