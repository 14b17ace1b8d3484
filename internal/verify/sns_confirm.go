package verify

import "net/url"

// confirmable reports whether the SubscribeURL is an address of SNS that confirms the message's topic
// and does nothing else.
func (m snsMessage) confirmable() bool {
	address, err := httpsURL(m.fields["SubscribeURL"])
	if err != nil || !snsHost.MatchString(address.Host) {
		return false
	}
	query, err := url.ParseQuery(address.RawQuery)
	return err == nil && len(query["Action"]) == 1 && query.Get("Action") == "ConfirmSubscription" &&
		len(query["TopicArn"]) == 1 && query.Get("TopicArn") == m.fields["TopicArn"]
}

// confirm visits the SubscribeURL of a verified and confirmable message.
func (m snsMessage) confirm(o Options) error {
	if o.Fetch == nil {
		return codedFailure(Unavailable, "Fetching is not allowed here, so the subscription was not confirmed.")
	}
	ctx, cancel := fetchContext(o)
	defer cancel()
	if _, err := o.Fetch(ctx, m.fields["SubscribeURL"]); err != nil {
		return codedFailure(Unavailable, "The subscription could not be confirmed.")
	}
	return nil
}
