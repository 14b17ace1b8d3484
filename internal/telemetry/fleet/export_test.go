package fleet

import "time"

// SetWithin sets how long a reader waits for an answer.
func (r *Reader) SetWithin(d time.Duration) { r.within = d }
