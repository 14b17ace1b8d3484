package verify

import "time"

// Profile is the grammar of a preset and of a `verify:` block: what a sender
// signs, how it identifies its events, which handshakes it holds and what it
// expects as an answer. Places in a request
// are written header:X, query:x, form:x, body:path or key:t.
type Profile struct {
	// Algorithm is one of hmac-sha1, hmac-sha256, hmac-sha512; sha1, sha256,
	// sha512 (a plain hash over a content that holds {secret}); ed25519;
	// ecdsa-p256-sha256 (ASN.1 DER); token, bearer, basic (nothing is signed);
	// none (the sender offers nothing); or a coded one: twilio, mandrill, sns,
	// paypal, adyen, jwt.
	Algorithm string `yaml:"algorithm"`
	// Key says how the text of a secret becomes key bytes: raw (default), hex,
	// base64, base64url, whsec, whpk, spki, qqbot. It is never guessed.
	Key string `yaml:"key"`
	// Content is the template of the signed bytes; default {body}. Places:
	// {body} {timestamp} {id} {url} {url_noquery} {method} {secret}
	// {header:X} {query:x} {json:path} {param:x}. {{ is a literal brace.
	Content string `yaml:"content"`
	// Signature says where signatures stand and how they are written.
	Signature Signature `yaml:"signature"`
	// Timestamp says when a request was signed and how old it may be.
	Timestamp Timestamp `yaml:"timestamp"`
	// MessageID is where {id} comes from; without it a request is refused.
	MessageID string `yaml:"message_id"`
	// KeyID is where the sender names the key it signed with; it selects the
	// secrets whose KeyID is the same, and those that have none.
	KeyID string `yaml:"key_id"`
	// Guards are headers that must hold one of the given values.
	Guards []Guard `yaml:"guards"`
	// URLUnescape lists the characters whose percent-escapes may be undone in
	// {url} before it is signed (HubSpot v3); the URL as it came is tried first.
	URLUnescape string `yaml:"url_unescape"`
	// Methods are those that events come with; default POST.
	Methods []string `yaml:"methods"`

	// Identity says where an event's attributes stand.
	Identity Identity `yaml:"identity"`
	// Handshakes are requests that are answered and are no events.
	Handshakes []Handshake `yaml:"handshakes"`
	// Body is the kind of the sender's bodies: json (default; a body that is no
	// JSON is refused), form, multi (JSON or form) or bytes.
	Body string `yaml:"body"`
	// Batch says that a body may hold several events.
	Batch *Batch `yaml:"batch"`
	// Gzip says that the sender may compress a body after it was signed (Stream).
	// Without it a body is what came over the wire.
	Gzip bool `yaml:"gzip"`
	// Dedupe is how events of this sender are told apart: id, fields, body (the
	// default), signed (all that is signed; the default where that is not the body)
	// or none.
	Dedupe string `yaml:"dedupe"`
	// Again is after how long the same content is an event once more, for senders
	// that say no more than that something has changed (Dropbox); zero is never.
	Again time.Duration `yaml:"again"`
	// Fields make the object that `dedupe: fields` hashes.
	Fields []Field `yaml:"fields"`
	// Ack is what the sender expects of an accepted event.
	Ack Ack `yaml:"ack"`

	// Settings are what the owner of a source gives beside secrets. {param:x} and header
	// names refer to them.
	Settings []Setting `yaml:"settings"`
	// Params are the values of Settings.
	Params map[string]string `yaml:"params"`
	// JWT is for senders that sign JSON Web Tokens.
	JWT *JWT `yaml:"jwt"`
	// Docs are a sender's facts for its owner.
	Docs Docs `yaml:"docs"`
}

// Signature says where signatures stand and how they are written.
type Signature struct {
	// Headers are names of one header, newest first; the first that is there
	// counts. A name may be {param:x}.
	Headers []string `yaml:"headers"`
	// Every takes each of Headers as a signature of its own, not as an alias.
	Every bool `yaml:"every"`
	// Pattern names numbered headers: X-DocuSign-Signature-{n}, n from 1 to 100.
	Pattern string `yaml:"pattern"`
	// KeyPerHeader checks the n-th of Headers with the n-th secret only (Box).
	KeyPerHeader bool `yaml:"key_per_header"`
	// From is a source of the signature that is no header: body:, query:, form:.
	// body:value[].state takes the token of every element of a list; all of them
	// must be good.
	From string `yaml:"from"`
	// Grammar is plain (default), kv (t=1,v1=ab) or list (v1,ab v1,cd).
	Grammar string `yaml:"grammar"`
	// Prefix precedes the signature in the plain grammar, as sha256= does.
	Prefix string `yaml:"prefix"`
	// PrefixOptional takes a signature without Prefix too.
	PrefixOptional bool `yaml:"prefix_optional"`
	// Separator stands between the pairs of the kv grammar; default is a comma.
	Separator string `yaml:"separator"`
	// Keys are the kv keys or list versions that carry signatures; others are
	// ignored.
	Keys []string `yaml:"keys"`
	// Encoding is hex, base64, base64url (no padding) or, for tokens, text.
	Encoding string `yaml:"encoding"`
}

