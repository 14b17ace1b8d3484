package meeting_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/grapnel/grapnel/internal/meeting"
)

var three = time.Date(2023, 6, 20, 15, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return three.Add(time.Duration(minutes) * time.Minute) }

func apply(facts ...meeting.Fact) meeting.Ledger {
	var l meeting.Ledger
	for _, f := range facts {
		l.Apply(f)
	}
	return l
}

func joined(event, person string, minute int) meeting.Fact {
	return meeting.Fact{
		Event: event, Kind: meeting.Joined, Time: at(minute),
		Person: meeting.Person{Key: person, Name: strings.ToUpper(person)},
	}
}

func left(event, person string, minute int) meeting.Fact {
	return meeting.Fact{Event: event, Kind: meeting.Left, Time: at(minute), Person: meeting.Person{Key: person}}
}

func drawFact(t *rapid.T, i int) meeting.Fact {
	kinds := []meeting.Kind{meeting.Started, meeting.Ended, meeting.Joined, meeting.Left, meeting.Recorded}
	f := meeting.Fact{
		Event: fmt.Sprintf("event-%d", i),
		Kind:  rapid.SampledFrom(kinds).Draw(t, "kind"),
		Time:  at(rapid.IntRange(0, 5).Draw(t, "minute")),
		About: meeting.About{
			ID:    "abc==",
			Topic: rapid.SampledFrom([]string{"", "Weekly", "Renamed"}).Draw(t, "topic"),
		},
		Person: meeting.Person{Key: rapid.SampledFrom([]string{"ann", "bob", "cy"}).Draw(t, "person")},
	}
	if f.Kind == meeting.Recorded {
		f.Recordings = []meeting.Recording{{Type: "MP4", URL: rapid.StringN(0, 20, -1).Draw(t, "url")}}
	}
	return f
}

func TestTheSameFactsMakeTheSameLedgerWhateverTheirOrderAndRepetition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Up to 90 facts over five kinds go past the limits of three of them.
		n := rapid.IntRange(1, 90).Draw(t, "facts")
		var facts []meeting.Fact
		for i := range n {
			facts = append(facts, drawFact(t, i))
		}
		told := rapid.Permutation(append(facts, facts[:n/2]...)).Draw(t, "told")
		once, again := apply(facts...), apply(told...)
		require.Equal(t, once, again)
		require.Equal(t, once.View(), again.View())
	})
}

func TestALedgerGoesOnFromItsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "facts")
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		var whole, halves meeting.Ledger
		for i := range n {
			f := drawFact(t, i)
			whole.Apply(f)
			if i == cut {
				text, err := json.Marshal(halves)
				require.NoError(t, err)
				halves = meeting.Ledger{}
				require.NoError(t, json.Unmarshal(text, &halves))
			}
			halves.Apply(f)
		}
		require.Equal(t, whole, halves)
	})
}

