// Package verify decides whether a request comes from the sender it claims to
// come from. A [Profile] says as data what a sender signs and how; Compile
// turns it into a [Verifier]. Presets and a user's own `verify:` block are both
// profiles: nothing a preset can say is out of a user's reach. Where data
// cannot say a rule (Twilio, AWS SNS, PayPal, JWT), a [Coded] verifier stands
// behind the same Verifier.
package verify
