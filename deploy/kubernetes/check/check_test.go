// Package check_test holds the manifests against the types of Kubernetes' own API: what kustomize
// makes of base and overlay has no unknown field, every reference finds what it names, and every
// pod is hardened.
package check_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// built is what kustomize makes of a directory, decoded strictly.
type built struct {
	pods      map[string]*corev1.PodTemplateSpec // by kind/name
	selectors map[string]map[string]string
	names     map[string]bool // kind/name of everything
	sets      map[string]*appsv1.StatefulSet
	budgets   []*policyv1.PodDisruptionBudget
	services  []*corev1.Service
}

func build(t *testing.T, dir string) built {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	b := built{
		pods: map[string]*corev1.PodTemplateSpec{}, selectors: map[string]map[string]string{},
		names: map[string]bool{}, sets: map[string]*appsv1.StatefulSet{},
	}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		require.NoError(t, err)
		key := r.GetKind() + "/" + r.GetName()
		b.names[key] = true
		if r.GetKind() != "Namespace" {
			require.Equal(t, "grapnel", r.GetNamespace(), key)
		}
		decode := func(into any) { require.NoError(t, yaml.UnmarshalStrict(text, into), key) }
		switch r.GetKind() {
		case "Deployment":
			var d appsv1.Deployment
			decode(&d)
			b.pods[key], b.selectors[key] = &d.Spec.Template, d.Spec.Selector.MatchLabels
		case "StatefulSet":
			var s appsv1.StatefulSet
			decode(&s)
			b.pods[key], b.selectors[key], b.sets[r.GetName()] = &s.Spec.Template, s.Spec.Selector.MatchLabels, &s
		case "Job":
			var j batchv1.Job
			decode(&j)
			b.pods[key] = &j.Spec.Template
		case "Service":
			s := &corev1.Service{}
			decode(s)
			b.services = append(b.services, s)
		case "PodDisruptionBudget":
			p := &policyv1.PodDisruptionBudget{}
			decode(p)
			b.budgets = append(b.budgets, p)
		case "ConfigMap":
			decode(&corev1.ConfigMap{})
		case "Namespace":
			decode(&corev1.Namespace{})
		case "ServiceAccount":
			decode(&corev1.ServiceAccount{})
		case "NetworkPolicy":
			decode(&networkingv1.NetworkPolicy{})
		default:
			require.Fail(t, "no test knows this kind", key)
		}
	}
	return b
}

// each runs a test on base and overlay.
func each(t *testing.T, test func(t *testing.T, b built)) {
	t.Helper()
	for _, dir := range []string{"../base", "../overlays/existing-temporal"} {
		t.Run(dir, func(t *testing.T) { test(t, build(t, dir)) })
	}
}

func TestEveryPodIsHardened(t *testing.T) {
	each(t, func(t *testing.T, b built) {
		require.Len(t, b.pods, 3)
		for key, pod := range b.pods {
			spec := pod.Spec
			require.True(t, *spec.SecurityContext.RunAsNonRoot, key)
			require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, spec.SecurityContext.SeccompProfile.Type, key)
			require.False(t, *spec.AutomountServiceAccountToken, key)
			for _, c := range spec.Containers {
				require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, key)
				require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, key)
				require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop, key)
				require.False(t, c.Resources.Limits.Memory().IsZero(), key)
				require.False(t, c.Resources.Requests.Cpu().IsZero(), key)
			}
		}
	})
}

func TestWhatStaysIsProbedAndMayOnlyGoOneByOne(t *testing.T) {
	each(t, func(t *testing.T, b built) {
		for key, selector := range b.selectors {
			pod := b.pods[key]
			for name, value := range selector {
				require.Equal(t, value, pod.Labels[name], key)
			}
			for _, c := range pod.Spec.Containers {
				for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
					require.NotNil(t, probe, key)
					require.Equal(t, "admin", probe.HTTPGet.Port.StrVal, key)
				}
				require.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path, key)
			}
			require.GreaterOrEqual(t, *pod.Spec.TerminationGracePeriodSeconds, int64(40), "%s: what is in hand takes 30 s", key)
			require.True(t, budgeted(b.budgets, pod.Labels), key)
		}
	})
}

func budgeted(budgets []*policyv1.PodDisruptionBudget, labels map[string]string) bool {
	for _, budget := range budgets {
		selector, err := metav1.LabelSelectorAsMap(budget.Spec.Selector)
		if err == nil && subset(selector, labels) && budget.Spec.MaxUnavailable.IntVal == 1 {
			return true
		}
	}
	return false
}

func subset(part, whole map[string]string) bool {
	for k, v := range part {
		if whole[k] != v {
			return false
		}
	}
	return true
}

func TestAStarterKeepsItsSpool(t *testing.T) {
	each(t, func(t *testing.T, b built) {
		set := b.sets["grapnel-starter"]
		require.NotNil(t, set)
		require.True(t, b.names["Service/"+set.Spec.ServiceName])
		require.Equal(t, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, set.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted)
		require.Equal(t, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, set.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled)
		claim := set.Spec.VolumeClaimTemplates[0].Name
		c := set.Spec.Template.Spec.Containers[0]
		var data string
		for _, e := range c.Env {
			if e.Name == "GRAPNEL_DATA_DIR" {
				data = e.Value
			}
		}
		var mounted bool
		for _, m := range c.VolumeMounts {
			mounted = mounted || m.Name == claim && m.MountPath == data && !m.ReadOnly
		}
		require.True(t, mounted, "GRAPNEL_DATA_DIR is on the claimed volume")
	})
}

func TestReferencesFindWhatTheyName(t *testing.T) {
	each(t, func(t *testing.T, b built) {
		for key, pod := range b.pods {
			require.True(t, b.names["ServiceAccount/"+pod.Spec.ServiceAccountName], key)
			for _, v := range pod.Spec.Volumes {
				if v.ConfigMap != nil {
					require.True(t, b.names["ConfigMap/"+v.ConfigMap.Name], "%s: %s", key, v.ConfigMap.Name)
				}
			}
			for _, from := range pod.Spec.Containers[0].EnvFrom {
				if from.ConfigMapRef != nil {
					require.True(t, b.names["ConfigMap/"+from.ConfigMapRef.Name], "%s: %s", key, from.ConfigMapRef.Name)
				}
			}
		}
		for _, s := range b.services {
			found := false
			for _, pod := range b.pods {
				found = found || subset(s.Spec.Selector, pod.Labels)
			}
			require.True(t, found, "service %s selects nothing", s.Name)
		}
	})
}

func TestTheOverlaySaysWhereTemporalIs(t *testing.T) {
	b := build(t, "../overlays/existing-temporal")
	for key, pod := range b.pods {
		var keyed bool
		for _, from := range pod.Spec.Containers[0].EnvFrom {
			keyed = keyed || from.SecretRef != nil && from.SecretRef.Name == "grapnel-temporal"
		}
		require.True(t, keyed, "%s has the API key", key)
		require.False(t, strings.HasSuffix(pod.Spec.Containers[0].Image, ":local"), key)
	}
}
