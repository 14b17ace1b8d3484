package verify

// newCoded makes the coded verifier of an algorithm; known is false when there
// is none of that name. The profile's faults come back as err.
func newCoded(p Profile) (c Coded, known bool, err error) {
	switch p.Algorithm {
	case "twilio":
		c, err = newTwilio(p)
	case "mandrill":
		c, err = newMandrill(p)
	case "sns":
		c, err = newSNS(p)
	case "paypal":
		c, err = newPayPal(p)
	case "adyen":
		c, err = newAdyen(p)
	case "jwt":
		c, err = newJWT(p)
	default:
		return nil, false, nil
	}
	return c, true, err
}
