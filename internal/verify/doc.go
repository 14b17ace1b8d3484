// Package verify decides whether a request comes from the sender it claims to come from. A
// [Profile] says as data what a sender signs and how; Compile turns it into a [Verifier]. Presets
// and `verify:` blocks are both profiles, so a user can write all that a preset can. Where data
// can't express a rule (Twilio, AWS SNS, PayPal, JWT), the Verifier calls a [Coded] one.
package verify
