package layout_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// directives reads nginx.conf far enough for these tests: each simple directive with its arguments,
// comments and blocks left out.
func directives(t *testing.T) map[string][]string {
	t.Helper()
	conf := regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(read(t, "deploy/compose/nginx/nginx.conf"), "")
	require.Equal(t, strings.Count(conf, "{"), strings.Count(conf, "}"), "every block is closed")
	found := map[string][]string{}
	for _, match := range regexp.MustCompile(`(?s)([a-z_]+)\s+([^;{}]+);`).FindAllStringSubmatch(conf, -1) {
		found[match[1]] = append(found[match[1]], strings.Join(strings.Fields(match[2]), " "))
	}
	return found
}

func TestTheProxySendsToTheStarters(t *testing.T) {
	project := compose(t)
	servers := directives(t)["server"]
	require.Len(t, servers, 2)
	starters := map[string]string{} // by address
	for name, service := range project.Services {
		if len(service.Command) == 1 && service.Command[0] == "starter" {
			starters[service.Networks["grapnel"].Ipv4Address] = name
		}
	}
	for _, server := range servers {
		address, port, ok := strings.Cut(strings.Fields(server)[0], ":")
		require.True(t, ok, server)
		require.Contains(t, starters, address)
		require.Contains(t, project.Services["proxy"].DependsOn, starters[address])
		require.Contains(t, read(t, "Dockerfile"), "EXPOSE "+port)
	}
}

func TestTheProxyListensWhereItIsPublishedAndChecked(t *testing.T) {
	proxy := compose(t).Services["proxy"]
	require.Equal(t, []string{"8080"}, directives(t)["listen"])
	require.Len(t, proxy.Ports, 1)
	require.Equal(t, uint32(8080), proxy.Ports[0].Target)
	require.Contains(t, proxy.HealthCheck.Test[len(proxy.HealthCheck.Test)-1], ":8080/proxy-health")
}

func TestTheProxyHandsOverTheClientAndNothingAStrangerClaims(t *testing.T) {
	require.ElementsMatch(t, []string{
		"Host $http_host",
		"X-Forwarded-Host $http_host",
		"X-Forwarded-Proto $client_scheme",
		"X-Forwarded-For $remote_addr",
	}, directives(t)["proxy_set_header"])
}

func TestTheProxyRepeatsOnlyWhatWasNotSent(t *testing.T) {
	require.Equal(t, []string{"error timeout"}, directives(t)["proxy_next_upstream"],
		"with non_idempotent or a status a POST would be sent twice")
	require.Contains(t, read(t, "deploy/compose/nginx/door.conf"), "proxy_pass http://starters;", "a path of its own would rewrite the URL")
}

func TestTheExampleConfigurationTrustsTheProxyAlone(t *testing.T) {
	project := compose(t)
	address, err := netip.ParseAddr(project.Services["proxy"].Networks["grapnel"].Ipv4Address)
	require.NoError(t, err)
	subnet, err := netip.ParsePrefix(project.Networks["grapnel"].Ipam.Config[0].Subnet)
	require.NoError(t, err)
	require.True(t, subnet.Contains(address))
	trusted := regexp.MustCompile(`(?m)^trusted_proxies: \[(.*?)\]`).FindStringSubmatch(read(t, "grapnel.yaml"))
	require.NotNil(t, trusted)
	require.Equal(t, `"`+netip.PrefixFrom(address, address.BitLen()).String()+`"`, trusted[1],
		"behind any other setting the starters take the proxy for every client")
}

func TestTheImageIsStaticAndWithoutRights(t *testing.T) {
	dockerfile := read(t, "Dockerfile")
	require.Contains(t, dockerfile, "CGO_ENABLED=0")
	_, final, ok := strings.Cut(dockerfile, "\nFROM scratch\n")
	require.True(t, ok, "the last stage starts from nothing")
	require.NotContains(t, final, "\nFROM ")
	require.NotContains(t, final, "\nRUN ", "there is no shell to run it")
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(final)
	require.NotNil(t, user, "a numeric user, so that an orchestrator can see that it is not root")
	require.NotEqual(t, "0", user[1])
	require.NotEqual(t, "0", user[2])
	require.Contains(t, final, "--chown="+user[1]+":"+user[2]+" /out/data /data", "the spool's volume is the user's own")
	require.Contains(t, final, "ca-certificates.crt")
}
