package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapnel/grapnel/internal/config"
	"github.com/grapnel/grapnel/internal/program"
	"github.com/grapnel/grapnel/internal/provider"
	"github.com/grapnel/grapnel/internal/verify"
	"github.com/grapnel/grapnel/internal/verify/coded"
)

// options are the circumstances that the flags name.
func (f verifyFlags) options(ctx context.Context) (verify.Options, error) {
	o := verify.Options{Context: ctx, Now: time.Now(), Fetch: coded.HTTPFetch(http.DefaultClient)}
	if f.tolerance != 0 {
		o.Tolerance = &f.tolerance
	}
	switch f.now {
	case "":
	case "none":
		o.Now = time.Time{}
	default:
		if s, err := strconv.ParseInt(f.now, 10, 64); err == nil {
			o.Now = time.Unix(s, 0)
			break
		}
		t, err := time.Parse(time.RFC3339, f.now)
		if err != nil {
			return o, fmt.Errorf("--now %s is neither unix seconds nor RFC 3339", f.now)
		}
		o.Now = t
	}
	return o, nil
}

// judgeBy finds the rule and the secrets to judge by.
func (p Program) judgeBy(f verifyFlags) (by judgingRule, err error) {
	for _, s := range f.secrets {
		by.secrets = append(by.secrets, verify.Secret{Value: s})
	}
	switch {
	case f.source != "" && (f.provider != "" || len(f.params) > 0):
		return by, &usageError{errors.New("--source has its provider and settings of grapnel.yaml; leave --provider and --param out")}
	case f.source != "":
		s, err := p.configured(f.source)
		if err != nil {
			return by, err
		}
		by.source = s.Name
		by.verifier, by.secrets = s.Verifier, append(by.secrets, s.Credentials()...)
		if f.url == "" {
			by.url = s.URL
		}
	case f.provider != "":
		by.source = f.provider
		if by.verifier, err = f.preset(); err != nil {
			return by, err
		}
	default:
		return by, &usageError{errors.New("say by which rule to judge: --provider or --source")}
	}
	for _, s := range f.secrets {
		if err := by.verifier.CheckSecret(s); err != nil {
			return by, &usageError{fmt.Errorf("--secret: %w", err)}
		}
	}
	return by, nil
}

// configured finds a source of grapnel.yaml.
func (p Program) configured(name string) (*config.Source, error) {
	env, cfg, err := p.Configuration()
	if err != nil {
		return nil, err
	}
	s, ok := cfg.Sources[name]
	if !ok {
		return nil, &usageError{fmt.Errorf("%s has no source %q; %sits sources are %s", env.Config, name,
			didYouMean(name, slices.Sorted(maps.Keys(cfg.Sources))), strings.Join(slices.Sorted(maps.Keys(cfg.Sources)), ", "))}
	}
	return s, nil
}

// preset compiles the preset that the flags name, with their settings in the place
// of its own.
func (f verifyFlags) preset() (*verify.Verifier, error) {
	profile, ok := provider.Get(f.provider)
	if !ok {
		return nil, unknownProvider(f.provider)
	}
	given, err := nameValues(f.params)
	if err != nil {
		return nil, &usageError{err}
	}
	params := maps.Clone(profile.Params)
	if params == nil {
		params = map[string]string{}
	}
	maps.Copy(params, given)
	profile.Params = params
	v, err := provider.Compile(profile)
	if err != nil {
		return nil, &usageError{fmt.Errorf("give the settings of this provider by --param NAME=VALUE, "+
			"'%s' names them: %w", program.Command("providers "+f.provider), err)}
	}
	return v, nil
}
