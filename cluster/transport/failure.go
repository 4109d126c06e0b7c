package transport

import (
	"errors"
	"fmt"

	"rookery"
)

// ErrNoHandler is in the chain when the other node does not serve that name,
// perhaps because it is of an older version.
var ErrNoHandler = errors.New("the node does not serve this name")

// maxText bounds the text of an error that travels.
const maxText = 1000

// appendFailure writes an error as it travels.
func appendFailure(b []byte, kind rookery.Kind, err error) []byte {
	text := err.Error()
	if len(text) > maxText {
		text = text[:maxText]
	}
	return append(append(b, byte(kind)), text...)
}

// parseFailure reads one. A kind that this version does not know is unknown.
func parseFailure(p []byte) (kind rookery.Kind, text string) {
	if len(p) == 0 {
		return rookery.KindUnknown, "no reason given"
	}
	if kind = rookery.Kind(p[0]); int(kind) >= len(rookery.Kinds()) {
		kind = rookery.KindUnknown
	}
	return kind, string(p[1:])
}

// failure makes an error without taking over the kind of its cause.
func failure(to rookery.NodeID, name string, kind rookery.Kind, err error) error {
	return &rookery.Error{Op: fmt.Sprintf("ask node %s for %s", to, name), Kind: kind, Err: err}
}

// refusal is an answer from before the handler: KindTooLarge stays, KindNotFound
// is a missing handler, everything else only means that the node cannot now.
func refusal(to rookery.NodeID, name string, p []byte) error {
	kind, text := parseFailure(p)
	switch kind {
	case rookery.KindTooLarge:
		return failure(to, name, kind, errors.New(text))
	case rookery.KindNotFound:
		return failure(to, name, rookery.KindUnavailable, ErrNoHandler)
	default:
		return failure(to, name, rookery.KindUnavailable, errors.New(text))
	}
}
