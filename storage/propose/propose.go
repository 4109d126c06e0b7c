// Package propose has a group agree on a command and reads what its state
// machine answered. It owns this one step and its errors; it never retries
// (the log does) and never waits until a change shows on this node.
package propose

import (
	"context"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

// Log commits commands. An error is about the way to the group: KindUnknown
// where the command may have been committed all the same.
type Log interface {
	Apply(ctx context.Context, group rookery.GroupID, data []byte) (rookery.LogIndex, []byte, error)
}

// Command commits c in a group and gives its result and its place in the log.
// A refusal by the state machine is an error of the kind that it refused with,
// and comes with the place as well.
func Command(ctx context.Context, log Log, group rookery.GroupID, c command.Command) (command.Result, rookery.LogIndex, error) {
	op := fmt.Sprintf("propose %T", c)
	index, answer, err := log.Apply(ctx, group, command.Encode(c))
	if err != nil {
		return nil, 0, rookery.E(op, 0, err)
	}
	if err := state.ResultError(op, answer); err != nil {
		return nil, index, err
	}
	result, err := command.DecodeResult(command.TypeOf(c), state.DecodeResult(answer).Value)
	if err != nil {
		return nil, index, rookery.E(op, rookery.KindUnknown, err)
	}
	return result, index, nil
}

// As is Command with the result of the type that c answers with.
func As[R command.Result](ctx context.Context, log Log, group rookery.GroupID, c command.Command) (r R, index rookery.LogIndex, err error) {
	result, index, err := Command(ctx, log, group, c)
	if err != nil {
		return r, index, err
	}
	r, ok := result.(R)
	if !ok {
		return r, index, rookery.E("propose", rookery.KindUnknown, fmt.Errorf("%T answered %T", c, result))
	}
	return r, index, nil
}
