package blob

import (
	"errors"
	"io"

	"rookery"
)

// Exactly wraps the reader of a Put: it fails with KindInvalid when r holds
// fewer or more than n bytes, so that no driver can store a short object.
func Exactly(r io.Reader, n int64) *ExactReader { return &ExactReader{r: r, left: n} }

// ExactReader is made by Exactly.
type ExactReader struct {
	r    io.Reader
	left int64
	err  error
}

var errSourceLength = errors.New("the source does not hold the number of bytes announced")

// Read implements io.Reader.
func (x *ExactReader) Read(p []byte) (int, error) {
	if x.err != nil {
		return 0, x.err
	}
	if int64(len(p)) > x.left && x.left > 0 {
		p = p[:x.left]
	}
	if x.left == 0 {
		x.err = x.end()
		return 0, x.err
	}
	n, err := x.r.Read(p)
	x.left -= int64(n)
	switch {
	case err == io.EOF && x.left > 0:
		x.err = rookery.E("read source", rookery.KindInvalid, errSourceLength)
	case err == io.EOF || err == nil && x.left == 0:
		// The last bytes are handed out only when nothing follows them, so
		// that no driver completes an object whose source was too long.
		if x.err = x.end(); x.err != io.EOF {
			return 0, x.err
		}
	case err != nil:
		x.err = err
	}
	if x.err == io.EOF && n > 0 {
		return n, nil
	}
	return n, x.err
}

func (x *ExactReader) end() error {
	var b [1]byte
	for range 100 {
		n, err := x.r.Read(b[:])
		if n > 0 {
			return rookery.E("read source", rookery.KindInvalid, errSourceLength)
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// Err is what ended the reading, nil before the end and after a good one. A
// driver whose library hides the source's error asks here.
func (x *ExactReader) Err() error {
	if x.err == io.EOF {
		return nil
	}
	return x.err
}
