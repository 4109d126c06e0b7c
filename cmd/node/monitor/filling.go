package monitor

import "rookery/cmd/node/peers"

// filling says which queues for other systems are nearly full, how full, and what
// can be done.
func filling(all []peers.Filling, problem func(string, ...any)) {
	for _, f := range all {
		const mend = "see rookery queue summary for what keeps it, then mend that or cancel or bounce what nobody needs; or set " +
			"outbound.queue_messages or outbound.queue_size higher"
		what := "is nearly full"
		if f.Items >= f.MostItems || f.Bytes >= f.MostBytes {
			what = "is full, and senders are told to try again (452)"
		}
		problem("group %d: its queue for other systems %s: %d of %d messages (%d%%), %d of %d bytes (%d%%); %s", f.Group, what,
			f.Items, f.MostItems, f.Items*100/max(f.MostItems, 1), f.Bytes, f.MostBytes, f.Bytes/max(f.MostBytes/100, 1), mend)
	}
}
