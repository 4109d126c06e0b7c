package names

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestModifiedUTF7(t *testing.T) {
	for plain, encoded := range map[string]string{
		"INBOX": "INBOX", "A&B": "A&-B", "~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		"Entwürfe": "Entw&APw-rfe", "Thư đến": "Th&AbA- &AREevw-n", "😀": "&2D3eAA-", "a\tb": "a&AAk-b",
	} {
		if got := Encode(plain); got != encoded {
			t.Errorf("%q encodes to %q, want %q", plain, got, encoded)
		}
		got, err := Decode(encoded)
		if err != nil || got != plain {
			t.Errorf("%q decodes to %q, %v; want %q", encoded, got, err, plain)
		}
	}
	if got, err := Decode("Entwürfe"); err != nil || got != "Entwürfe" {
		t.Errorf("plain UTF-8 gave %q, %v", got, err)
	}
	for _, bad := range []string{"&", "a&b", "&AGE-", "&ZeVnLIqe", "&Jjo!-", "&U,BTFw-&ZeVnLIqe-", "&2D0-", "&3gA-", "&AA-", "\xff", "&APx-"} {
		got, err := Decode(bad)
		if err == nil {
			t.Errorf("%q was read as %q", bad, got)
		} else if !strings.Contains(err.Error(), "UTF-7") {
			t.Errorf("%q: the error %q does not name the cause", bad, err)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"INBOX", "A&-B", "&U,BTFw-/&ZeVnLIqe-", "&2D3eAA-", "&", "Entwürfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			if got, err := Decode(Encode(s)); err != nil || got != s {
				t.Fatalf("%q comes back as %q, %v", s, got, err)
			}
		}
		name, err := Decode(s)
		if err != nil {
			return
		}
		if !utf8.ValidString(name) {
			t.Fatalf("%q decodes to broken UTF-8", s)
		}
		ascii := true
		for i := 0; i < len(s); i++ {
			ascii = ascii && s[i] >= 0x20 && s[i] < 0x7f
		}
		if again := Encode(name); ascii && again != s {
			t.Fatalf("%q has a second encoding %q", s, again)
		}
	})
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		ref, pattern, name string
		want               bool
	}{
		{"", "*", "a/b", true}, {"", "%", "a/b", false}, {"", "%", "a", true}, {"", "%/b", "a/b", true},
		{"", "a*b", "a/x/b", true}, {"", "a%b", "a/x/b", false}, {"", "a%b", "axxb", true}, {"", "*%", "a/b", true},
		{"", "inbox", "INBOX", true}, {"", "in%", "INBOX", true}, {"", "inbox/%", "INBOX/x", true}, {"", "INBOX", "inbox", false},
		{"a/", "%", "a/b", true}, {"a/", "%", "b", false}, {"", "", "", true}, {"", "a", "a/b", false}, {"", "%%", "ab", true},
		{"", "*b", "abab", true}, {"", "%a%", "xax", true}, {"", "x", "X", false},
	} {
		p := Compile(tc.ref, tc.pattern)
		if got := p.Match(tc.name); got != tc.want {
			t.Errorf("%q%q on %q: %v", tc.ref, tc.pattern, tc.name, got)
		}
	}
}

// FuzzMatch holds Match against a model that is slow and plain.
func FuzzMatch(f *testing.F) {
	long := strings.Repeat("a%b*/", 30)
	for _, s := range [][2]string{{"*", "a"}, {"inbox/%", "INBOX/x"}, {"i*x", "INBOX"}, {"%x", "INBOX"}, {"*%a%*", "b/a"},
		{long, strings.Repeat("ab/", 30)},
		{strings.Repeat("x", 63) + "*", strings.Repeat("x", 64)}, {strings.Repeat("x", 64) + "%y", strings.Repeat("x", 65) + "y"},
		{"*" + strings.Repeat("x", 127), strings.Repeat("x", 130)}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 1000 || len(name) > 1000 {
			return
		}
		p := Compile("", pattern)
		if got, want := p.Match(name), slowMatch(pattern, name); got != want {
			t.Fatalf("%q on %q: %v", pattern, name, got)
		}
	})
}

func slowMatch(pattern, name string) bool {
	inbox := name == "INBOX" || strings.HasPrefix(name, "INBOX/")
	if len(pattern) >= 5 && strings.EqualFold(pattern[:5], "INBOX") && (len(pattern) == 5 || pattern[5] == '/') {
		pattern = "INBOX" + pattern[5:]
	}
	now := make([]bool, len(name)+1) // the lengths of name that match so far
	now[0] = true
	for k := 0; k < len(pattern); k++ {
		next := make([]bool, len(name)+1)
		for i, ok := range now {
			switch c := pattern[k]; {
			case c == '*' || c == '%':
				next[i] = ok || i > 0 && next[i-1] && (c == '*' || name[i-1] != '/')
			case ok && i < len(name):
				next[i+1] = c == name[i] || inbox && i < 5 && strings.ToUpper(string(rune(c))) == string(rune(name[i]))
			}
		}
		now = next
	}
	return now[len(name)]
}

// A pattern made to explode takes time linear in both lengths.
func TestMatchExplodes(t *testing.T) {
	p := Compile("", strings.Repeat("*a", 500)+"b")
	done := make(chan bool, 1)
	go func() { done <- p.Match(strings.Repeat("a", 1000)) }()
	select {
	case matched := <-done:
		if matched {
			t.Error("matched")
		}
	case <-time.After(time.Minute): // one that tries every way needs years
		t.Error("it explodes")
	}
}

// BenchmarkMatchExplodes is the costliest pattern LIST takes on a long name.
func BenchmarkMatchExplodes(b *testing.B) {
	p, name := Compile("", strings.Repeat("*a", 2000)+"b"), strings.Repeat("a", 730)+"b"
	for range b.N {
		p.Match(name)
	}
}

// BenchmarkMatch is what clients send.
func BenchmarkMatch(b *testing.B) {
	p := Compile("", "Projects/%")
	for range b.N {
		p.Match("Projects/Rookery")
		p.Match("Archive/2025")
	}
}
