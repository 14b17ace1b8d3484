package cli

import "github.com/spf13/cobra"

// MeetingsCommand lets tests run the command with a client of theirs.
func MeetingsCommand[C meetingsClient](dial func(*cobra.Command) (C, error)) *cobra.Command {
	return meetingsCommand(dial)
}

// Ledger is what the command prints as JSON.
type Ledger = printedMeeting
