package series

// The names of the series. One that ends in a colon goes on with a source, a
// route, an outcome or a reason.
const (
	// Outcome counts requests at the door by how they were answered.
	Outcome = "outcome:"
	// Received counts verified requests of a source, Refused the refused ones.
	Received = "received:"
	Refused  = "refused:"
	// Handled and Died count events of a source by how they ended.
	Handled = "handled:"
	Died    = "died:"
	// Reason counts new dead letters by why.
	Reason = "reason:"
	// Attempt counts attempts at a route that ended in a result: "attempt:done:crm".
	Attempt = "attempt:"
	// Tries counts deliveries by how many attempts they took.
	Tries = "tries:"
	// Answer is the spread of answer times, Route that of the attempts at a route.
	Answer = "answer"
	Route  = "route:"
	// DeadLetters and DeadAge are how many dead letters are open and how many seconds
	// old the oldest one is.
	DeadLetters = "dead letters"
	DeadAge     = "dead letters age"
	// Spool and SpoolAge are the same of events that wait on disk.
	Spool    = "spool"
	SpoolAge = "spool age"
	// Running is how many events are under way, RunningAge how old the oldest is.
	Running    = "running"
	RunningAge = "running age"
)
