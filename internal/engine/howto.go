package engine

import (
	"fmt"
	"strings"
	"time"
)

// The texts that tell people what grapnel may not do itself. The commands are
// those of the Temporal CLI and of tcld, Temporal Cloud's own tool.

func (r *setupRun) days() int {
	return max(1, int((r.options.Retention+24*time.Hour-1)/(24*time.Hour)))
}

func (r *setupRun) howToMakeNamespace() string {
	return fmt.Sprintf("Let someone who may run `temporal operator namespace create --namespace %s --retention %s`; "+
		"on Temporal Cloud make it in the web UI or with `tcld namespace create --namespace %s --region REGION --retention-days %d`. Then repeat `grapnel setup`.",
		r.options.Namespace, hours(r.options.Retention), r.options.Namespace, r.days())
}

func (r *setupRun) howToSetRetention() string {
	return fmt.Sprintf("Let someone who may run `temporal operator namespace update --namespace %s --retention %s`; "+
		"on Temporal Cloud set it in the web UI or with `tcld namespace retention set --namespace %s --retention-days %d`.",
		r.options.Namespace, hours(r.options.Retention), r.options.Namespace, r.days())
}

func (r *setupRun) howToAdd(names []string) string {
	types := SearchAttributes()
	var self, cloud strings.Builder
	for _, name := range names {
		fmt.Fprintf(&self, " --name %s --type %s", name, types[name])
		fmt.Fprintf(&cloud, " --search-attribute %s=%s", name, types[name])
	}
	return fmt.Sprintf("Let someone who may run `temporal operator search-attribute create --namespace %s%s`; "+
		"on Temporal Cloud add them in the web UI or with `tcld namespace search-attributes add --namespace %s%s`. Then repeat `grapnel setup`.",
		r.options.Namespace, self.String(), r.options.Namespace, cloud.String())
}
