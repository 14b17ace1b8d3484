package verify

import "time"

// Profile is what a preset and a `verify:` block say of a sender: what it signs, what identifies
// its events, which handshakes it holds and which answer it expects. Places in a request are
// written header:X, query:x, form:x, body:path or key:t.
type Profile struct {
	// Algorithm is one of hmac-sha1, hmac-sha256, hmac-sha512; sha1, sha256,
	// sha512 (a plain hash over a content that holds {secret}); ed25519;
	// ecdsa-p256-sha256 (ASN.1 DER); token, bearer, basic (nothing is signed);
	// none (the sender offers nothing); or a coded one: twilio, mandrill, sns,
	// paypal, adyen, jwt.
	Algorithm string `yaml:"algorithm"`
	// Key says how the text of a secret becomes key bytes: raw (default), hex, base64, base64url,
	// whsec, whpk, spki or qqbot. The form of a secret is never guessed.
	Key string `yaml:"key"`
	// Content is the template of the signed bytes; by default {body}. It may hold {body}
	// {timestamp} {id} {url} {url_noquery} {method} {secret} {header:X} {query:x} {json:path}
	// {param:x}. {{ is a literal brace.
	Content string `yaml:"content"`
	// Signature says where signatures stand and how they are written.
	Signature Signature `yaml:"signature"`
	// Timestamp says when a request was signed and how old it may be.
	Timestamp Timestamp `yaml:"timestamp"`
	// MessageID says where {id} is found. A request without it is refused.
	MessageID string `yaml:"message_id"`
	// KeyID says where the sender names the key that it signed with. The secrets with that key_id
	// are tried, and those without one.
	KeyID string `yaml:"key_id"`
	// Guards are headers that must hold one of the given values.
	Guards []Guard `yaml:"guards"`
	// URLUnescape lists characters whose percent-escapes may be undone in {url} before it is
	// signed (HubSpot v3). The URL as it came is tried first.
	URLUnescape string `yaml:"url_unescape"`
	// Methods are the methods with which events come; by default POST.
	Methods []string `yaml:"methods"`

	// Identity says where an event's attributes stand.
	Identity Identity `yaml:"identity"`
	// Handshakes are requests by which the sender tries the endpoint out; they are answered and
	// are no events.
	Handshakes []Handshake `yaml:"handshakes"`
	// Body is the kind of the sender's bodies: json (the default; a body that is not JSON is
	// refused), form, multi (JSON or form) or bytes.
	Body string `yaml:"body"`
	// Batch says that a body may hold several events.
	Batch *Batch `yaml:"batch"`
	// Gzip says that the sender may compress a body after it has signed it (Stream). Without it
	// the bytes that came over the wire are verified.
	Gzip bool `yaml:"gzip"`
	// Dedupe says how events of this sender are told apart: id, fields, body (the default),
	// signed (by all that is signed; the default where the body is not signed) or none.
	Dedupe string `yaml:"dedupe"`
	// Again is the time after which the same content counts as a new event, for senders that say
	// only that something has changed (Dropbox). Zero is never.
	Again time.Duration `yaml:"again"`
	// Fields are the members of the object that `dedupe: fields` hashes.
	Fields []Field `yaml:"fields"`
	// Ack is the answer that the sender expects for an accepted event.
	Ack Ack `yaml:"ack"`

	// Settings are the values, besides secrets, that the owner of a source gives. {param:x} and
	// header names refer to them.
	Settings []Setting `yaml:"settings"`
	// Params are the values of Settings.
	Params map[string]string `yaml:"params"`
	// JWT says how the tokens of senders that sign JSON Web Tokens are verified.
	JWT *JWT `yaml:"jwt"`
	// Docs are facts about the sender for the owner of a source.
	Docs Docs `yaml:"docs"`
}

// Signature says where signatures stand and how they are written.
type Signature struct {
	// Headers are the names that the signature header has had, the newest first. The first that a
	// request has counts. A name may be {param:x}.
	Headers []string `yaml:"headers"`
	// Every says that each of Headers holds a signature of its own.
	Every bool `yaml:"every"`
	// Pattern is the name of numbered headers: X-DocuSign-Signature-{n}, with n from 1 to 100.
	Pattern string `yaml:"pattern"`
	// KeyPerHeader checks the n-th of Headers with the n-th secret only (Box).
	KeyPerHeader bool `yaml:"key_per_header"`
	// From says where the signature is found if not in a header: body:, query: or form:.
	// body:value[].state takes the token of every element of a list; all of them must be good.
	From string `yaml:"from"`
	// Grammar says how the header is written: plain (the default), kv (t=1,v1=ab) or list (v1,ab
	// v1,cd).
	Grammar string `yaml:"grammar"`
	// Prefix stands before the signature in the plain grammar, as sha256= does.
	Prefix string `yaml:"prefix"`
	// PrefixOptional says that the prefix may be missing.
	PrefixOptional bool `yaml:"prefix_optional"`
	// Separator stands between the pairs of the kv grammar; by default a comma.
	Separator string `yaml:"separator"`
	// Keys are the kv keys or list versions that hold signatures. Others are ignored.
	Keys []string `yaml:"keys"`
	// Encoding is hex, base64, base64url (no padding) or, for tokens, text.
	Encoding string `yaml:"encoding"`
}