// Timestamp says when a request was signed and how old it may be.
type Timestamp struct {
	// From is a source; key:t is the pair t of a kv signature header.
	From string `yaml:"from"`
	// Format is s, ms (unix), rfc3339, http (Date), opaque, or a layout of Go's
	// time package.
	Format string `yaml:"format"`
	// Past is how old a request may be; zero is five minutes.
	Past time.Duration `yaml:"past"`
	// Future is how far ahead of our clock its time may be; zero is five minutes.
	Future time.Duration `yaml:"future"`
	// Unchecked turns the window off; the text is then signed but not read.
	Unchecked bool `yaml:"unchecked"`
	// WindowFirst judges the window before the signature (zoom-legacy).
	WindowFirst bool `yaml:"window_first"`
}

// Guard is a header that must hold one of the given values.
type Guard struct {
	// Source is where the value stands.
	Source string `yaml:"source"`
	// Equals are the values that pass.
	Equals []string `yaml:"equals"`
	// Optional lets a request pass that lacks the source.
	Optional bool `yaml:"optional"`
	// Reason is what a failure is called; default unsupported-algorithm.
	Reason Reason `yaml:"reason"`
}

// Identity says where an event's attributes stand. Each is a source.
type Identity struct {
	// Type is where the event's type stands.
	Type string `yaml:"type"`
	// ID is where the sender's own ID of the event stands.
	ID string `yaml:"id"`
	// Subject is where it stands what the event is about.
	Subject string `yaml:"subject"`
	// Time is where it stands when it happened.
	Time string `yaml:"time"`
	// TimeFormat is rfc3339 (default), s, ms or a layout of Go's time package.
	TimeFormat string `yaml:"time_format"`
}

// Field is one member of the object that `dedupe: fields` hashes: its key and
// the JSON paths that may hold its value, the first truthy one wins.
type Field struct {
	// Key is the name of the member.
	Key string `yaml:"key"`
	// From are the JSON paths that may hold its value.
	From []string `yaml:"from"`
}

// Ack is what the sender expects of an accepted event, where that is not the
// ordinary JSON answer with status 200.
type Ack struct {
	// Status is that of the answer.
	Status int `yaml:"status"`
	// ContentType is the answer's.
	ContentType string `yaml:"content_type"`
	// Body is that of the answer.
	Body string `yaml:"body"`
	// Empty answers with no body at all.
	Empty bool `yaml:"empty"`
	// Cases are other answers to some events; the first whose conditions hold counts.
	Cases []AckCase `yaml:"cases"`
	// Reject is the status a sender expects for a wrong signature; 0 is 401.
	Reject int `yaml:"reject"`
}

// AckCase is the answer to events of which each source has the given text.
type AckCase struct {
	// Equals are sources and the texts that they must have.
	Equals map[string]string `yaml:"equals"`
	// Status is that of the answer.
	Status int `yaml:"status"`
	// ContentType is the answer's.
	ContentType string `yaml:"content_type"`
	// Body is that of the answer.
	Body string `yaml:"body"`
	// Empty answers with no body at all.
	Empty bool `yaml:"empty"`
}

// Setting describes one of a preset's parameters.
type Setting struct {
	// Name is its key in params.
	Name string `yaml:"name"`
	// Doc says what it is.
	Doc string `yaml:"doc"`
	// Required refuses a source that does not give it.
	Required bool `yaml:"required"`
}

// Docs are a sender's facts for its owner; nothing here is executed.
type Docs struct {
	// Title is the name of the sender.
	Title string `yaml:"title"`
	// Paste says where to enter the URL.
	Paste string `yaml:"paste"`
	// Secret says where to find the secret.
	Secret string `yaml:"secret"`
	// Expects is what the sender takes as success, and how long it waits.
	Expects string `yaml:"expects"`
	// Retries says how it sends again.
	Retries string `yaml:"retries"`
	// Uncovered is what its signature does not cover.
	Uncovered string `yaml:"uncovered"`
	// Notes are what else its owner should know.
	Notes []string `yaml:"notes"`
	// Unverified says that the rule was not checked against the sender's own page.
	Unverified bool `yaml:"unverified"`
}

// JWT configures the coded verifier of senders that sign JSON Web Tokens.
type JWT struct {
	// From is the source of the token; a leading "Bearer " is dropped.
	From string `yaml:"from"`
	// Each is set where a body holds several tokens, all of which must be good.
	Each bool `yaml:"each"`
	// Algorithms are those that are taken; any other is refused.
	Algorithms []string `yaml:"algorithms"`
	// JWKS is the address of the sender's key set; empty means that keys are
	// secrets (text for HS*, PEM or JWK for others).
	JWKS string `yaml:"jwks"`
	// Issuers are those that are taken; empty takes any.
	Issuers []string `yaml:"issuers"`
	// Audience must be among the token's; may be {param:x}.
	Audience string `yaml:"audience"`
	// Claims must equal these texts, which may be {param:x}.
	Claims map[string]string `yaml:"claims"`
	// BodyHash names the claim that holds SHA-256 of the body.
	BodyHash string `yaml:"body_hash"`
	// URLHash names the claim that holds SHA-256 of the URL.
	URLHash string `yaml:"url_hash"`
	// HashEncoding is how these are written: hex or base64.
	HashEncoding string `yaml:"hash_encoding"`
	// Leeway is how far the sender's clock may be from ours.
	Leeway time.Duration `yaml:"leeway"`
}
