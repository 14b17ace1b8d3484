package meeting_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/meeting"
)

func TestASketchIsExactUntilItIsFullAndCloseAfterThat(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 5000, 100_000} {
		t.Run(fmt.Sprint(n, " people"), func(t *testing.T) {
			var s meeting.Sketch
			for range 2 {
				for i := range n {
					s.Add(fmt.Sprint("person ", i))
				}
			}
			got, exact := s.Count()
			require.Equal(t, n < 1024, exact)
			if exact {
				require.Equal(t, n, got)
				return
			}
			require.InEpsilon(t, n, got, 0.1)
		})
	}
}

func FuzzASketchFromOutsideIsRefusedOrKeepsItsRules(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("AAAAAAAAAAE="))
	f.Add([]byte("////////////////////////////////"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s meeting.Sketch
		if s.UnmarshalText(text) != nil {
			return
		}
		n, exact := s.Count()
		require.True(t, exact || n > 0)
		once, err := s.MarshalText()
		require.NoError(t, err)
		s.Add("someone")
		s.Add("someone")
		var back meeting.Sketch
		require.NoError(t, back.UnmarshalText(once))
		back.Add("someone")
		require.Equal(t, s, back)
	})
}