// Timestamp says when a request was signed and how old it may be.
type Timestamp struct {
	// From says where the timestamp is found; key:t is the pair t of a kv signature header.
	From string `yaml:"from"`
	// Format is s, ms (unix), rfc3339, http (Date), opaque, or a layout of Go's
	// time package.
	Format string `yaml:"format"`
	// Past is how old a request may be; by default five minutes.
	Past time.Duration `yaml:"past"`
	// Future is how far ahead of the receiver's clock the timestamp may be; by default five
	// minutes.
	Future time.Duration `yaml:"future"`
	// Unchecked turns the window off: the timestamp is signed, and its value does not count.
	Unchecked bool `yaml:"unchecked"`
	// WindowFirst says to check the window before the signature (zoom-legacy).
	WindowFirst bool `yaml:"window_first"`
}

// Guard is a header that must hold one of the given values.
type Guard struct {
	// Source says where the value is found.
	Source string `yaml:"source"`
	// Equals are the allowed values.
	Equals []string `yaml:"equals"`
	// Optional allows a request that does not have the value.
	Optional bool `yaml:"optional"`
	// Reason is the reason that a refusal gives; by default unsupported-algorithm.
	Reason Reason `yaml:"reason"`
}

// Identity says where an event's attributes are found.
type Identity struct {
	// Type says where the event's type is found.
	Type string `yaml:"type"`
	// ID says where the sender's own ID of the event is found.
	ID string `yaml:"id"`
	// Subject says where it is found what the event is about.
	Subject string `yaml:"subject"`
	// Time says where it is found when the event happened.
	Time string `yaml:"time"`
	// TimeFormat says how Time is written: rfc3339 (the default), s, ms or a layout of Go's time
	// package.
	TimeFormat string `yaml:"time_format"`
}

// Field is one member of the object that `dedupe: fields` hashes: its key and the JSON paths that
// may hold its value. The first value that JavaScript calls truthy counts.
type Field struct {
	// Key is the name of the member.
	Key string `yaml:"key"`
	// From are the JSON paths that may hold its value.
	From []string `yaml:"from"`
}

// Ack is the answer that the sender expects for an accepted event, where that is not the ordinary
// JSON answer with status 200.
type Ack struct {
	// Status is that of the answer.
	Status int `yaml:"status"`
	// ContentType is the answer's.
	ContentType string `yaml:"content_type"`
	// Body is that of the answer.
	Body string `yaml:"body"`
	// Empty answers with no body at all.
	Empty bool `yaml:"empty"`
	// Cases are other answers to some events. The first whose conditions hold counts.
	Cases []AckCase `yaml:"cases"`
	// Reject is the HTTP status that the sender expects for a wrong signature; by default 401.
	Reject int `yaml:"reject"`
}

// AckCase is the answer to events that have given texts in given places.
type AckCase struct {
	// Equals names the places and the texts that they must hold.
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

// Setting describes a value that the owner of a source gives.
type Setting struct {
	// Name is the value's key in params.
	Name string `yaml:"name"`
	// Doc says what the value is.
	Doc string `yaml:"doc"`
	// Required says that a source must give the value.
	Required bool `yaml:"required"`
}

// Docs are facts about the sender for the owner of a source. Nothing here has any effect.
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
	// From says where the token is found; a leading "Bearer " is dropped.
	From string `yaml:"from"`
	// Each says that the body holds several tokens, all of which must be good.
	Each bool `yaml:"each"`
	// Algorithms are the allowed algorithms.
	Algorithms []string `yaml:"algorithms"`
	// JWKS is the address of the sender's key set. Without it the source's secrets are the keys:
	// a text for HS*, PEM or JWK for others.
	JWKS string `yaml:"jwks"`
	// Issuers are the allowed issuers; without any, all are allowed.
	Issuers []string `yaml:"issuers"`
	// Audience must be among the token's audiences. It may be {param:x}.
	Audience string `yaml:"audience"`
	// Claims names claims and the texts that they must have, which may be {param:x}.
	Claims map[string]string `yaml:"claims"`
	// BodyHash names the claim that holds the SHA-256 of the body.
	BodyHash string `yaml:"body_hash"`
	// URLHash names the claim that holds the SHA-256 of the URL.
	URLHash string `yaml:"url_hash"`
	// HashEncoding says how these hashes are written: hex or base64.
	HashEncoding string `yaml:"hash_encoding"`
	// Leeway is how far the sender's clock may be from the receiver's.
	Leeway time.Duration `yaml:"leeway"`
}
