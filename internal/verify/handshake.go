package verify

// Handshake is a request by which a sender tries out an endpoint, and its
// answer.
type Handshake struct {
	Name string `yaml:"name"`
	// Signed handshakes count only after the signature was verified.
	Signed bool  `yaml:"signed"`
	Match  Match `yaml:"match"`
	// Challenge is the source of {challenge}.
	Challenge string `yaml:"challenge"`
	// Token is a source that must equal Expect: {param:x}, else one of the
	// secrets. When it does not, the answer is 403.
	Token  string `yaml:"token"`
	Expect string `yaml:"expect"`
	// SelfSigned is a source that holds the very key the request is signed with
	// (Notion's first request). The answer is given, nothing of it is trusted,
	// and the owner is shown the key.
	SelfSigned string `yaml:"self_signed"`
	Answer     Reply  `yaml:"answer"`
}

// Match says which requests are the handshake: all that is given must hold.
type Match struct {
	// Method defaults to POST.
	Method string `yaml:"method"`
	// Present are sources that must be there, Equals sources and their values.
	Present []string          `yaml:"present"`
	Equals  map[string]string `yaml:"equals"`
	// Absent are sources that must not be there.
	Absent []string `yaml:"absent"`
}

// Reply is the template of an answer. Places: {challenge}; {hmac:hex} and
// {hmac:base64}, the HMAC-SHA256 of the challenge; {ed25519:hex}, its signature
// under the key derived from a QQ bot's secret; {body:path}, {query:x},
// {header:X} and {param:x}. In a JSON answer they are escaped as JSON strings.
type Reply struct {
	Status      int               `yaml:"status"`
	ContentType string            `yaml:"content_type"`
	Headers     map[string]string `yaml:"headers"`
	Body        string            `yaml:"body"`
}

// Answer is what a handshake is answered with. Challenges are echoed as
// text/plain with nosniff.
type Answer struct {
	// Name is the handshake's, for metrics.
	Name        string
	Status      int
	ContentType string
	Headers     map[string]string
	Body        []byte
	// Note is something the owner must see, as Notion's verification token is.
	// It holds only A-Z a-z 0-9 _ = . - beside our own words.
	Note string
	// Refused is why the handshake was turned down, nil where it was not.
	Refused *Failure
}

// Phase is when a handshake is looked for.
type Phase bool

// Phases of a request.
const (
	Unsigned Phase = false // before verification
	Signed   Phase = true  // after it
)
