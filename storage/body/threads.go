package body

import (
	"strings"

	"rookery/storage/keys"
	"rookery/storage/message"
)

// ThreadTokens are the keyed tokens by which a message's conversation is found:
// of its References, In-Reply-To and Message-ID; and, when it refers to
// no other message, of its base subject.
func ThreadTokens(e *message.Extract, k *keys.AccountKey) [][8]byte {
	out := make([][8]byte, 0, len(e.References)+len(e.InReplyTo)+2)
	seen := make(map[string]bool, cap(out))
	add := func(id string) {
		if id != "" && !seen[id] {
			seen[id] = true
			out = append(out, k.ThreadToken(keys.TokenMessageID, id))
		}
	}
	for _, id := range e.References {
		add(id)
	}
	for _, id := range e.InReplyTo {
		add(id)
	}
	refers := len(out) > 0
	add(e.MessageID)
	if !refers && e.BaseSubject != "" {
		out = append(out, k.ThreadToken(keys.TokenSubject, strings.ToLower(e.BaseSubject)))
	}
	return out
}
