package destination_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/destination"
)

func TestDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	for _, test := range []struct {
		name, host string
		allow      []string
		refused    bool
	}{
		{"a loopback address", "127.0.0.1", nil, true},
		{"a name that leads to one", "localhost", nil, true},
		{"another name is allowed", "localhost", []string{"keys.example.com"}, true},
		{"its name is allowed", "localhost", []string{"LocalHost"}, false},
		{"its address is named", "127.0.0.1", []string{"127.0.0.1"}, false},
		{"its network is allowed", "localhost", []string{"127.0.0.0/8"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dial, err := destination.Dialer(test.allow, 5*time.Second)
			require.NoError(t, err)
			c, err := dial(t.Context(), "tcp4", net.JoinHostPort(test.host, port))
			if test.refused {
				var refused *destination.RefusedError
				require.ErrorAs(t, err, &refused)
				return
			}
			require.NoError(t, err)
			require.NoError(t, c.Close())
		})
	}
	t.Run("a list that is none", func(t *testing.T) {
		_, err := destination.Dialer([]string{"http://x"}, time.Second)
		require.Error(t, err)
	})
}
