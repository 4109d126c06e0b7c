// Package wire reads and writes the octets of IMAP (RFC 9051 section 9,
// RFC 3501 section 9): the Lexer that every command passes through, the
// number sets, and the Writer that every response leaves by.
//
// It owns framing: the Lexer is the one place that knows where a command
// ends, so a refused literal is either read and thrown away or the connection
// is given up; its octets never run as commands. It never knows what a
// command means, keeps no session state, and holds no buffer while its caller
// waits for input.
package wire

import (
	"errors"
	"fmt"
	"sync"
)

// Limits bound what one command may cost while it is read.
type Limits struct {
	// Line is the number of octets outside literals.
	Line int
	// Literal is the number of octets in all literals together that are read
	// into memory.
	Literal int64
	// Literals is the number of literals.
	Literals int
	// Drain is how many octets of a refused command are read and thrown away
	// before the connection is given up.
	Drain int64
}

// SyntaxError is a command that does not follow the grammar; the answer is a
// tagged BAD with its text.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return e.Text }

// TooBigError is a command over one of the limits; the answer is a tagged NO
// [TOOBIG] or BAD with its text.
type TooBigError struct{ Text string }

func (e *TooBigError) Error() string { return e.Text }

// ErrFlood says that the connection cannot be kept in step: more follows than
// may be thrown away, or where it ends is unclear. The answer is BYE.
var ErrFlood = errors.New("the refused command is too long to skip")

// BufferSize is the size of the pooled read buffers, in octets.
const BufferSize = 8 << 10

// OutputSize is the size of the pooled write buffers, in octets: large enough
// that a listing of thousands of flags takes few system calls and fills TLS
// records.
const OutputSize = 32 << 10

// Buffers are the pools that connections of one server share, so that a
// connection that waits holds none.
type Buffers struct {
	in, out sync.Pool
}

// NewBuffers makes empty pools.
func NewBuffers() *Buffers {
	b := &Buffers{}
	b.in.New = func() any { return new([BufferSize]byte) }
	b.out.New = func() any { return new([OutputSize]byte) }
	return b
}

func syntax(format string, args ...any) error {
	return &SyntaxError{Text: fmt.Sprintf(format, args...)}
}
