package state

import (
	"errors"

	"rookery"
)

// Result is what applying a command gave. Encoded it is one status byte (0
// for success, else the rookery.Kind) and the payload: Value on success,
// Text otherwise.
type Result struct {
	OK    bool
	Kind  rookery.Kind // why not, when not OK
	Text  string       // cause and mend, when not OK
	Value []byte       // the command's own encoding, when OK
}

// Status bytes that are no kind. rookery.KindUnknown is 0 and so needs one.
const (
	statusOK      = 0x00
	statusFenced  = 0xfe
	statusUnknown = 0xff
)

var (
	// ErrFenced is in the chain of the error of a command whose node has
	// started again since it was first sent. The sender must stop sending
	// under that epoch; whether an earlier copy was applied is unknown.
	ErrFenced = errors.New("the node that sent this command has started again since: its older commands are refused")
	// ErrForgotten is in the chain of the error of a command sent again
	// after its result was dropped.
	ErrForgotten = errors.New("the result of this command is no longer kept: it was sent again after its low-water mark had passed")
)

// OK is the encoded success of a command.
func OK(value []byte) []byte { return EncodeResult(Result{OK: true, Value: value}) }

// Refuse is the encoded refusal of a command.
func Refuse(kind rookery.Kind, text string) []byte {
	return EncodeResult(Result{Kind: kind, Text: text})
}

// EncodeResult writes r as a machine returns it.
func EncodeResult(r Result) []byte {
	switch {
	case r.OK:
		return append(append(make([]byte, 0, 1+len(r.Value)), statusOK), r.Value...)
	case r.Kind == rookery.KindUnknown:
		return append([]byte{statusUnknown}, r.Text...)
	default:
		return append([]byte{byte(r.Kind)}, r.Text...)
	}
}

// DecodeResult reads what EncodeResult wrote. Value shares b's memory. An
// empty b (a skipped entry, or one without a command) is KindUnknown.
func DecodeResult(b []byte) Result {
	if len(b) == 0 {
		return Result{Text: "the entry was applied before and its result is gone"}
	}
	switch b[0] {
	case statusOK:
		return Result{OK: true, Value: b[1:]}
	case statusUnknown, statusFenced:
		return Result{Text: string(b[1:])}
	default:
		return Result{Kind: rookery.Kind(b[0]), Text: string(b[1:])}
	}
}

// ResultError is the error an encoded result stands for, nil on success.
func ResultError(op string, b []byte) error {
	r := DecodeResult(b)
	if r.OK {
		return nil
	}
	err := errors.New(r.Text)
	if len(b) > 0 {
		switch {
		case b[0] == statusFenced:
			err = ErrFenced
		case b[0] == statusUnknown && r.Text == ErrForgotten.Error():
			err = ErrForgotten
		}
	}
	return &rookery.Error{Op: op, Kind: r.Kind, Err: err}
}

func fencedResult() []byte { return append([]byte{statusFenced}, ErrFenced.Error()...) }

func forgottenResult() []byte { return append([]byte{statusUnknown}, ErrForgotten.Error()...) }
