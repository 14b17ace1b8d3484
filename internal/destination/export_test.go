package destination

import "time"

// Encode is what a header has of sender text.
func Encode(s string) string { return encodeHeader(s) }

// RetryAfter reads the header of that name.
func RetryAfter(s string, now time.Time) time.Duration { return retryAfter(s, now) }
