package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var small = Limits{Line: 100, Literal: 50, Literals: 2, Drain: 200}

func lexer(input string) (*Lexer, *Reader) {
	return lexerOf(strings.NewReader(input))
}

func lexerOf(r io.Reader) (*Lexer, *Reader) {
	in := NewReader(r, NewBuffers(), func() error { return nil })
	return NewLexer(in, func() error { return nil }), in
}

// rest is what the lexer leaves for the next command.
func rest(t *testing.T, in *Reader) string {
	t.Helper()
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTokens(t *testing.T) {
	for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
		l, in := lexerOf(wrap(strings.NewReader("a1 Login \"a\\\"b\\\\c\" {3}\r\nx\r\n {2+}\r\n{} [x] NIL 7 1:3,5,*\r\nnext")))
		l.Begin(Limits{Line: 200, Literal: 50, Literals: 3, Drain: 100})
		if got := l.Tag(); got != "a1" {
			t.Errorf("tag %q", got)
		}
		l.SP()
		if got := l.Atom(); got != "Login" {
			t.Errorf("atom %q", got)
		}
		for _, want := range []string{`a"b\c`, "x\r\n", "{}", "[x]"} {
			l.SP()
			if want == "[x]" {
				if got := l.ListMailbox(); got != want {
					t.Errorf("list mailbox %q", got)
				}
				continue
			}
			if got := l.AString(); got != want {
				t.Errorf("astring %q, want %q (%v)", got, want, l.Err())
			}
		}
		l.SP()
		if _, ok := l.NString(); ok {
			t.Error("NIL is no string")
		}
		l.SP()
		if got := l.Number(); got != 7 {
			t.Errorf("number %d", got)
		}
		l.SP()
		if got := l.NumSet().Resolve(9).String(); got != "1:3,5,9" {
			t.Errorf("set %q", got)
		}
		l.End()
		if l.Err() != nil {
			t.Fatal(l.Err())
		}
		if err := l.Finish(); err != nil {
			t.Fatal(err)
		}
		if got := rest(t, in); got != "next" {
			t.Errorf("left %q", got)
		}
	}
}

