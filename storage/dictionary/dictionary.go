// Package dictionary makes the zstd dictionaries that bodies are compressed
// with: it trains one on samples of a site's mail, and has a generic one for
// the time before.
//
// A dictionary is read by whoever may read any mail of the site, and outlives
// the accounts it was trained on. So nothing comes into one but byte strings
// that several accounts have, in several conversations: see Train. The package
// never stores a dictionary, seals none, and decides nothing about when one is
// trained or used.
package dictionary

import (
	"rookery"
	"rookery/storage/body"
)

// Bounds of training. They bound its memory to about twelve times MaxText.
const (
	// MaxText bounds the text of all samples together, in bytes.
	MaxText = 8 << 20
	// MaxSample bounds the text of one sample: what stands first in a message
	// repeats most.
	MaxSample = 8 << 10
	// MaxSamples bounds the samples.
	MaxSamples = 4000
	// MinSamples is how many samples a dictionary needs to be worth its name.
	MinSamples = 200
	// MinAccounts is the least that Train takes for the number of accounts and
	// conversations a string must occur in.
	MinAccounts = 3
)

// Size is how large a dictionary's content may become, in bytes. Larger ones
// gain less than two percent and cost every message time.
const Size = 64 << 10

// Sample is the beginning of a message as one account has it.
type Sample struct {
	Account rookery.AccountID
	// Talk names the conversation the message belongs to, by what is equal for
	// all copies of it and all answers to it.
	Talk string
	Text []byte
}

// Talk names the conversation of a message for Sample: the id of its first
// message, as far as the message tells. Messages that tell nothing count as one
// conversation, the empty one.
func Talk(e *body.Extract) string {
	for _, ids := range [][]string{e.References, e.InReplyTo} {
		if len(ids) > 0 {
			return ids[0]
		}
	}
	return e.MessageID
}

// Cut is what Train looks at of a message.
func Cut(message []byte) []byte { return message[:min(len(message), MaxSample)] }
