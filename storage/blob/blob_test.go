package blob

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"rookery"
)

func TestCheckKey(t *testing.T) {
	good := []string{"a", "b/0f/1/01j.pk", "x-y_z.0/1", strings.Repeat("a", 128)}
	bad := []string{"", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.b", ".a", "A", "a b", "a\x00", "a\\b", "ä", "a\n",
		strings.Repeat("a", 129), strings.Repeat("a/", 8) + "a", strings.Repeat("aaaaaaa/", 64) + "a"}
	for _, k := range good {
		if err := CheckKey(k); err != nil {
			t.Errorf("CheckKey(%q) = %v", k, err)
		}
		for i := range len(k) {
			if err := CheckPrefix(k[:i]); err != nil {
				t.Errorf("CheckPrefix(%q) = %v", k[:i], err)
			}
		}
	}
	for _, k := range bad {
		if err := CheckKey(k); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("CheckKey(%q) = %v, want KindInvalid", k, err)
		}
	}
}

func TestExactly(t *testing.T) {
	data := []byte("0123456789")
	for _, wrap := range []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader, iotest.HalfReader,
	} {
		for n, ok := range map[int64]bool{10: true, 9: false, 11: false, 0: false} {
			x := Exactly(wrap(bytes.NewReader(data)), n)
			got, err := io.ReadAll(x)
			if ok && (err != nil || !bytes.Equal(got, data) || x.Err() != nil) {
				t.Errorf("n=%d: %q, %v, %v", n, got, err, x.Err())
			}
			if !ok && (!rookery.Is(err, rookery.KindInvalid) || int64(len(got)) >= max(n, 1) && n < 10) {
				t.Errorf("n=%d: %q, %v; want KindInvalid before the last byte", n, got, err)
			}
		}
		if _, err := io.ReadAll(Exactly(wrap(iotest.ErrReader(io.ErrClosedPipe)), 3)); err != io.ErrClosedPipe {
			t.Errorf("source error: %v", err)
		}
	}
	if got, err := io.ReadAll(Exactly(bytes.NewReader(nil), 0)); len(got) != 0 || err != nil {
		t.Errorf("empty: %q, %v", got, err)
	}
}
