package layout_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grapnel/grapnel/internal/config"
)

func TestTheClusterSetsOnlyVariablesThatExist(t *testing.T) {
	var known strings.Builder
	require.NoError(t, config.DescribeEnv(&known))
	for name, service := range compose(t).Services {
		for variable := range service.Environment {
			if strings.HasPrefix(variable, "GRAPNEL_") {
				require.Contains(t, known.String(), "`"+variable+"`", "%s sets it and nothing reads it", name)
			}
		}
	}
}
