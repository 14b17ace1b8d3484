package verify

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// verifyEach judges a body that holds several tokens, as Microsoft Graph's collections of change
// notifications do. Every token must be good. With secrets, every notification's clientState must be
// one of them, and tokens are needed where a notification carries resource data; without secrets the
// tokens are all there is, so they are always needed.
// https://learn.microsoft.com/graph/change-notifications-with-resource-data
func (j *jwt) verifyEach(r *Request, secrets []Secret, o Options) error {
	body, err := strictObject(r.Body, []string{"value", "validationTokens"}, nil, []string{"clientState", "encryptedContent"})
	if err != nil {
		return codedFailure(MissingSignature, "The body is not an unambiguous JSON object.")
	}
	needed := true
	if len(secrets) > 0 {
		states, err := codedKeys(secrets, o)
		if err != nil {
			return err
		}
		if needed, err = checkClientStates(body, states); err != nil {
			return err
		}
	}
	tokens, err := j.bodyTokens(body)
	if err != nil {
		return err
	}
	if needed && len(tokens) == 0 {
		return codedFailure(MissingSignature, "The notifications came without tokens.")
	}
	for _, token := range tokens {
		if err := j.verifyToken(token, r, nil, o); err != nil {
			return err
		}
	}
	return nil
}

// bodyTokens returns the texts of the list of tokens in a body; the list may be absent.
func (j *jwt) bodyTokens(body map[string]any) ([]string, error) {
	path := strings.TrimSuffix(strings.TrimPrefix(j.options.From, "body:"), "[]")
	var value any = body
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	if value == nil {
		return nil, nil
	}
	list, ok := value.([]any)
	if !ok || len(list) > maxTokens {
		return nil, codedFailure(MalformedSignature, "The tokens are not a list, or too many.")
	}
	tokens := make([]string, 0, len(list))
	for _, one := range list {
		token, ok := one.(string)
		if !ok {
			return nil, codedFailure(MalformedSignature, "A token is not a text.")
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// checkClientStates compares the clientState of every notification with the secrets, and reports
// whether a notification carries resource data.
func checkClientStates(body map[string]any, states []string) (rich bool, err error) {
	list, _ := body["value"].([]any)
	if len(list) == 0 {
		return false, codedFailure(MissingSignature, "The body holds no notifications.")
	}
	for _, one := range list {
		notification, _ := one.(map[string]any)
		state, _ := notification["clientState"].(string)
		if state == "" {
			return false, codedFailure(MissingSignature, "A notification has no clientState.")
		}
		if !equalsAny(state, states) {
			return false, codedFailure(TokenMismatch, "A notification's clientState is not the source's.")
		}
		if notification["encryptedContent"] != nil {
			rich = true
		}
	}
	return rich, nil
}

// equalsAny compares a text with several in a time that does not depend on what they hold.
func equalsAny(text string, wanted []string) bool {
	sum, found := sha256.Sum256([]byte(text)), 0
	for _, want := range wanted {
		other := sha256.Sum256([]byte(want))
		found |= subtle.ConstantTimeCompare(sum[:], other[:])
	}
	return found == 1
}
