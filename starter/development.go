package starter

import (
	"errors"
	"fmt"

	"github.com/gofiber/fiber/v2"

	"github.com/grapnel/grapnel/internal/verify"
)

// trust gives a source what samples are judged by that this machine has signed, if the
// source takes them. A receiver that others reach refuses such a source.
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

// isSample tells whether the request is to be judged as one that this machine has signed,
// and what is wrong with it. Only a request that comes from this machine, by nobody's hands,
// is looked at so. Senders whose certificates or keys are fetched send none such: nothing is
// fetched for it.
func (x *exchange) isSample(o verify.Options) (sample bool, err error) {
	t := x.door.trust
	if t == nil || !x.origin.peer.IsLoopback() || x.isForwarded() {
		return false, nil
	}
	o.Certificate, o.Fetch = t.Certificate, nil
	err = x.door.verifier.Verify(&x.request, t.Secrets, o)
	var f *verify.Failure
	// The window is judged when the signature has been found good.
	x.sample = err == nil || errors.As(err, &f) && f.Step == verify.StepWindow && !x.door.profile.Timestamp.WindowFirst
	return x.sample || x.door.verifier.Traits().Fetches, err //nolint:wrapcheck // It is judged by its type.
}

// isForwarded tells whether a proxy or a tunnel has passed the request on.
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
