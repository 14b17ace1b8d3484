package worker

import "go.temporal.io/sdk/interceptor"

// Observe makes the interceptor that tells an observer.
func Observe(o Observer) interceptor.WorkerInterceptor { return observe(o) }
