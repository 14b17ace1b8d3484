package engine

// tuning is one of Temporal's dynamic settings in which the embedded engine differs
// from the Temporal CLI's dev server. Its value is JSON, as the CLI takes it.
type tuning struct {
	name, value string
	// limit marks the settings that take limits away, not costs.
	limit bool
}

// tunings gives the dynamic settings of the embedded engine, each with its reason.
// What they save was measured one by one against the engine without any of them;
// docs/performance.md has the figures. None of them gives up durability: every
// transaction is synced as before.
func tunings() []tuning {
	return []tuning{
		// It does not call home for newer versions.
		{name: "frontend.enableServerVersionCheck", value: "false", limit: true},
		// It is not limited per second as a cluster of many tenants must be; the disk is
		// what bounds it.
		{name: "frontend.rps", value: "100000", limit: true},
		{name: "frontend.namespaceRPS", value: "100000", limit: true},
		{name: "history.rps", value: "100000", limit: true},
		{name: "matching.rps", value: "100000", limit: true},

		// Visibility records are written by the batch, five times a second instead of
		// twenty: SQLite's one connection is free for starts meanwhile. The batch holds what
		// five polls a second must take at a full rate of 2,000 records a second.
		{name: "history.visibilityProcessorMaxPollRPS", value: "5"},
		{name: "history.visibilityTaskBatchSize", value: "400"},
		// The CLI has the dev server read the search attributes from the database in each
		// call that uses one. They can be cached: on SQL what is cached are the numbered
		// columns, which never change, and the namespace's names for them, which the
		// namespace's own cache holds in any case. Setup waits until a new name is known.
		{name: "system.forceSearchAttributesCacheRefreshOnRead", value: "false"},
		// The second that Temporal puts between two runs of one ID makes a dead letter and
		// its replay wait for it.
		{name: "history.workflowIdReuseMinimalInterval", value: `"1ms"`},
		// A run that was deleted leaves the list only when the transfer queue's position is
		// saved past its close: every 30 s by default, so replayed dead letters stay listed
		// for so long.
		{name: "history.transferProcessorUpdateAckInterval", value: `"200ms"`},
	}
}

// dynamicConfig gives the settings as the Temporal CLI takes them; of a stock
// engine only those that take limits away, without which a comparison with it
// would measure its limits.
func dynamicConfig(stock bool) []string {
	var settings []string
	for _, t := range tunings() {
		if t.limit || !stock {
			settings = append(settings, t.name+"="+t.value)
		}
	}
	return settings
}
