package search

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestNeedle(t *testing.T) {
	for _, tc := range []struct {
		text, needle string
		want         bool
	}{
		{strings.Repeat("x", 33_000) + "Größe" + strings.Repeat("y", 40_000), "größe", true},
		{strings.Repeat("ä", 40_000) + "end", "äend", true}, {strings.Repeat("ab ", 50_000), "b  a", true}, {"abc", "abd", false},
		{"", "a", false},
	} {
		for name, r := range map[string]func() (bool, error){
			"whole":  func() (bool, error) { return scanFor(strings.NewReader(tc.text), tc.needle) },
			"halves": func() (bool, error) { return scanFor(iotest.HalfReader(strings.NewReader(tc.text)), tc.needle) },
			"among others": func() (bool, error) {
				return scanFor(strings.NewReader(tc.text), tc.needle, "qq", strings.Repeat("z", 4000), "x")
			},
		} {
			if got, err := r(); got != tc.want || err != nil {
				t.Errorf("%.20q in %d octets, %s: %v, %v", tc.needle, len(tc.text), name, got, err)
			}
		}
	}
}

// scanFor looks for several needles and tells whether the first was found.
func scanFor(r io.Reader, needles ...string) (bool, error) {
	var all []needle
	for _, n := range needles {
		all = append(all, newNeedle(n))
	}
	s := newScanner(all)
	s.begin()
	err := s.read(context.Background(), r)
	return s.found[0], err
}

// A long scan looks at its context between windows, and so does a header.
func TestScanEndsWithItsClient(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s := newScanner([]needle{"x"})
	s.begin()
	if err := s.read(ctx, endless{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the body ended with %v", err)
	}
	if err := s.header(ctx, []byte("A: b\r\n")); !errors.Is(err, context.Canceled) {
		t.Errorf("the header ended with %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