// A refused command never leaves its literal's octets to be read as commands.
func TestRefusedLiterals(t *testing.T) {
	const next = "b NOOP\r\n"
	payload := strings.Repeat("evil CREATE x\r\n", 8) // 120 octets
	for _, tc := range []struct {
		name, input string
		flood       bool
	}{
		{"non-sync over the budget", "a X {120+}\r\n" + payload + " tail\r\n", false},
		{"non-sync beyond draining", "a X {209715200+}\r\n" + payload, true},
		{"sync over the budget", "a X {120}\r\n", false},
		{"over 4096 octets", "a X {5000+}\r\n" + payload, true},
		{"too many literals", "a X {1+}\r\nx {1+}\r\ny {15+}\r\nevil CREATE x\r\n\r\n", false},
		{"second refused", "a X {1+}\r\nx {120+}\r\n" + payload + " {15+}\r\nevil CREATE x\r\n\r\n", false},
		{"overflowing size", "a X {99999999999999999999+}\r\n" + payload, true},
		{"size of no digits", "a X {+}\r\n" + payload, true},
		{"literal on an unknown tail", "a X \x01 {15+}\r\nevil CREATE x\r\n\r\n", false},
		{"header across the line limit", "a X " + strings.Repeat("y", 92) + " {15+}\r\nevil CREATE x\r\n\r\n", false},
		{"long header", "a X {" + strings.Repeat("0", 120) + "15+}\r\nevil CREATE x\r\n\r\n", true},
		{"sync after drained", "a X {120+}\r\n" + payload + " {3}\r\n", false},
		{"binary where none may be", "a X ~{15}\r\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, in := lexer(tc.input + next)
			l.Begin(small)
			l.Tag()
			l.SP()
			l.Atom()
			for l.OK() && l.Accept(' ') {
				_ = l.AString()
			}
			l.End()
			if l.OK() {
				t.Fatal("the command was accepted")
			}
			err := l.Finish()
			if tc.flood {
				if !errors.Is(err, ErrFlood) {
					t.Fatalf("Finish gave %v, want ErrFlood", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := rest(t, in); got != next {
				t.Errorf("left %q, want %q", got, next)
			}
		})
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, input := range []string{
		"\"open\r\n", "\"nul\x00\"\r\n", "\"\xff\"\r\n", "\"\\x\"\r\n", "{3+}\r\na\x00b\r\n", "\r\n", "(\r\n", "{5x}\r\n", "{5}x\r\n",
	} {
		l, _ := lexer(input + "next")
		l.Begin(small)
		s := l.AString()
		var syntax *SyntaxError
		if !errors.As(l.Err(), &syntax) || s != "" {
			t.Errorf("%q gave %q, %v", input, s, l.Err())
		}
	}
}

func TestReaderHoldsNoBufferWhileWaiting(t *testing.T) {
	l, in := lexer("a NOOP\r\n")
	if err := in.Wait(); err != nil {
		t.Fatal(err)
	}
	l.Begin(small)
	l.Tag()
	l.SP()
	l.Atom()
	l.End()
	if l.Err() != nil || in.Buffered() != 0 {
		t.Fatal(l.Err(), in.Buffered())
	}
	if err := in.Wait(); err != io.EOF || in.buf != nil {
		t.Errorf("waiting for input: %v, buffer held: %v", err, in.buf != nil)
	}
}

func TestLiteralStream(t *testing.T) {
	big := strings.Repeat("0123456789", 3000)
	l, in := lexer("{30000}\r\n" + big + "\r\nnext")
	l.Begin(Limits{Line: 100, Literal: 10, Literals: 1, Drain: 100})
	h := l.LiteralHeader(1 << 20)
	got, err := io.ReadAll(l.OpenLiteral(h))
	if err != nil || string(got) != big {
		t.Fatalf("%d octets, %v", len(got), err)
	}
	if l.End(); l.Err() != nil {
		t.Fatal(l.Err())
	}
	if got := rest(t, in); got != "next" {
		t.Errorf("left %q", got)
	}
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	flushes := 0
	w := NewWriter(&out, NewBuffers(), func() { flushes++ })
	for i := range 100_000 {
		w.Text("* ").Uint(uint64(i)).Text(" FETCH (FLAGS ())").CRLF()
	}
	w.Flush()
	if w.buf != nil {
		t.Error("the buffer is held after Flush")
	}
	if want := out.Len()/OutputSize + 1; flushes != want {
		t.Errorf("%d writes for %d octets, want %d", flushes, out.Len(), want)
	}
	for _, tc := range []struct {
		in, out string
		utf8    bool
	}{
		{"", `""`, false}, {`a"b\`, `"a\"b\\"`, false}, {"a\r\nb", "{4}\r\na\r\nb", false}, {"é", "{2}\r\né", false},
		{"é", `"é"`, true}, {"\xff", "{1}\r\n\xff", true}, {"a\x00", "{2}\r\na ", false},
	} {
		out.Reset()
		w.UTF8 = tc.utf8
		w.String(tc.in)
		w.Flush()
		if out.String() != tc.out {
			t.Errorf("%q written as %q, want %q", tc.in, out.String(), tc.out)
		}
	}
}

func TestWriterShortLiteral(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, NewBuffers(), func() {})
	if err := w.Copy(strings.NewReader("abc"), 5); err == nil || w.Err() == nil {
		t.Error("a literal cut short must end the connection")
	}
}

func FuzzLexer(f *testing.F) {
	f.Add([]byte("a LOGIN {3+}\r\nabc \"x\"\r\nb NOOP\r\n"))
	f.Add([]byte("a X {99999999999999999999+}\r\nb NOOP\r\n"))
	f.Add([]byte("a X {60+}\r\n" + strings.Repeat("x", 60) + "\r\nb NOOP\r\n"))
	f.Add([]byte("a X (1:*,$ ~{4}\r\n\x00\x00\x00\x00)\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, in := lexerOf(bytes.NewReader(data))
		var held int
		for range 1000 {
			before := in.Total() - int64(in.Buffered())
			l.Begin(small)
			l.Tag()
			l.SP()
			l.Atom()
			for l.OK() && l.Accept(' ') {
				if l.Next('(') {
					l.Byte('(')
					l.NumSet()
				} else {
					held += len(l.AString())
				}
			}
			l.End()
			if err := l.Finish(); err != nil {
				return
			}
			after := in.Total() - int64(in.Buffered())
			if after <= before {
				t.Fatal("a command took nothing")
			}
			if after-before > int64(small.Line+64*small.Literals)+small.Literal+small.Drain+64 {
				t.Fatalf("a command took %d octets", after-before)
			}
			if held > len(data) {
				t.Fatal("more read than sent")
			}
		}
	})
}
