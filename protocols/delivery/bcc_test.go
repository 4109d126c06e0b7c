package delivery_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
)

func TestWithoutBcc(t *testing.T) {
	long := strings.Repeat("a@example.com, ", 2000)
	for name, c := range map[string][2]string{
		"none":          {"From: a\r\n\r\nBcc: b\r\n", "From: a\r\n\r\nBcc: b\r\n"},
		"first":         {"Bcc: b\r\nFrom: a\r\n\r\nx", "From: a\r\n\r\nx"},
		"last":          {"From: a\r\nbcc:b\r\n\r\nx", "From: a\r\n\r\nx"},
		"folded":        {"From: a\r\nBcc:\r\n b,\r\n\tc\r\nTo: d\r\n e\r\n\r\n", "From: a\r\nTo: d\r\n e\r\n\r\n"},
		"several":       {"Bcc: a\r\nResent-Bcc: b\r\nBCC: c\r\n\r\n", "\r\n"},
		"long line":     {"Bcc: " + long + "\r\n " + long + "\r\nTo: x\r\n\r\n", "To: x\r\n\r\n"},
		"long other":    {"To: " + long + "\r\nBcc: x\r\n\r\n", "To: " + long + "\r\n\r\n"},
		"no body":       {"From: a\r\nBcc: b", "From: a\r\n"},
		"no header":     {"\r\nBcc: b\r\n", "\r\nBcc: b\r\n"},
		"other names":   {"Bccx: a\r\nX-Bcc: b\r\nB: cc\r\n\r\n", "Bccx: a\r\nX-Bcc: b\r\nB: cc\r\n\r\n"},
		"space":         {"Bcc \t: a\r\n\r\n", "\r\n"},
		"inside a line": {"To: " + strings.Repeat("a", 4<<10-6) + "\nBcc: x\r\n\r\n", "To: " + strings.Repeat("a", 4<<10-6) + "\n\r\n"},
		"not a line":    {"To: " + strings.Repeat("a", 4<<10-4) + "Bcc: x\r\n\r\n", "To: " + strings.Repeat("a", 4<<10-4) + "Bcc: x\r\n\r\n"},
		"empty":         {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(c[0]), iotest.OneByteReader(strings.NewReader(c[0]))} {
				var out bytes.Buffer
				removed, err := delivery.WithoutBcc(&out, in)
				if err != nil || out.String() != c[1] || removed != (c[0] != c[1]) {
					t.Errorf("%v %v %.200q", removed, err, out.String())
				}
			}
		})
	}
}

// No Bcc field is left in any header, and what is left of one is as it was.
func FuzzWithoutBcc(f *testing.F) {
	f.Add("From: a\r\nBcc: b\r\n c\r\n\r\nBcc: x\r\n")
	f.Fuzz(func(t *testing.T, message string) {
		var once, twice bytes.Buffer
		if _, err := delivery.WithoutBcc(&once, strings.NewReader(message)); err != nil {
			t.Fatal(err)
		}
		removed, err := delivery.WithoutBcc(&twice, bytes.NewReader(once.Bytes()))
		if err != nil || removed || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Fatalf("%v %v: %q, then %q", removed, err, once.String(), twice.String())
		}
	})
}

func TestIsSevenBit(t *testing.T) {
	line := strings.Repeat("a", 998) + "\r\n"
	for name, c := range map[string]struct {
		message string
		want    bool
	}{
		"empty": {"", true}, "plain": {"a\r\n\r\nb\r\n", true}, "8 bit": {"a\r\n\r\n\x80", false},
		"longest": {strings.Repeat(line, 100), true}, "too long": {strings.Repeat(line, 99) + "a" + line, false},
		"no end": {strings.Repeat("a", 2000), false},
	} {
		if got, err := delivery.IsSevenBit(strings.NewReader(c.message)); got != c.want || err != nil {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

// A spool gives the same at offsets as from the beginning, in memory and beyond.
func TestSpoolAtOffsets(t *testing.T) {
	for _, size := range []int{0, 1, 100, 40 << 10, 200 << 10} {
		s := spool.New(spool.Options{Dir: t.TempDir(), Memory: 32 << 10, Lines: spool.Normalise})
		want := []byte(strings.Repeat("0123456789abc\r\n", size/15+1)[:size])
		if n := len(want); n > 0 && want[n-1] == '\r' {
			want[n-1] = 'x'
		}
		s.Write(want)
		if err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		at := s.ReaderAt()
		for range 200 {
			off, n := rand.IntN(size+1), rand.IntN(50<<10)
			p := make([]byte, n)
			got, err := at.ReadAt(p, int64(off))
			if end := min(off+n, size); !bytes.Equal(p[:got], want[off:end]) || (err == io.EOF) != (off+n > size) || err != nil && err != io.EOF {
				t.Fatalf("%d bytes at %d of %d: %d, %v", n, off, size, got, err)
			}
		}
		s.Close()
	}
}
