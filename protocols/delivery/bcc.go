package delivery

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// fieldBuffer is how much of a header line is looked at, and kept in memory.
const fieldBuffer = 4 << 10

// withoutBcc copies a message without its Bcc and Resent-Bcc fields, which tell of
// recipients that the others are not to know (RFC 5322 3.6.3). It says whether
// there were any.
func withoutBcc(w io.Writer, message io.Reader) (removed bool, err error) {
	in := bufio.NewReaderSize(message, fieldBuffer)
	if removed, err = headerWithoutBcc(w, in); err == nil {
		_, err = io.Copy(w, in)
	}
	return removed, err
}

// hasBcc reports whether withoutBcc would leave something out.
func hasBcc(message io.Reader) (bool, error) {
	return headerWithoutBcc(io.Discard, bufio.NewReaderSize(message, fieldBuffer))
}

// headerWithoutBcc copies the header with the blank line that ends it.
func headerWithoutBcc(w io.Writer, in *bufio.Reader) (removed bool, err error) {
	begins, drop := true, false // a line; the field that it belongs to
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return removed, err
		}
		blank := begins && len(bytes.TrimRight(line, "\r\n")) == 0 && err == nil
		if begins && len(line) > 0 && line[0] != ' ' && line[0] != '\t' {
			drop = !blank && isBcc(line)
		}
		removed = removed || drop
		if !drop {
			if _, werr := w.Write(line); werr != nil {
				return removed, werr
			}
		}
		if blank || errors.Is(err, io.EOF) {
			return removed, nil
		}
		begins = err == nil
	}
}

// isBcc reads the name of a field in the beginning of its first line. White space
// before the colon is read by some (RFC 5322 4.5).
func isBcc(line []byte) bool {
	name, _, _ := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t\r\n")
	return bytes.EqualFold(name, []byte("Bcc")) || bytes.EqualFold(name, []byte("Resent-Bcc"))
}
