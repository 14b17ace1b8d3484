package starter

import (
	"errors"
	"fmt"

	"github.com/gofiber/fiber/v2"

	"github.com/grapnel/grapnel/internal/verify"
)

// trust gives a door what verifies samples that are signed with this machine's development key,
// if its source takes them. A receiver that others than this machine reach refuses such a source.
func (s *Starter) trust(d *door) error {
	if !d.source.Development {
		return nil
	}
	if s.development == nil {
		return fmt.Errorf("sources.%s.development: the receiver takes no samples as events, because it does not listen on loopback alone or GRAPNEL_DATA_DIR is not set; remove it", d.source.Name)
	}
	key, err := s.development()
	if err != nil {
		return err
	}
	trust, err := key.Trust(d.verifier, d.secrets)
	d.trust = &trust
	return err //nolint:wrapcheck // It says what it is about.
}

// isSample tells whether the request is to be judged as a sample that is signed with this
// machine's development key, and what is wrong with it. Only a request that comes directly from
// this machine can be one. Where the source's sender would have certificates or keys fetched,
// every such request is judged as a sample, so that nothing is fetched for it.
func (x *exchange) isSample(o verify.Options) (sample bool, err error) {
	t := x.door.trust
	if t == nil || !x.origin.peer.IsLoopback() || x.isForwarded() {
		return false, nil
	}
	o.Certificate, o.Fetch = t.Certificate, nil
	err = x.door.verifier.Verify(&x.request, t.Secrets, o)
	var f *verify.Failure
	// The window is checked after the signature, so the signature was good.
	x.sample = err == nil || errors.As(err, &f) && f.Step == verify.StepWindow && !x.door.profile.Timestamp.WindowFirst
	return x.sample || x.door.verifier.Traits().Fetches, err //nolint:wrapcheck // It is judged by its type.
}

// isForwarded tells whether a proxy or a tunnel passed the request on.
func (x *exchange) isForwarded() bool {
	for _, name := range []string{
		fiber.HeaderXForwardedFor, fiber.HeaderXForwardedHost, fiber.HeaderXForwardedProto, fiber.HeaderForwarded, fiber.HeaderVia, "X-Real-IP",
	} {
		if len(x.framing.fields.Values(name)) > 0 {
			return true
		}
	}
	return false
}