func TestTheViewOfAMeeting(t *testing.T) {
	about := meeting.About{ID: "abc==", Number: "987", Topic: "Weekly", Host: "h1"}
	started := meeting.Fact{Event: "s", Kind: meeting.Started, Time: at(0), About: about}
	ended := meeting.Fact{Event: "e", Kind: meeting.Ended, Time: at(47), Began: at(0)}
	tests := []struct {
		name  string
		facts []meeting.Fact
		want  meeting.View
	}{
		{"an open meeting has no duration", []meeting.Fact{started}, meeting.View{
			About: about, State: meeting.Open, Started: at(0),
		}},
		{"a meeting that ended is over and has one", []meeting.Fact{started, ended}, meeting.View{
			About: about, State: meeting.Over, Started: at(0), Ended: at(47), Duration: "47m0s",
		}},
		{"the end alone tells the beginning", []meeting.Fact{ended}, meeting.View{
			State: meeting.Over, Started: at(0), Ended: at(47), Duration: "47m0s",
		}},
		{"a later start opens the meeting again", []meeting.Fact{
			started, ended, {Event: "s2", Kind: meeting.Started, Time: at(60)},
		}, meeting.View{About: about, State: meeting.Open, Started: at(0), Ended: at(47)}},
		{"a person who comes twice is one", []meeting.Fact{
			joined("j1", "ann", 1), joined("j2", "ann", 9), left("l1", "ann", 5),
		}, meeting.View{State: meeting.Open, People: 1, Attendance: []meeting.Attendee{{
			Person: meeting.Person{Key: "ann", Name: "ANN"}, Joined: []time.Time{at(1), at(9)},
		}}}},
		{"the last time of leaving counts", []meeting.Fact{
			left("l2", "ann", 9), joined("j1", "ann", 1), left("l1", "ann", 5), left("l3", "bob", 7),
		}, meeting.View{State: meeting.Open, People: 1, Attendance: []meeting.Attendee{{
			Person: meeting.Person{Key: "ann", Name: "ANN"}, Joined: []time.Time{at(1)}, Left: at(9),
		}}}},
		{"a recording told twice is listed once", []meeting.Fact{
			{Event: "r1", Kind: meeting.Recorded, Time: at(60), Recordings: []meeting.Recording{{Type: "MP4", URL: "u", Bytes: 7}}},
			{Event: "r2", Kind: meeting.Recorded, Time: at(61), Recordings: []meeting.Recording{
				{Type: "MP4", URL: "u", Bytes: 7}, {Type: "CHAT", URL: "v", Bytes: 1},
			}},
		}, meeting.View{State: meeting.Open, Recordings: []meeting.Recording{
			{Type: "MP4", URL: "u", Bytes: 7}, {Type: "CHAT", URL: "v", Bytes: 1},
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := apply(tt.facts...)
			require.Equal(t, tt.want, l.View())
		})
	}
}

func TestAnAbandonedMeetingSaysSoUntilItsEndIsTold(t *testing.T) {
	l := apply(joined("j", "ann", 1))
	l.Abandoned = true
	require.Equal(t, meeting.Abandoned, l.View().State)
	l.Apply(meeting.Fact{Event: "e", Kind: meeting.Ended, Time: at(9)})
	require.Equal(t, meeting.Over, l.View().State)
}

func TestAWebinarOfTenThousandStaysSmall(t *testing.T) {
	var l meeting.Ledger
	long := strings.Repeat("界", 1000)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(10_000) {
		person := meeting.Person{Key: fmt.Sprint(i, long), Name: long}
		about := meeting.About{ID: long, Topic: long, Host: long, Number: long}
		l.Apply(meeting.Fact{Event: fmt.Sprintf("%064d", i), Kind: meeting.Joined, Time: at(i), Person: person, About: about})
		l.Apply(meeting.Fact{Event: fmt.Sprintf("%064d", i), Kind: meeting.Left, Time: at(i + 1), Person: person})
	}
	for i := range 20 {
		files := make([]meeting.Recording, 100)
		for j := range files {
			files[j] = meeting.Recording{Type: long, URL: strings.Repeat("u", 499), Bytes: 1 << 40}
		}
		l.Apply(meeting.Fact{Event: fmt.Sprint(i), Kind: meeting.Recorded, Time: at(i), Recordings: files})
	}
	text, err := json.Marshal(l)
	require.NoError(t, err)
	require.Less(t, len(text), 1<<20, "the engine takes payloads of up to 2 MiB")

	v := l.View()
	require.True(t, v.Estimated)
	require.InEpsilon(t, 10_000, v.People, 0.1)
	require.Len(t, v.Attendance, 500)
	require.Equal(t, at(0), v.Attendance[0].Joined[0])
	require.Equal(t, at(499), v.Attendance[499].Joined[0])
	require.True(t, strings.HasPrefix(v.Count(), "~"))
}

func TestAnAddressThatIsTooLongIsLeftOutRatherThanCut(t *testing.T) {
	l := apply(meeting.Fact{Event: "r", Kind: meeting.Recorded, Time: at(1), Recordings: []meeting.Recording{
		{Type: "MP4", URL: "https://zoom.example/" + strings.Repeat("x", 500), Bytes: 3},
	}})
	require.Equal(t, []meeting.Recording{{Type: "MP4", Bytes: 3}}, l.View().Recordings)
}

func TestAFactOfAnUnknownKindIsNotKept(t *testing.T) {
	l := apply(meeting.Fact{Event: "x", Kind: "danced", Time: at(1)})
	require.Empty(t, l.Facts)
}
