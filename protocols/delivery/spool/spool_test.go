package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"rookery"
)

func fill(t *testing.T, s *Spool, data []byte, step int) error {
	t.Helper()
	for len(data) > 0 {
		n := min(step, len(data))
		if _, err := s.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return s.Finish()
}

func contents(t *testing.T, s *Spool) []byte {
	t.Helper()
	r, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSpoolKeepsEveryByte(t *testing.T) {
	line := []byte("The quick brown fox jumps over the lazy dog.\r\n")
	for _, size := range []int{0, 1, MostMemory / len(line), MostMemory/len(line) + 1, 5 * MostMemory / len(line), 1<<20 - 7} {
		data := bytes.Repeat(line, size/len(line)+1)
		for _, step := range []int{7919, chunkSize, len(data)} {
			dir := t.TempDir()
			s := New(Options{Dir: dir})
			if err := fill(t, s, data, step); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if got := contents(t, s); !bytes.Equal(got, data) {
					t.Fatalf("size %d step %d: %d bytes came back changed", len(data), step, len(got))
				}
			}
			if s.Size() != int64(len(data)) || !bytes.HasPrefix(data, s.Head()) {
				t.Fatalf("size %d: Size %d", len(data), s.Size())
			}
			if left, _ := os.ReadDir(dir); len(left) != 0 {
				t.Fatalf("a name remains in the spool directory: %v", left)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSpoolFileIsNotReadable(t *testing.T) {
	s := New(Options{Dir: t.TempDir()})
	defer s.Close()
	if err := fill(t, s, bytes.Repeat([]byte("secret words\r\n"), 100_000), 1<<16); err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 1<<20)
	n, _ := s.file.ReadAt(raw, 0)
	if n == 0 || bytes.Contains(raw[:n], []byte("secret")) {
		t.Fatalf("%d bytes on disk, in clear", n)
	}
	raw[100] ^= 1
	s.file.WriteAt(raw[100:101], 100)
	r, _ := s.Open()
	if _, err := io.ReadAll(r); !rookery.Is(err, rookery.KindDamaged) {
		t.Fatalf("a damaged file reads as %v", err)
	}
}

func TestSpoolLimit(t *testing.T) {
	s := New(Options{Limit: 10})
	defer s.Close()
	if _, err := s.Write([]byte("12345678\r\n")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Write([]byte("\r\n"))
	if !rookery.Is(err, rookery.KindTooLarge) {
		t.Fatal(err)
	}
	if err2 := s.Finish(); !errors.Is(err2, err) {
		t.Fatal(err2)
	}
	if _, err := s.Open(); err == nil {
		t.Fatal("a refused message opens")
	}
}

// lineCases are whole messages, what Refuse says of them, and what Normalise
// makes of them.
var lineCases = []struct{ in, refuse, out, note string }{
	{"", "", "", ""},
	{"a", "", "a", ""},
	{"a\r\nb\r\n", "", "a\r\nb\r\n", ""},
	{"a\nb\r\n", "line 1 of the message has a bare LF", "a\r\nb\r\n", "repaired 1 bare LF"},
	{"a\r\nb\n", "line 2 of the message has a bare LF", "a\r\nb\r\n", "repaired 1 bare LF"},
	{"\n", "bare LF", "\r\n", "repaired 1 bare LF"},
	{"a\rb\r\n", "bare CR", "a\r\nb\r\n", "repaired 1 bare CR"},
	{"a\r\r\nb\r\n", "bare CR", "a\r\nb\r\n", "repaired 1 bare CR"},
	{"a\r\r\r\nb\r\n", "bare CR", "a\r\nb\r\n", "repaired 2 bare CR"},
	{"a\r", "bare CR", "a\r\n", "repaired 1 bare CR"},
	{"a\r\r", "bare CR", "a\r\n", "repaired 2 bare CR"},
	{"a\x00b\r\n", "NUL", "a\x80b\r\n", "repaired 1 NUL"},
	{"\r\n.\r\r\n", "bare CR", "\r\n.\r\n", "repaired 1 bare CR"},
	{"a\rb\nc\x00", "bare CR", "a\r\nb\r\nc\x80", "repaired 1 bare CR, 1 bare LF, 1 NUL"},
}

func TestSpoolLines(t *testing.T) {
	for _, c := range lineCases {
		for _, step := range []int{1, 2, 3, 100} {
			s := New(Options{})
			err := fill(t, s, []byte(c.in), step)
			switch {
			case c.refuse == "" && err != nil:
				t.Errorf("%q by %d: %v", c.in, step, err)
			case c.refuse != "" && (!rookery.Is(err, rookery.KindInvalid) || !strings.Contains(err.Error(), c.refuse)):
				t.Errorf("%q by %d: %v, want %q", c.in, step, err, c.refuse)
			}
			s.Close()

			s = New(Options{Lines: Normalise})
			if err := fill(t, s, []byte(c.in), step); err != nil {
				t.Fatal(err)
			}
			if got := string(contents(t, s)); got != c.out {
				t.Errorf("%q by %d became %q, want %q", c.in, step, got, c.out)
			}
			if got := s.Fixes().String(); got != c.note {
				t.Errorf("%q by %d: note %q, want %q", c.in, step, got, c.note)
			}
			s.Close()
		}
	}
}

func FuzzSpool(f *testing.F) {
	for _, c := range lineCases {
		f.Add([]byte(c.in), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		by := int(step) + 1
		r := New(Options{})
		defer r.Close()
		n := New(Options{Lines: Normalise})
		defer n.Close()
		if err := fill(t, n, data, by); err != nil {
			t.Fatal(err)
		}
		once := contents(t, n)
		if err := fill(t, r, data, by); err == nil {
			if !bytes.Equal(contents(t, r), data) || !bytes.Equal(once, data) || n.Fixes() != (Fixes{}) {
				t.Fatalf("%q is well formed and was changed to %q", data, once)
			}
			return
		}
		if n.Fixes() == (Fixes{}) {
			t.Fatalf("%q is refused but not repaired", data)
		}
		again := New(Options{})
		defer again.Close()
		if err := fill(t, again, once, by); err != nil {
			t.Fatalf("%q was repaired to %q, which is refused: %v", data, once, err)
		}
	})
}

// TestBudget fills what all spools may hold together.
func TestBudget(t *testing.T) {
	b := NewBudget(100_000)
	text := bytes.Repeat([]byte("twenty bytes of it\r\n"), 3_000)
	one := New(Options{Dir: t.TempDir(), Budget: b, Memory: 1 << 10})
	if err := fill(t, one, text, 7919); err != nil {
		t.Fatal(err)
	}
	if len(one.Head()) != 1<<10 || !bytes.Equal(contents(t, one), text) {
		t.Errorf("%d bytes in memory", len(one.Head()))
	}
	two := New(Options{Dir: t.TempDir(), Budget: b})
	if err := fill(t, two, text, 7919); !rookery.Is(err, rookery.KindLimit) {
		t.Errorf("beyond the budget: %v", err)
	}
	two.Close()
	two.Close() // once more gives nothing back
	one.Close()
	if used := b.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
	three := New(Options{Dir: t.TempDir(), Budget: b})
	defer three.Close()
	if err := fill(t, three, text, 7919); err != nil {
		t.Error(err)
	}
}

// TestSpareMemory has two spools share what one of them wants alone.
func TestSpareMemory(t *testing.T) {
	spare := NewBudget(100 << 10)
	text := bytes.Repeat([]byte("twenty bytes of it\r\n"), 20_000)
	var all []*Spool
	for _, want := range []int{132 << 10, 32 << 10} {
		s := New(Options{Dir: t.TempDir(), Spare: spare, Memory: 132 << 10})
		if err := fill(t, s, text, 7919); err != nil {
			t.Fatal(err)
		}
		if len(s.Head()) > want || len(s.Head()) < 32<<10 || !bytes.Equal(contents(t, s), text) {
			t.Errorf("%d bytes in memory, want %d", len(s.Head()), want)
		}
		all = append(all, s)
	}
	for _, s := range all {
		s.Close()
	}
	if used := spare.used.Load(); used != 0 {
		t.Errorf("%d bytes are still counted", used)
	}
}
