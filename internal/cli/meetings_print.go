package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/grapnel/grapnel/internal/event"
	"github.com/grapnel/grapnel/internal/meeting"
	"github.com/grapnel/grapnel/internal/program"
)

// maxTopic is the length in characters of a topic in a table.
const maxTopic = 40

func printMeetings(w io.Writer, all []printedMeeting) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "No meetings yet. Try: "+program.Command("send zoom"))
		return err
	}
	rows := [][]string{{"TOPIC", "STARTED", "DURATION", "PEOPLE", "RECORDINGS", "STATE", "UUID"}}
	for _, l := range all {
		if l.Error != "" {
			rows = append(rows, []string{"-", "-", "-", "-", "-", "unknown", strings.TrimPrefix(l.WorkflowID, "meeting-")})
			continue
		}
		rows = append(rows, []string{
			event.Clean(l.Topic, maxTopic), shownTime(l.Started), l.Duration, l.Count(),
			fmt.Sprint(len(l.Recordings)), string(l.State), l.ID,
		})
	}
	return printTable(w, rows)
}

func printMeeting(w io.Writer, v meeting.View) error {
	if err := printTable(w, [][]string{
		{"Topic", v.Topic},
		{"UUID", v.ID},
		{"Number", v.Number},
		{"Host", v.Host},
		{"State", string(v.State)},
		{"Started", shownTime(v.Started)},
		{"Ended", shownTime(v.Ended)},
		{"Duration", v.Duration},
		{"People", v.Count()},
	}); err != nil {
		return err
	}
	attendance := [][]string{{"\nWHO", "JOINED", "LEFT", "VISITS"}}
	for _, a := range v.Attendance {
		attendance = append(attendance, []string{a.Name, shownTime(a.Joined[0]), shownTime(a.Left), fmt.Sprint(len(a.Joined))})
	}
	recordings := [][]string{{"\nRECORDING", "BYTES", "URL"}}
	for _, r := range v.Recordings {
		recordings = append(recordings, []string{r.Type, fmt.Sprint(r.Bytes), r.URL})
	}
	for _, rows := range [][][]string{attendance, recordings} {
		if len(rows) == 1 {
			continue
		}
		if err := printTable(w, rows); err != nil {
			return err
		}
	}
	return nil
}

// printTable lines columns up. An empty cell is a dash.
func printTable(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		// The table keeps what is written to it; Flush tells of errors.
		_, _ = fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}
