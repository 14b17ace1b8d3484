package fleet

import "time"

// SetWithin sets how long an answer is waited for.
func (r *Reader) SetWithin(d time.Duration) { r.within = d }
